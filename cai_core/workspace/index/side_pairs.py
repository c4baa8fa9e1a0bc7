"""The texts of a page of pairs: steps of chains by the index, answers out of the files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.records import Finding, StepKind, Verdict
from cai_core.workspace.index.blocks import Array
from cai_core.workspace.index.chains import load_record
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.side_align import KINDS, Aligned
from cai_core.workspace.index.side_views import SideChain, SideLabel, SidePair, SideStep
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.rows import Row, parse_row

_STEPS = """
select run_number, chain_key, chain, kind, round, principle, finding, text
from rows where run_number in (?, ?) and chain_key in (select unnest(?::bigint[]))
qualify row_number() over (
    partition by run_number, chain_key, kind, round order by epoch, position) = 1
order by round, kind = 'revision'
"""
_LABELS = """
select place, comparison, verdict, source, model, principles, prob_a, position_bias, a_text, b_text
from comparisons where run_number = ? and place in (select unnest(?::integer[]))
"""
_ANSWERS = """
select place, file, position, length from answers
where run_number = ? and place in (select unnest(?::integer[])) order by epoch, position
"""
_Text = Mapping[int, str]


def load_pairs(
    con: Connection,
    texts: TextStore,
    aligned: Aligned,
    rows: Array,
    runs: tuple[int, int],
    left_folder: str,
    right_folder: str,
) -> list[SidePair]:
    """The pairs of some rows of the columns, without their keys.

    Args:
        runs: numbers of the left and the right run; the folders are theirs.
    """
    if aligned.holds == "chains":
        return _load_chain_pairs(con, texts, aligned, rows, runs)
    return _load_label_pairs(con, texts, aligned, rows, runs, (left_folder, right_folder))


def _load_chain_pairs(
    con: Connection, texts: TextStore, aligned: Aligned, rows: Array, runs: tuple[int, int]
) -> list[SidePair]:
    ids = (aligned.left_id[rows], aligned.right_id[rows])
    keys = [int(one) for side in ids for one in side if one >= 0]
    found = con.execute(_STEPS, [*runs, keys]).fetchall()
    shown = _load_texts(texts, aligned, rows, [line[7] for line in found])
    steps: dict[tuple[int, int], list[SideStep]] = defaultdict(list)
    names: dict[tuple[int, int], str] = {}
    for run, key, chain, kind, round_, principle, finding, text in found:
        names[run, key] = chain
        steps[run, key].append(
            SideStep(
                kind=StepKind(kind),
                round=round_,
                principle=principle or None,
                text=None if text is None else shown.get(text, ""),
                finding=Finding(finding) if finding in list(Finding) else None,
            )
        )

    def build(run: int, key: int) -> SideChain | None:
        if key < 0 or (run, key) not in names:
            return None
        return SideChain(chain=names[run, key], steps=tuple(steps[run, key]))

    return [
        SidePair(
            **_build_shared(aligned, int(row), shown),
            left_chain=build(runs[0], int(aligned.left_id[row])),
            right_chain=build(runs[1], int(aligned.right_id[row])),
        )
        for row in rows
    ]


def _load_label_pairs(
    con: Connection,
    texts: TextStore,
    aligned: Aligned,
    rows: Array,
    runs: tuple[int, int],
    folders: tuple[str, str],
) -> list[SidePair]:
    lines: list[dict[int, tuple[Any, ...]]] = []
    answers: list[dict[int, tuple[Row, ...]]] = []
    for run, folder, ids in zip(runs, folders, (aligned.left_id, aligned.right_id), strict=True):
        places = [int(place) for place in ids[rows] if place >= 0]
        lines.append({line[0]: line[1:] for line in con.execute(_LABELS, [run, places]).fetchall()})
        found = con.execute(_ANSWERS, [run, places]).fetchall()
        answers.append(_read_answers(Path(folder), found))
    numbers = [line[at] for side in lines for line in side.values() for at in (7, 8)]
    shown = _load_texts(texts, aligned, rows, numbers)

    def build(side: int, place: int) -> SideLabel | None:
        line = lines[side].get(place)
        if line is None:
            return None
        comparison, verdict, source, model, principles, prob_a, bias, a_text, b_text = line
        return SideLabel(
            comparison=comparison,
            verdict=Verdict(verdict) if verdict in list(Verdict) else None,
            source=source,
            model=model,
            principles=tuple(json.loads(principles)),
            prob_a=prob_a,
            position_bias=bias,
            response_a=shown.get(a_text, ""),
            response_b=shown.get(b_text, ""),
            answers=answers[side].get(place, ()),
        )

    return [
        SidePair(
            **_build_shared(aligned, int(row), shown),
            left_label=build(0, int(aligned.left_id[row])),
            right_label=build(1, int(aligned.right_id[row])),
            mirrored=bool(aligned.mirrored[row]),
        )
        for row in rows
    ]


def _read_answers(folder: Path, found: Sequence[tuple[Any, ...]]) -> dict[int, tuple[Row, ...]]:
    """Place → its answers; of two with one id the first written counts."""
    rows: dict[int, dict[str, Row]] = defaultdict(dict)
    for place, name, position, length in found:
        try:
            row = parse_row(load_record(folder / "rows" / name, position, length))
        except (OSError, ValueError):
            continue  # deleted just now
        rows[place].setdefault(row.row_id, row)
    return {
        place: tuple(sorted(some.values(), key=lambda row: (row.index, row.cot, row.order)))
        for place, some in rows.items()
    }


def _load_texts(
    texts: TextStore, aligned: Aligned, rows: Array, numbers: Sequence[int | None]
) -> dict[int, str]:
    prompts = [int(number) for number in aligned.conversation[rows] if number]
    return texts.load([*prompts, *(number for number in numbers if number is not None)])


def _build_shared(aligned: Aligned, row: int, shown: _Text) -> dict[str, Any]:
    kind = int(aligned.kind[row])
    both = aligned.left_place[row] >= 0 and aligned.right_place[row] >= 0
    return {
        "key": "",
        "prompt": shown.get(int(aligned.conversation[row]), ""),
        "kind": KINDS[kind - 1] if kind else "unknown",
        "differs": {name: bool(mask[row]) for name, mask in aligned.differs.items()}
        if both
        else {},
    }
