"""Which texts of the index's chains stay blurred."""

from __future__ import annotations

from pathlib import Path

from cai_core.records import Finding, StepKind
from cai_core.workspace.index.views import ChainView, RoundPage
from cai_core.workspace.status import RunState
from ui import services
from ui.harm import HeldBack, find_held_back

# States after which a run writes no more.
ENDED = frozenset({RunState.SUCCEEDED.value, RunState.FAILED.value, RunState.CANCELLED.value})
MOST_KEPT = 4096
# A whole chain is read from its files (10 ms), and a page shows up to 25.
_ended: dict[tuple[Path, str], HeldBack] = {}


def find_held(chain: ChainView) -> HeldBack:
    """What of one chain stays blurred."""
    drafts: list[tuple[str, Finding | None]] = []
    for step in chain.steps:
        if step.kind is not StepKind.CRITIQUE:
            drafts.append((step.text, None))
        elif drafts:
            drafts[-1] = (drafts[-1][0], step.finding)
    return find_held_back(chain.kind, drafts)


def find_held_in(page: RoundPage) -> dict[str, HeldBack]:
    """What of each listed chain stays blurred, by the chain's id.

    A round's revision is held back for what the next round says of it, which another page may
    hold: so the chains are asked, not the page.
    """
    asked = {round_.chain: _find(round_.chain) for round_ in page.rounds}
    return {chain: held for chain, held in asked.items() if held is not None}


def _find(chain: str) -> HeldBack | None:
    key = (services.workspace(), chain)
    if key in _ended:
        return _ended[key]
    view = services.index().get_chain(chain)
    if view is None:
        return None
    held = find_held(view)
    if view.run_state in ENDED:
        if len(_ended) >= MOST_KEPT:
            _ended.clear()
        _ended[key] = held
    return held
