"""Whatever answers, answers OpenAI-compatible HTTP in vLLM's dialect. One client, one protocol."""
