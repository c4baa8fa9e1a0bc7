"""A run's lineage as a picture: Graphviz's language, drawn by the browser."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cai_core.jobs.looking import Ancestor
from ui.look import make_showable
from ui.runs_words import KINDS


def build_lineage(ancestors: Sequence[Ancestor], *, dark: bool) -> str:
    """From left to right: what it was made from, and the run itself, the first of `ancestors`."""
    ink, paper, edge = (
        ("#e7e9f0", "#1b1e28", "#454b5c") if dark else ("#1b2030", "#f5f6f9", "#b9bfcc")
    )
    lines = [
        "digraph {",
        'rankdir=LR; bgcolor="transparent"; nodesep=0.3;',
        'node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11];',
        f'node [fontcolor="{ink}", fillcolor="{paper}", color="{edge}"];',
        f'edge [color="{edge}"];',
    ]
    for number, one in enumerate(ancestors):
        kind = KINDS.get(one.kind or "", one.kind or "not here any more")
        state = f", {one.state.value}" if one.state is not None else ""
        width = ", penwidth=2" if number == 0 else ""
        lines.append(f"{_quote(one.run)} [label={_quote(one.run, kind + state)}{width}];")
        lines += [f"{_quote(parent)} -> {_quote(one.run)};" for parent in one.parents]
    return "\n".join([*lines, "}"])


def _quote(*words: str) -> str:
    # JSON's quoting is Graphviz's for quotes; its own escapes (\N, \G) must not work.
    text = "\n".join(make_showable(word) for word in words).replace("\\", "∖")
    return json.dumps(text, ensure_ascii=False)
