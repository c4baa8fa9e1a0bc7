"""Constitutional AI's generating stages: prompts in, chains out."""
