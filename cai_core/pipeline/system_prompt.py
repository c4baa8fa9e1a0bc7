"""A constitution's system prompt, for pages to show: the very text that a run would send."""

from __future__ import annotations

from cai_core.prompts.system_prompt import SystemPrompt, build_system_prompt
from cai_core.records import Constitution


def preview_system_prompt(constitution: Constitution) -> SystemPrompt:
    """As `prompts.system_prompt.build_system_prompt`.

    Raises:
        TemplateError: there is no principle that is on.
    """
    return build_system_prompt(constitution)
