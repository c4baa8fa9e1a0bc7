"""Which texts of the index's chains stay blurred."""

from __future__ import annotations

from cai_core.records import Finding, StepKind
from cai_core.workspace.index.views import ChainView
from ui.harm import HeldBack, find_held_back


def find_held(chain: ChainView) -> HeldBack:
    """What of one chain stays blurred."""
    drafts: list[tuple[str, Finding | None]] = []
    for step in chain.steps:
        if step.kind is not StepKind.CRITIQUE:
            drafts.append((step.text, None))
        elif drafts:
            drafts[-1] = (drafts[-1][0], step.finding)
    return find_held_back(chain.kind, drafts)
