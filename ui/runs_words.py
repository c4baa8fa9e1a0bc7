"""The runs page's words, icons and style: a state is an icon and a word, never colour alone."""

from __future__ import annotations

from datetime import datetime

from cai_core.jobs.listing import JobView
from cai_core.workspace.status import RunState
from ui.look import build_card, build_error, escape

# Material Symbols name, and a colour for each theme.
_STATES: dict[RunState, tuple[str, str]] = {
    RunState.QUEUED: ("schedule", "light-dark(#5b6270, #a3aab8)"),
    RunState.RUNNING: ("progress_activity", "light-dark(#3b6fd4, #8ab4f8)"),
    RunState.SUCCEEDED: ("check_circle", "light-dark(#0f766e, #5eead4)"),
    RunState.FAILED: ("error", "light-dark(#b42318, #fda29b)"),
    RunState.CANCELLED: ("stop_circle", "light-dark(#5b6270, #a3aab8)"),
    RunState.INTERRUPTED: ("warning", "light-dark(#a04a06, #fbbf4d)"),
}
_OTHER = ("delete", "light-dark(#5b6270, #a3aab8)")
_FULL = "No space left on device"
KINDS = {
    "revise": "Chains",
    "sft": "Fine-tuning",
    "label": "Preference labels",
    "reward": "Reward model",
    "dpo": "DPO",
    "rl": "RL",
    "evaluate": "Evaluation",
}

STYLE = """<style>
.st-key-runs textarea { font-family: "Source Code Pro", "DejaVu Sans Mono", monospace;
  font-size: 0.85rem; }
.cai-run { display: grid; grid-template-columns: auto 1fr auto; gap: 0.1rem 0.6rem;
  align-items: baseline; }
.cai-run .cai-icon { align-self: center; color: var(--state); }
.cai-run .cai-name { font-weight: 600; overflow-wrap: anywhere; }
.cai-run .cai-state { color: var(--state); font-size: 0.85rem; font-weight: 600;
  white-space: nowrap; }
.cai-run .cai-told { grid-column: 2 / 4; font-size: 0.85rem; overflow-wrap: anywhere;
  color: light-dark(#5b6270, #a3aab8); }
.cai-run .cai-why { grid-column: 2 / 4; font-size: 0.9rem; overflow-wrap: anywhere;
  color: var(--state); display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
  overflow: hidden; }
.st-key-runs .cai-error .cai-text, .st-key-runs .cai-note .cai-text { max-height: 14em;
  overflow-y: auto; }
.cai-run .cai-bar { grid-column: 2 / 4; height: 0.35rem; border-radius: 999px;
  background: light-dark(#e6e9f0, #2a2f3d); overflow: hidden; margin: 0.25rem 0; }
.cai-run .cai-bar > span { display: block; height: 100%; background: var(--state); }
.cai-facts { display: flex; flex-wrap: wrap; gap: 0.4rem 2rem; margin: 0.2rem 0 0.6rem; }
.cai-facts > span { display: grid; }
.cai-facts b { font-size: 1.35rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.cai-facts small { color: light-dark(#5b6270, #a3aab8); }
.cai-scroll { overflow-x: auto; }
.cai-table { border-collapse: collapse; font-size: 0.9rem; width: 100%; }
.cai-table th { text-align: left; font-weight: 600; color: light-dark(#5b6270, #a3aab8); }
.cai-table th, .cai-table td { padding: 0.25rem 0.8rem 0.25rem 0; vertical-align: top;
  min-width: 4.5rem; overflow-wrap: anywhere;
  border-bottom: 1px solid light-dark(#e6e9f0, #2a2f3d); }
.cai-table th { overflow-wrap: normal; }
/* A narrow screen scrolls sideways anyway: no word is cut for its sake. */
@media (max-width: 640px) { .cai-table th, .cai-table td { min-width: 6.5rem; } }
</style>"""


def build_run_head(view: JobView, *, now: float, reason: bool = True) -> str:
    """A run's line: icon, id, state, and below it what there is to say.

    Args:
        reason: whether to say why it is in its state.
    """
    icon, colour = _STATES.get(view.state, _OTHER)
    label = escape(view.run)
    parts = [
        f'<div class="cai-run" role="article" aria-label="{label}" style="--state: {colour}">',
        f'<span class="cai-icon" aria-hidden="true">{icon}</span>',
        f'<span class="cai-name">{escape(view.run)}</span>',
        f'<span class="cai-state">{escape(describe_state(view))}</span>',
    ]
    if view.total:
        share = min(1.0, (view.done or 0) / view.total)
        if view.state is not RunState.SUCCEEDED:
            parts.append(f'<div class="cai-bar"><span style="width:{share:.1%}"></span></div>')
    parts.append(f'<span class="cai-told">{escape(describe_facts(view, now=now))}</span>')
    if view.reason and reason:
        parts.append(f'<span class="cai-why">{escape(describe_reason(view.reason))}</span>')
    return "".join(parts) + "</div>"


def describe_state(view: JobView) -> str:
    """`running`, or `queued, 2nd`."""
    if view.state is RunState.QUEUED and view.position:
        return f"queued, number {view.position}"
    return view.state.value


def build_reason(view: JobView) -> str:
    """Why a run is in its state, as a card; nothing where there is no more to say."""
    if not view.reason:
        return ""
    if view.state is RunState.FAILED:
        return build_error("It failed", describe_reason(view.reason))
    titles = {
        RunState.INTERRUPTED: "It was interrupted",
        RunState.CANCELLED: "It was stopped",
        RunState.QUEUED: "It waits",
        RunState.DELETED: "It was deleted",
    }
    title = titles.get(view.state, view.state.value.capitalize())
    return build_card("note", title, escape(describe_reason(view.reason)))


def describe_reason(reason: str) -> str:
    """A reason in words: what the system says alone does not help."""
    if _FULL in reason:
        told = reason if reason.partition(_FULL)[2] else reason.removesuffix(_FULL).strip()
        found = f" ({told})" if told and not told.startswith("[Errno") else ""
        return (
            f"The disk is full{found}. Make room, then resume: it goes on from its last whole "
            "checkpoint, or from its rows."
        )
    return reason[:1].upper() + reason[1:]


def describe_size(size: int) -> str:
    """Bytes as `12.3 MB`."""
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if size >= length:
            return f"{size / length:,.1f} {unit}"
    return f"{size} bytes"


def describe_facts(view: JobView, *, now: float) -> str:
    """Kind, progress, and when it last told something."""
    told = [KINDS.get(view.kind, view.kind)]
    if view.total is not None:
        unit = "steps" if "steps_total" in view.counts else "rows"
        told.append(f"{view.done:,} of {view.total:,} {unit}")
    if failed := view.counts.get("chains_failed"):
        told.append(f"{failed:,} chains failed")
    told.append(describe_age(view.updated_at, now=now))
    return " · ".join(told)


def describe_age(at: str, *, now: float) -> str:
    """`3 minutes ago`; nothing where the time cannot be read."""
    try:
        seconds = now - datetime.fromisoformat(at).timestamp()
    except ValueError:
        return ""
    if seconds < 5:
        return "just now"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return "just now"


def build_facts(facts: list[tuple[str, str]]) -> str:
    """Numbers that matter, large, each with its name below."""
    shown = "".join(
        f"<span><b>{escape(value)}</b><small>{escape(name)}</small></span>" for name, value in facts
    )
    return f'<div class="cai-facts">{shown}</div>'


def build_table(head: list[str], rows: list[list[str]]) -> str:
    """A plain table; every cell is escaped."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="cai-scroll"><table class="cai-table">{table}</table></div>'
