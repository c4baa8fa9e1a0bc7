"""Exports: an import of an own export is the identity; cells are safe; memory stays bounded."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai_core.actions.exports import export_records
from cai_core.actions.imports import import_data
from cai_core.errors import CaiError, NotAllowedError
from cai_core.pipeline import exports
from cai_core.pipeline.export_card import ExportQuery
from cai_core.pipeline.exports import ExportFormat, ExportTally, Record, encode_export
from cai_core.pipeline.import_records import ImportSettings
from cai_core.pipeline.import_run import import_files
from cai_core.pipeline.label_records import LabelRecord, read_labels
from cai_core.pipeline.round_records import RoundRecord, read_rounds
from cai_core.records import (
    LOCAL_ACTOR,
    AccessRole,
    Actor,
    Finding,
    Message,
    PromptKind,
    Verdict,
)
from cai_core.workspace.events import Topic, read_events

FORMULAS = ("=1+1", " +1", "-1", "\n@SUM(A1)", "\tx", "\rx", "＝1")
# No half characters: which two of them meet, JSON does not keep.
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from([*FORMULAS, "", "'", "'=1", "a\x00b", "x\r\ny", '"', "null", "[1]", "🙂"]),
)
# Readers of rows cut white space at the ends of a text.
stripped = texts.map(str.strip)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
turns = st.lists(texts.filter(str.strip), min_size=1, max_size=3, unique=True).map(
    lambda told: tuple(
        Message("assistant" if (len(told) - n) % 2 == 0 else "user", text)
        for n, text in enumerate(told)
    )
)
probs = st.none() | st.floats(0, 1)


@st.composite
def labels(draw: st.DrawFn) -> LabelRecord:
    orders = draw(st.tuples(probs, probs))
    return LabelRecord(
        comparison_id=draw(names),
        prompt_id=draw(names),
        prompt_kind=draw(st.sampled_from(PromptKind)),
        tags=tuple(draw(st.lists(names, max_size=2, unique=True))),
        conversation=draw(turns),
        response_a=draw(texts),
        response_b=draw(texts),
        source_a=draw(st.dictionaries(names, texts, max_size=2)),
        source_b={},
        prob_a=draw(probs),
        prob_a_clamped=draw(probs),
        verdict=draw(st.sampled_from(Verdict)),
        label_source=draw(st.sampled_from(["feedback-model", "human", "revision"])),
        principle_ids=tuple(draw(st.lists(names, max_size=2))),
        reasoned=draw(st.booleans()),
        prob_a_first=orders[0],
        prob_a_second=orders[1],
        position_bias=None if None in orders else draw(st.floats(-1, 1)),
        feedback_model=draw(st.none() | texts),
        reviewer=draw(st.none() | texts),
    )


@st.composite
def rounds(draw: st.DrawFn) -> RoundRecord:
    number = draw(st.integers(0, 9))
    critique, revision = draw(
        st.tuples(st.none() | stripped, st.none() | stripped).filter(any_text)
        if number
        else st.just((None, None))
    )
    model = draw(names)
    return RoundRecord(
        run="r",
        chain="c",
        prompt_id="p",
        prompt_kind=draw(st.sampled_from(PromptKind)),
        tags=tuple(draw(st.lists(names, max_size=2, unique=True))),
        conversation=draw(turns),
        round=number,
        principle_id=draw(st.none() | names) if number else None,
        finding=draw(st.none() | st.sampled_from(Finding)) if critique is not None else None,
        response=draw(stripped),
        critique=critique,
        revision=revision,
        model=model,
        critic=draw(names) if critique is not None else model,
        constitution_hash=draw(st.just("") | names),
        template_version=draw(st.sampled_from(["chat/1", "import/1"])),
    )


def any_text(pair: tuple[str | None, str | None]) -> bool:
    return pair != (None, None)


def export(records: Sequence[Record], kind: Any, format: ExportFormat) -> bytes:
    return b"".join(encode_export(records, kind, format, ExportTally()))


def bring_back(raw: bytes, format: str, tmp_path: Path) -> Path:
    path = tmp_path / f"{hashlib.sha256(raw).hexdigest()[:16]}.{format}"
    path.write_bytes(raw)
    report = import_files(path, tmp_path / "runs", ImportSettings())
    assert report.rejected == 0, report.told
    return report.folder


quick = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv"])
@quick
@given(held=st.lists(labels(), min_size=1, max_size=4, unique_by=lambda one: one.comparison_id))
def test_an_import_of_exported_labels_is_the_identity(
    format: Any, tmp_path: Path, held: list[LabelRecord]
) -> None:
    raw = export(held, "comparisons", format)
    back = list(read_labels(bring_back(raw, format, tmp_path)))
    assert back == held
    assert export(back, "comparisons", format) == raw


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv"])
@quick
@given(held=st.lists(rounds(), min_size=1, max_size=4))
def test_an_import_of_exported_rounds_is_the_identity(
    format: Any, tmp_path: Path, held: list[RoundRecord]
) -> None:
    back = list(read_rounds(bring_back(export(held, "rounds", format), format, tmp_path)))
    # Run, chain and prompt are those of the run that holds them now.
    assert [replace(one, run="r", chain="c", prompt_id="p") for one in back] == held


LABEL = LabelRecord(
    comparison_id="c1",
    prompt_id="p#1",
    prompt_kind=PromptKind.RED_TEAM,
    tags=(),
    conversation=(Message("user", "q"),),
    response_a="good",
    response_b="bad",
    source_a={"run": "chains", "chain": "p#1/0"},
    source_b={"run": "chains", "chain": "p#1/1"},
    prob_a=0.8,
    prob_a_clamped=0.6,
    verdict=Verdict.A,
    label_source="feedback-model",
    feedback_model="judge",
)
ROUND = RoundRecord(
    run="chains",
    chain="c1",
    prompt_id="p#1",
    prompt_kind=PromptKind.HELPFUL,
    tags=(),
    conversation=(Message("user", "q"),),
    round=1,
    principle_id="kind",
    finding=Finding.FOUND,
    response="before",
    critique="It is unkind.",
    revision="after",
    model="policy",
    critic="critic",
    constitution_hash="abc",
    template_version="chat/1",
)


def test_a_label_twice_in_a_file_is_taken_once_and_two_reviewers_stay(tmp_path: Path) -> None:
    ada = replace(LABEL, label_source="human", reviewer="Ada", feedback_model=None)
    held = [LABEL, ada, replace(ada, reviewer="Bo", verdict=Verdict.B), ada]
    path = tmp_path / "l.jsonl"
    path.write_bytes(export(held, "comparisons", "jsonl"))
    report = import_files(path, tmp_path / "runs", ImportSettings())
    assert (report.records, report.rejected) == (3, 1)
    assert (report.told[0].line, "taken once" in report.told[0].reason) == (4, True)
    assert list(read_labels(report.folder)) == held[:3]
    lines = (report.folder / "outputs/comparisons.jsonl").read_text().splitlines()
    assert len(lines) == 1


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_begins_a_formula(text: str) -> None:
    held = [
        replace(LABEL, response_a=text, reviewer=text, feedback_model=text, comparison_id=text),
        replace(LABEL, source_a={text: text}, tags=(text,), prompt_id=text),
    ]
    raw = export(held, "comparisons", "csv").decode("utf-8")
    for row in csv.reader(io.StringIO(raw, newline="")):
        for cell in row:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝"))
            assert not cell.startswith(("\t", "\r"))


def test_half_characters_come_back_from_every_format(tmp_path: Path) -> None:
    held = [replace(LABEL, response_a="half \ud83d", tags=("\udc00", "x"), reviewer="\ud800")]
    for format in ("jsonl", "parquet", "csv"):
        back = bring_back(export(held, "comparisons", format), format, tmp_path)
        assert list(read_labels(back)) == held


def test_trl_takes_what_can_be_trained_on_and_counts_the_rest() -> None:
    tie = replace(LABEL, verdict=Verdict.TIE)
    held = [LABEL, tie, replace(LABEL, verdict=Verdict.UNPARSED),
            replace(LABEL, tags=("split:held-out",)), replace(LABEL, verdict=Verdict.B,
            prob_a_clamped=0.4)]  # fmt: skip
    tally = ExportTally()
    raw = b"".join(encode_export(held, "comparisons", "trl", tally))
    first, second = [json.loads(one) for one in raw.splitlines()]
    assert first["chosen"] == [{"role": "assistant", "content": "good"}]
    assert second["chosen"] == [{"role": "assistant", "content": "bad"}]
    assert (first["prob"], second["prob"]) == (0.6, 0.6)
    assert tally.left_out == {"tie": 1, "unparsed": 1, "held out": 1}
    assert (tally.records, tally.rows) == (5, 2)

    changes: list[dict[str, Any]] = [{}, {"revision": None}, {"revision": "before"},
        {"revision": " "}, {"tags": ("split:held-out",)}]  # fmt: skip
    held_rounds = [replace(ROUND, **change) for change in changes]
    tally = ExportTally()
    raw = b"".join(encode_export(held_rounds, "rounds", "trl-sft", tally))
    (row,) = [json.loads(one) for one in raw.splitlines()]
    assert row["prompt"] == [{"role": "user", "content": "q"}]
    assert row["completion"] == [{"role": "assistant", "content": "after"}]
    assert sum(tally.left_out.values()) == 4


def test_an_export_in_trl_columns_can_be_imported(tmp_path: Path) -> None:
    for held, kind in ((LABEL, "comparisons"), (ROUND, "rounds")):
        folder = bring_back(export([held], kind, "trl"), "jsonl", tmp_path)
        (label,) = read_labels(folder)
        chosen = label.response_a if label.verdict is Verdict.A else label.response_b
        assert chosen in ("good", "after")
        prob = label.prob_a if label.verdict is Verdict.A else 1 - (label.prob_a or 0)
        assert prob == (0.6 if held is LABEL else 1.0)
        assert label.label_source == ("feedback-model" if held is LABEL else "revision")
        done = bring_back(export([held], kind, "trl-sft"), "jsonl", tmp_path)
        assert [one.response for one in read_rounds(done)] == [chosen]


def test_a_file_comes_with_its_card_and_is_journalled(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    query = ExportQuery(words="finding <b>found</b>", document={"finding": "found", "q": "```"})
    done = export_records(
        LOCAL_ACTOR,
        workspace,
        iter([ROUND, ROUND]),
        tmp_path / "rounds.parquet",
        kind="rounds",
        format="parquet",
        query=query,
    )
    raw = done.path.read_bytes()
    assert done.tally.sha256 == hashlib.sha256(raw).hexdigest()
    assert pq.read_table(done.path).num_rows == done.tally.rows == 2
    card = done.card.read_text("utf-8")
    for words in ("# 2 critique–revision rounds", done.tally.sha256, "abc", "policy (2)",
                  "chains (2)", "Licence: unknown", '"finding": "found"', "license: unknown",
                  "finding &lt;b&gt;found&lt;/b&gt;"):  # fmt: skip
        assert words in card
    assert card.count("```") == 2
    (event,) = read_events(workspace, Topic.LAUNCHES)[-1:]
    assert (event["action"], event["rows"], event["query"]) == ("export rounds", 2, query.document)
    with pytest.raises(NotAllowedError):
        export_records(
            Actor(name="v", role=AccessRole.VIEWER), workspace, [], tmp_path / "x",
            kind="rounds", format="csv", query=query,
        )  # fmt: skip
    with pytest.raises(CaiError, match="known are"):
        export([ROUND], "rounds", "xls")  # type: ignore[arg-type]


def test_the_card_names_an_imported_run_and_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "q", "response": "a", "critique": "c", "revision": "r"}\n')
    report = import_data(LOCAL_ACTOR, tmp_path / "ws", path)
    out = tmp_path / "out.csv"
    done = export_records(
        LOCAL_ACTOR, tmp_path / "ws", read_rounds(report.folder), out,
        kind="rounds", format="csv", query=ExportQuery(),
    )  # fmt: skip
    card = done.card.read_text("utf-8")
    assert f"mine.jsonl (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()})" in card
    assert "Everything." in card


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv", "trl"])
def test_memory_does_not_grow_with_the_file(
    format: ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_BATCH", 100)

    def write(count: int) -> int:
        """Peak bytes."""
        records = (replace(ROUND, response=f"{n} " + "word " * 200) for n in range(count))
        tracemalloc.start()
        try:
            for _ in encode_export(records, "rounds", format, ExportTally()):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    write(10)  # what is loaded once
    assert write(2400) < 1.3 * write(400)
