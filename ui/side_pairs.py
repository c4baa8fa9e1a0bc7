"""The pairs of two runs: the prompt, and below it both sides, word by word."""

from __future__ import annotations

from collections.abc import Sequence

from cai_core.records import Finding, PromptKind, StepKind
from cai_core.workspace.index.side_views import SideChain, SidePair, SideStep
from ui.diff import build_diff
from ui.explorer_filter import WORDS
from ui.explorer_list import FINDING_BADGES
from ui.explorer_transcript import title_of
from ui.harm import NOTHING, HeldBack, find_held_back, hold_back, hold_removed
from ui.look import Thing, build_badge, build_card, build_icon, escape

_THINGS: dict[StepKind, Thing] = {
    StepKind.RESPONSE: "response",
    StepKind.CRITIQUE: "critique",
    StepKind.REVISION: "revision",
}
_DIFFERS = {
    "final": "final text differs",
    "findings": "findings differ",
    "response": "initial response differs",
    "label": "label differs",
    "confidence": "P(A) moved",
}
# Two texts beside each other, below each other where there is no room; replays have them, too.
TWO_STYLE = """<style>
.cai-two { display: grid; gap: 0.6rem 0.9rem; align-items: start; margin-top: 0.5rem;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
.cai-two > * { min-width: 0; }
@media (max-width: 46rem) { .cai-two { grid-template-columns: minmax(0, 1fr); } }
.cai-two .cai-text { font-size: 0.92rem; }
.cai-absent { border: 1px dashed light-dark(#b9bfcc, #454b5c); border-radius: 0.5rem;
  padding: 0.65rem 1rem; color: light-dark(#5b6270, #a3aab8); font-size: 0.9rem; }
</style>"""
STYLE = """<style>
.st-key-side_runs > *, .st-key-side_filters > * { flex: 1 1 12rem; min-width: 0; }
.st-key-side_runs > :nth-child(2) { flex: 0 0 auto; }
.st-key-side_filters > :first-child { flex-basis: 18rem; }
.st-key-side_aspects [role="radiogroup"], .st-key-side_show [role="radiogroup"] {
  flex-wrap: wrap; overflow: visible; }
.cai-side-scroll { overflow-x: auto; }
.cai-two.cai-side-names { grid-template-columns: repeat(2, minmax(0, 1fr)); margin: 0;
  padding: 0.3rem 1rem; font-size: 0.9rem; overflow-wrap: anywhere; }
[data-testid="stLayoutWrapper"]:has(> .st-key-side_names) { position: sticky; top: 3.75rem;
  z-index: 5; background: light-dark(#ffffff, #12141b); }
.cai-side-table { border-collapse: collapse; font-size: 0.9rem; }
.cai-side-table th { text-align: left; font-weight: 600; }
.cai-side-table tr:first-child th { color: light-dark(#5b6270, #a3aab8); }
.cai-side-table th, .cai-side-table td { padding: 0.25rem 1.2rem 0.25rem 0; vertical-align: top;
  min-width: 6.5rem; overflow-wrap: anywhere;
  border-bottom: 1px solid light-dark(#e6e9f0, #2a2f3d); }
.cai-note .cai-text ul { margin: 0; padding-left: 1.1rem; white-space: normal; }
[class*="st-key-pair_"] { padding: 0.7rem 1rem 0.8rem; border-radius: 0.5rem;
  border: 1px solid light-dark(#d6dae3, #343948); background: light-dark(#ffffff, #171a23); }
.cai-pair-prompt { font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere;
  max-height: 6.5em; overflow-y: auto; min-width: 0; }
.cai-steps > summary { cursor: pointer; margin-top: 0.6rem; font-size: 0.875rem;
  color: light-dark(#5b6270, #a3aab8); }
</style>"""


def build_head(pair: SidePair, *, note: str = "") -> str:
    """The prompt, and in badges what differs. `note` is HTML."""
    badges = [build_badge(WORDS["kind"].get(pair.kind, pair.kind), quiet=True)]
    if not pair.differs:
        only = pair.left_chain or pair.left_label
        badges.append(build_badge("only left" if only else "only right", dashed=True))
    elif not any(pair.differs.values()):
        badges.append(build_badge("the same", quiet=True))
    badges += [build_badge(_DIFFERS[name]) for name, differs in pair.differs.items() if differs]
    return (
        f'<div class="cai-round-head cai-prompt">{build_icon("prompt")}'
        f'<div class="cai-pair-prompt">{escape(pair.prompt)}</div></div>'
        f'<div class="cai-round-meta">{"".join(badges)}{note}</div>'
    )


