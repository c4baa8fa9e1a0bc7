"""The prompt sets page's list: every set, shipped or added, with what its newest version holds."""

from __future__ import annotations

import streamlit as st

from cai_core.jobs.registry import list_set_uses
from cai_core.pipeline.prompt_sets import list_versions
from cai_core.records import AccessRole
from cai_core.workspace.prompt_sets import SHORT, PromptSetVersion
from ui import services
from ui.constitution_address import build_key, go
from ui.look import escape
from ui.prompts_words import build_counts, build_set_head, describe_uses


def can_add() -> bool:
    """Whether who sits before the page may add prompts."""
    return services.actor().role.includes(AccessRole.EDITOR)


def set_list() -> None:
    """Render a card for each set."""
    workspace = services.workspace()
    st.button(
        "Add prompts",
        key="prompts_add",
        type="primary",
        icon=":material/upload:",
        disabled=not can_add(),
        on_click=go,
        kwargs={"add": "1"},
        help=services.explain(AccessRole.EDITOR) or None,
    )
    uses = list_set_uses(workspace)
    for version in list_versions(workspace):
        versions = list_versions(workspace, version.name)
        runs = find_uses(versions, uses)
        with st.container(gap="xsmall", key=build_key("set_card", version.name)):
            st.html(
                build_set_head(version, len(versions))
                + build_counts(
                    version.prompts,
                    version.rejected,
                    version.kinds,
                    version.splits,
                    version.tags,
                )
                + f'<div class="cai-quiet">{escape(describe_uses(runs))}</div>'
            )
            st.button(
                "Open",
                key=build_key("open_set", version.name),
                icon=":material/open_in_full:",
                on_click=go,
                kwargs={"set": version.name},
            )


def find_uses(versions: list[PromptSetVersion], uses: dict[str, list[str]]) -> list[str]:
    """Ids of the runs that name one of these versions, each once."""
    found: dict[str, None] = {}
    for version in versions:
        for name in (f"{version.name}@{version.hash[:SHORT]}", version.hash):
            found |= dict.fromkeys(uses.get(name, []))
    return list(found)
