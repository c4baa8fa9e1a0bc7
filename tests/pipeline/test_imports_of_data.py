"""Imports of foreign data: every format in every container, nothing lost, nothing doubled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import ImportFormatError, RunMismatchError
from cai_core.jobs.preference_sources import build_run_dataset
from cai_core.pipeline.comparison_records import read_comparisons
from cai_core.pipeline.import_records import ImportSettings
from cai_core.pipeline.import_run import ImportReport, import_files
from cai_core.pipeline.label_records import read_labels
from cai_core.pipeline.round_records import read_rounds
from cai_core.records import PromptKind, Verdict
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import open_run
from tests.official import official_file
from tests.pipeline import foreign

CONTAINERS = (".jsonl", ".jsonl.gz", ".json", ".csv", ".tsv", ".parquet", ".arrow")
OFFICIAL = {
    "samples/LAMDA_SLMADISON.jsonl": "sl-chains",
    "samples/LAMDA_RLMADISON.jsonl": "sampled-answers",
    "samples/LAMDA_RLMADISON_COT.jsonl": "sampled-answers",
    "samples/LAMDA_HRLHF.jsonl": "sampled-answers",
    "evals/438HHHEvaluations.first120.jsonl": "answer-pairs",
    "evals/HarmfulVsEthical.first40.jsonl": "multiple-choice",
    "evals/HarmfulnessClassification.first40.jsonl": "multiple-choice",
    "../hh-rlhf-harmless-base.200.jsonl": "transcripts",
}


def bring_in(path: Path, tmp_path: Path, **settings: Any) -> ImportReport:
    return import_files(path, tmp_path / "workspace" / "runs", ImportSettings(**settings))


def rows_of(report: ImportReport) -> list[Row]:
    index = RowIndex(open_run(report.folder), "chain")
    assert (index.damaged, index.doubled) == (0, 0)
    return list(index.values())


def read_all(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("relative", OFFICIAL)
def test_every_official_file_is_imported_whole(relative: str, tmp_path: Path) -> None:
    path = official_file(relative)
    raw = [one for one in path.read_bytes().splitlines() if one.strip()]
    report = bring_in(path, tmp_path)
    assert (report.records, report.rejected, report.added > 0) == (len(raw), 0, True)
    assert report.formats == {path.name: OFFICIAL[relative]}
    assert (report.folder / "inputs" / path.name).read_bytes() == path.read_bytes()
    records = [json.loads(one) for one in raw]
    match report.formats[path.name]:
        case "sampled-answers":
            texts = [a["sampled_string"] for r in records for a in r["sampled_answers"]]
            assert [row.text for row in rows_of(report)] == texts
        case "transcripts":
            for record, label in zip(records, read_labels(report.folder), strict=True):
                turns = [turn.content for turn in label.conversation]
                answers = [label.response_a, label.response_b]
                if label.verdict is Verdict.B:
                    answers.reverse()
                # Every character of the dialogue but the names of who speaks.
                for text, answer in zip(record.values(), answers, strict=True):
                    assert text.endswith(answer)
                    assert all(turn in text for turn in turns)
                assert label.label_source == "human"
        case "answer-pairs":
            for record, label in zip(records, read_labels(report.folder), strict=True):
                assert record["corrects"] == [f" ({label.verdict.value})"]
        case "multiple-choice":
            lines = (report.folder / "outputs/questions.jsonl").read_text("utf-8").splitlines()
            told = [json.loads(one) for one in lines]
            keys = ("prompt", "corrects", "incorrects")
            assert [{key: one[key] for key in keys} for one in told] == records


def test_official_folders_are_imported_whole_and_again(tmp_path: Path) -> None:
    folder = official_file("samples/LAMDA_SLMADISON.jsonl").parent
    count = sum(len(path.read_bytes().splitlines()) for path in folder.glob("*.jsonl"))
    report = bring_in(folder, tmp_path)
    assert (report.records, report.rejected) == (count, 0)
    before = read_all(report.folder)
    again = bring_in(folder, tmp_path)
    assert (again.added, again.records, again.run_id) == (0, count, report.run_id)
    assert read_all(report.folder) == before


@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("shape", ["comparison", "pair", "answered"])
def test_every_container_gives_the_same(ending: str, shape: str, tmp_path: Path) -> None:
    texts = ["plain", "two\nlines\r\n", 'a "quoted", one', "🙂\u2028 عربي", " =SUM(A1) ", "\tx"]
    records = [{**getattr(foreign, shape)(n), "prompt": text} for n, text in enumerate(texts)]
    path = foreign.write_as(tmp_path / f"data{ending}", records)
    report = bring_in(path, tmp_path)
    assert (report.records, report.rejected, report.told) == (len(records), 0, ())
    if shape == "answered":
        found = list(read_rounds(report.folder))
        assert [one.conversation[-1].content for one in found] == texts
        assert [one.revision for one in found] == [one["revision"] for one in records]
    else:
        labels = list(read_labels(report.folder))
        assert [one.conversation[-1].content for one in labels] == texts
    assert bring_in(path, tmp_path).added == 0


@pytest.mark.parametrize("ending", [".json", ".parquet", ".arrow"])
@pytest.mark.parametrize("shape", ["sl_chain", "sampled", "hhh", "choice", "transcripts"])
def test_nested_records_come_from_tables_as_from_lines(
    ending: str, shape: str, tmp_path: Path
) -> None:
    records = [getattr(foreign, shape)(n) for n in range(9)]
    plain = bring_in(foreign.write_jsonl(tmp_path / "data.jsonl", records), tmp_path)
    report = bring_in(foreign.write_as(tmp_path / f"data{ending}", records), tmp_path)
    assert (report.records, report.rejected, report.counts) == (9, 0, plain.counts)
    if report.kind == "chains":
        told = [(row.prompt_id, row.text, row.scoring) for row in rows_of(report)]
        assert told == [(row.prompt_id, row.text, row.scoring) for row in rows_of(plain)]


@pytest.mark.parametrize(
    ("record", "format"),
    [
        (foreign.sl_chain(), "sl-chains"),
        (foreign.sampled(), "sampled-answers"),
        (foreign.transcripts(), "transcripts"),
        (foreign.hhh(), "answer-pairs"),
        (foreign.choice(), "multiple-choice"),
        (foreign.comparison(), "comparisons"),
        (foreign.pair(), "pairs"),
        (foreign.answered(), "rounds"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
         "rounds"),
        ({"prompt": [{"role": "user", "content": "a"}],
          "chosen": [{"role": "assistant", "content": "b"}],
          "rejected": [{"role": "assistant", "content": "c"}]}, "pairs"),
        ({"prompt": "a", "completion": "b"}, "rounds"),
        ({"transcript": foreign.dialogue("a", "b"), "rating": 1.0}, "rounds"),
        ({"text_a": "a", "text_b": "b", "preferred_text": "text_b", "input": "q"}, "comparisons"),
    ],
)  # fmt: skip
def test_a_format_is_found_by_its_fields(record: Any, format: str, tmp_path: Path) -> None:
    path = foreign.write_jsonl(tmp_path / "data.jsonl", [record, record])
    report = bring_in(path, tmp_path)
    assert report.formats == {"data.jsonl": format}
    assert (report.records, report.rejected) == (2, 0)


def test_a_preference_is_placed_by_a_coin_and_keeps_file_line_and_field(tmp_path: Path) -> None:
    records = [foreign.transcripts(n) for n in range(64)]
    path = foreign.write_jsonl(tmp_path / "pairs.jsonl", records)
    labels = list(read_labels(bring_in(path, tmp_path, prompt_kind=PromptKind.RED_TEAM).folder))
    firsts = 0
    for number, label in enumerate(labels):
        chosen, rejected = label.response_a, label.response_b
        sources = [label.source_a, label.source_b]
        if label.verdict is Verdict.B:
            chosen, rejected = rejected, chosen
            sources.reverse()
        firsts += label.verdict is Verdict.A
        assert (chosen, rejected) == (f"Good {number}.", f"Bad {number}.")
        assert [one["field"] for one in sources] == ["chosen", "rejected"]
        assert {one["line"] for one in sources} == {str(number + 1)}
        assert {one["file"] for one in sources} == {"pairs.jsonl"}
        assert label.prompt_id == f"pairs#{number + 1}"
        assert label.prompt_kind is PromptKind.RED_TEAM
    assert 16 < firsts < 48
    ids = [one.comparison_id for one in labels]
    assert len(set(ids)) == 64
    assert ids == [one.comparison_id for one in read_comparisons(open_folder(tmp_path))]


def open_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "workspace/runs").glob("import-*")
    return folder


def test_dialogues_that_part_early_keep_every_turn(tmp_path: Path) -> None:
    records = [
        {"chosen": foreign.dialogue("a", "b", "c", "d"), "rejected": foreign.dialogue("a", "x")},
        {"chosen": foreign.dialogue("a", "b"), "rejected": foreign.dialogue("a")},
        {"chosen": foreign.dialogue("a", "b"), "rejected": foreign.dialogue("a", "b")},
        {"chosen": foreign.dialogue("a", "b"), "rejected": foreign.dialogue("z", "b")},
    ]
    report = bring_in(foreign.write_jsonl(tmp_path / "p.jsonl", records), tmp_path)
    assert (report.records, report.rejected) == (3, 1)
    assert "share no turn" in report.told[0].reason and report.told[0].line == 4
    early, empty, alike = read_labels(report.folder)
    assert {early.response_a, early.response_b} == {"b\n\nHuman: c\n\nAssistant: d", "x"}
    assert "import:several-turns" in early.tags
    assert {empty.response_a, empty.response_b} == {"b", ""}
    assert (alike.response_a, alike.response_b) == ("b", "b")
    assert [one.conversation[-1].content for one in (early, empty, alike)] == ["a"] * 3


def test_verdicts_are_taken_at_their_word_and_never_guessed(tmp_path: Path) -> None:
    words = ["A", "response_b", "tie", "", None, "1", 1, "maybe", "unparsed", "model_a"]
    records = [{**foreign.comparison(), "label": word} for word in words]
    path = foreign.write_jsonl(tmp_path / "p.jsonl", records)
    report = bring_in(path, tmp_path)
    assert [one.line for one in report.told] == [6, 7, 8]
    assert "--verdict 1=A" in report.told[0].reason
    verdicts = [one.verdict.value for one in read_labels(report.folder)]
    assert verdicts == ["A", "B", "tie", "unparsed", "A"]
    # The two without a word are comparisons that nobody has labelled.
    assert len(list(read_comparisons(report.folder))) == 7
    mapped = bring_in(path, tmp_path, verdicts={"1": "B", "maybe": "tie"})
    assert (mapped.records, mapped.rejected) == (10, 0)
    assert mapped.run_id != report.run_id


def test_comparisons_without_a_label_are_there_to_be_labelled(tmp_path: Path) -> None:
    records = [{**foreign.comparison(n), "label": None} for n in range(4)]
    report = bring_in(foreign.write_jsonl(tmp_path / "p.jsonl", records), tmp_path)
    assert (report.records, report.counts.get("labels", 0)) == (4, 0)
    assert len(list(read_comparisons(report.folder))) == 4
    # The labels page and the index go by this file.
    assert not (report.folder / "outputs/labels.jsonl").exists()


def test_probabilities_are_kept_and_checked(tmp_path: Path) -> None:
    base = {key: told for key, told in foreign.comparison().items() if key != "label"}
    told = [{"prob_a": 0.9}, {"prob_a": 0.52}, {"prob_a": 1.5}, {"prob_a": "0.5"},
            {"prob_a": True}, {"prob_a": 0.2, "label": "A"}]  # fmt: skip
    path = foreign.write_jsonl(tmp_path / "p.jsonl", [{**base, **one} for one in told])
    report = bring_in(path, tmp_path, label_source="feedback-model")
    assert [one.line for one in report.told] == [3, 4, 5, 6]
    first, second = read_labels(report.folder)
    assert (first.prob_a, first.verdict, first.label_source) == (0.9, Verdict.A, "feedback-model")
    assert second.verdict is Verdict.TIE


def test_annotated_pairs_keep_label_and_votes(tmp_path: Path) -> None:
    document = foreign.annotated(3)
    pretty, single = tmp_path / "pretty.json", tmp_path / "single.json"
    pretty.write_text(json.dumps(document, indent=2), "utf-8")
    single.write_text(json.dumps(document), "utf-8")
    for path in (pretty, single):
        report = bring_in(path, tmp_path)
        assert (report.records, report.rejected) == (3, 0)
        labels = list(read_labels(report.folder))
        assert [one.verdict.value for one in labels] == ["A", "B", "A"]
        assert {(one.label_source, one.reviewer) for one in labels} == {("human", "Ada")}
        assert labels[0].source_a == {
            "file": path.name, "line": "1", "field": "response_a", "id": "c0", "model": "m1"
        }  # fmt: skip
        votes = (report.folder / "outputs/votes.jsonl").read_text("utf-8").splitlines()
        told = [json.loads(one) for one in votes]
        assert [one["annotator"] for one in told] == ["d", "p"] * 3
        assert told[1]["vote"] == {"pref": None, "no_pref_reason": "not_applicable"}
        assert told[1]["description"] == "Be kind."


def test_a_saved_dataset_is_imported_and_its_test_split_held_out(tmp_path: Path) -> None:
    splits = {
        "train": [foreign.pair(n) for n in range(20)],
        "test": [foreign.pair(n) for n in range(20, 25)],
    }
    folder = foreign.save_to_disk(tmp_path / "saved", splits)
    report = bring_in(folder, tmp_path)
    assert (report.records, report.rejected, report.counts["held out"]) == (25, 0, 5)
    held = [one.prompt_id for one in read_labels(report.folder) if "split:held-out" in one.tags]
    assert held == [f"test/data-00000-of-00001#{n}" for n in range(1, 6)]
    shards = tmp_path / "shards"
    (shards / "data").mkdir(parents=True)
    (shards / "README.md").write_text("# A card")
    names = ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")
    for name in names:
        foreign.write_as(shards / "data" / f"{name}.parquet", splits["test"])
    found = bring_in(shards, tmp_path)
    assert (found.records, found.rejected, found.counts["held out"]) == (15, 0, 5)


def test_a_mixed_folder_asks_which_kind_and_takes_it(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    foreign.write_jsonl(folder / "a.jsonl", [foreign.transcripts()])
    foreign.write_jsonl(folder / "b.jsonl", [foreign.choice()])
    with pytest.raises(ImportFormatError, match=r"several kinds: 1 of preferences, 1 of questions"):
        bring_in(folder, tmp_path)
    report = bring_in(folder, tmp_path, kind="preferences")
    assert (report.records, report.rejected) == (1, 1)
    assert (report.told[0].file, report.told[0].line) == ("b.jsonl", 0)


def test_an_imported_preference_run_can_be_trained_on(tmp_path: Path) -> None:
    records = [foreign.transcripts(n) for n in range(30)]
    report = bring_in(foreign.write_jsonl(tmp_path / "p.jsonl", records), tmp_path)
    recipe = DpoRecipe(base="demo", sources=(PreferenceSource(run=report.run_id),))
    dataset = build_run_dataset(recipe, tmp_path / "workspace")
    assert len(dataset.examples) == 30
    assert all(one.chosen.startswith("Good") and one.prob == 1.0 for one in dataset.examples)


def test_a_crash_in_the_middle_is_made_good(tmp_path: Path) -> None:
    path = foreign.write_jsonl(tmp_path / "c.jsonl", [foreign.answered(n) for n in range(9)])
    report = bring_in(path, tmp_path)
    whole = {row.row_id: row for row in rows_of(report)}
    (rows,) = (report.folder / "rows").glob("*.jsonl")
    rows.write_bytes(rows.read_bytes()[:-900])
    (report.folder / "outputs/import.json").unlink()
    again = bring_in(path, tmp_path)
    assert 0 < again.added < len(whole)
    assert {row.row_id: row for row in rows_of(again)} == whole


def test_another_file_or_setting_is_another_run(tmp_path: Path) -> None:
    path = foreign.write_jsonl(tmp_path / "c.jsonl", [foreign.pair()])
    first = bring_in(path, tmp_path)
    assert bring_in(path, tmp_path, tags=("x",)).run_id != first.run_id
    foreign.write_jsonl(path, [foreign.pair(2)])
    assert bring_in(path, tmp_path).run_id != first.run_id
    with pytest.raises(RunMismatchError):
        import_files(path, tmp_path, ImportSettings(), out=first.folder)


def test_wrong_settings_and_places_are_told(tmp_path: Path) -> None:
    path = foreign.write_jsonl(tmp_path / "c.jsonl", [foreign.pair()])
    for settings in ({"format": "csv"}, {"kind": "x"}, {"verdicts": {"1": "C"}}):
        with pytest.raises(ImportFormatError, match="Choose one of"):
            ImportSettings(**settings)  # type: ignore[arg-type]
    for name in ("klingon", "base64"):
        with pytest.raises(ImportFormatError, match="encoding"):
            bring_in(path, tmp_path, encoding=name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.jsonl").touch()
    for name in ("empty", "none.jsonl", "absent"):
        with pytest.raises(ImportFormatError):
            bring_in(tmp_path / name, tmp_path)