def build_chain_pair(
    pair: SidePair, *, with_diff: bool, show_harmful: bool, opened: bool = False
) -> str:
    """Both chains: the final texts, and every step when it is asked for."""
    chains = (pair.left_chain, pair.right_chain)
    held = [NOTHING if show_harmful else _find_held(pair.kind, chain) for chain in chains]
    finals = [_find_final(chain) for chain in chains]
    body = _build_cells(finals, held, with_diff=with_diff, final=True)
    keys: dict[tuple[int, bool, StepKind], None] = {}
    for chain in chains:
        for step in chain.steps if chain else ():
            keys[step.round, step.kind is StepKind.REVISION, step.kind] = None
    steps = [
        [_find_step(chain, kind, round_) for chain in chains] for round_, _, kind in sorted(keys)
    ]
    count = len(steps)
    if count > 1:
        rows = "".join(_build_cells(two, held, with_diff=with_diff) for two in steps)
        state = " open" if opened else ""
        body += (
            f'<details class="cai-steps"{state}><summary>All {count} steps, round by round'
            f"</summary>{rows}</details>"
        )
    return f'<div role="article" aria-label="Pair">{build_head(pair)}{body}</div>'


def build_text(
    left: str | None, right: str, held: Sequence[HeldBack], *, with_diff: bool
) -> tuple[str, bool]:
    """The right text as HTML, marked against the left one, and whether the two are the same."""
    same = left == right
    if held[1].holds(right):
        return hold_back(escape(right)), same
    if left is None or same or not with_diff:
        return escape(right), same
    marked = build_diff(left, right)
    return (hold_removed(marked) if held[0].holds(left) else marked), same


def build_absent(words: str) -> str:
    """What stands where a side has nothing."""
    return f'<div class="cai-absent">{escape(words)}</div>'


def is_harmful_kind(kind: str) -> bool:
    """Whether what answers a prompt of this kind stays blurred until asked for."""
    return kind == PromptKind.RED_TEAM.value


def _build_cells(
    two: Sequence[SideStep | None],
    held: Sequence[HeldBack],
    *,
    with_diff: bool,
    final: bool = False,
) -> str:
    left = two[0]
    cells = []
    for number, step in enumerate(two):
        name = "Right" if number else "Left"
        if step is None:
            absent = f"{name}: nothing here" if not final else f"{name}: no chain of this prompt"
            cells.append(build_absent(absent))
            continue
        title = f"{name} · {'final: ' if final else ''}{title_of(step).lower()}"
        badges = _build_badges(step)
        if step.text is None:
            cells.append(build_card("error", title, "No text: the step met an error."))
            continue
        if step.kind is StepKind.CRITIQUE:
            own: Sequence[HeldBack] = (NOTHING, NOTHING)
        else:
            own = held
        other = left.text if number and left is not None else None
        if number:
            body, same = build_text(other, step.text, own, with_diff=with_diff)
            badges += build_badge("the same", quiet=True) if same else ""
        else:
            text = escape(step.text)
            body = hold_back(text) if own[0].holds(step.text) else text
        cells.append(build_card(_THINGS[step.kind], title, body, badges=badges))
    return f'<div class="cai-two">{"".join(cells)}</div>'


def _build_badges(step: SideStep) -> str:
    badges = ""
    if step.kind is StepKind.CRITIQUE:
        badges += FINDING_BADGES[step.finding or Finding.UNPARSED]
    if step.principle:
        badges += f'<span class="cai-quiet">{escape(step.principle)}</span>'
    return badges


def _find_held(kind: str, chain: SideChain | None) -> HeldBack:
    drafts: list[tuple[str, Finding | None]] = []
    for step in chain.steps if chain else ():
        if step.kind is not StepKind.CRITIQUE:
            drafts.append((step.text or "", None))
        elif drafts:
            drafts[-1] = (drafts[-1][0], step.finding)
    return find_held_back(kind, drafts)


def _find_final(chain: SideChain | None) -> SideStep | None:
    texts = [step for step in chain.steps if step.kind is not StepKind.CRITIQUE] if chain else []
    told = [step for step in texts if step.text is not None]
    return told[-1] if told else (texts[-1] if texts else None)


def _find_step(chain: SideChain | None, kind: StepKind, round_: int) -> SideStep | None:
    steps = chain.steps if chain else ()
    return next((one for one in steps if one.kind is kind and one.round == round_), None)
