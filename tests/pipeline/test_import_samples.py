"""Import of sample chains: nothing lost, nothing doubled, damage told with line and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import pytest

from cai_core.constitution import load_constitution
from cai_core.errors import ImportFormatError, RunMismatchError
from cai_core.pipeline import import_run
from cai_core.pipeline.import_samples import ROWS_STEP, ImportReport, import_anthropic_samples
from cai_core.prompts import paper
from cai_core.records import StepKind
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.official import official_file


def principle(number: int) -> dict[str, Any]:
    return {
        "prompt": [f"\n\nCritiqueRequest: Look  {number}.\n\nCritique:"],
        "edit_request": f"\n\nRevisionRequest: Mend {number}.\n\nRevision:",
    }


def chain(number: int) -> dict[str, Any]:
    return {
        "rl_prompt": f"\n\nHuman: Question: {number}?\n\nAssistant:",
        "comparison_dataset": "own",
        "initial_response": [{"sample": f"  Answer {number}.\n\nHuman:"}],
        "cst": [
            {
                "cst_key": f"harmful{(number + k) % 6}",
                "cst_value": principle((number + k) % 6),
                "critique": {"sample": f" Critique {k} 🙂\u2028\x00"},
                "revision": {"sample": f" Revision {k} \ud800"},
            }
            for k in range(4)
        ],
    }


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def line(record: object) -> bytes:
    return json.dumps(record).encode("utf-8") + b"\n"


def rows_of(out: Path) -> list[Row]:
    index = RowIndex(open_run(out), ROWS_STEP)
    assert (index.damaged, index.doubled) == (0, 0)
    return [index[row_id] for row_id in index]


def expected_texts(record: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    texts = [("response", None, record["initial_response"][0]["sample"])]
    for k, entry in enumerate(record["cst"], start=1):
        texts.append((f"critique-{k}", entry["cst_key"], entry["critique"]["sample"]))
        texts.append((f"revision-{k}", entry["cst_key"], entry["revision"]["sample"]))
    return texts


def test_every_text_becomes_a_row_as_it_is(tmp_path: Path) -> None:
    records = [chain(n) for n in range(3)]
    path = write(tmp_path / "own_SLMADISON.jsonl", [line(r) for r in records])
    report = import_anthropic_samples(path, tmp_path / "run")
    assert report == ImportReport(chains=3, rows=27, added=27, rejected=())
    rows = rows_of(tmp_path / "run")
    wanted = [text for record in records for text in expected_texts(record)]
    assert [(row.step, row.principle_id, row.text) for row in rows] == wanted
    assert [row.index for row in rows[:9]] == list(range(9))
    assert [row.round for row in rows[:9]] == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert {row.prompt_id for row in rows} == {f"own_SLMADISON#{n}" for n in (1, 2, 3)}
    assert rows[0].prompt == {
        "conversation": [{"role": "user", "content": "Question: 0?"}],
        "kind": "unknown",
        "tags": ["own"],
    }
    assert {(r.model_id, r.engine, r.template_version) for r in rows} == {
        ("anthropic-samples", "imported", "paper/1")
    }


def test_the_run_keeps_the_principles_that_its_rows_name(tmp_path: Path) -> None:
    path = write(tmp_path / "own_SLMADISON.jsonl", [line(chain(n)) for n in range(3)])
    import_anthropic_samples(path, tmp_path / "run")
    constitution = load_constitution(tmp_path / "run/outputs/constitution.yaml")
    assert {row.constitution_hash for row in rows_of(tmp_path / "run")} == {constitution.hash}
    assert [p.id for p in constitution.principles] == [f"harmful{n}" for n in range(6)]
    assert constitution.principle("harmful2").critique_request == "Look  2."


def test_importing_again_doubles_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "own_SLMADISON.jsonl", [line(chain(n)) for n in range(2)])
    import_anthropic_samples(path, tmp_path / "run")
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    again = import_anthropic_samples(path, tmp_path / "run")
    assert again == ImportReport(chains=2, rows=18, added=0, rejected=())
    assert {f: f.read_bytes() for f in (tmp_path / "run").rglob("*") if f.is_file()} == before


def test_an_import_cut_off_is_completed(tmp_path: Path) -> None:
    path = write(tmp_path / "own_SLMADISON.jsonl", [line(chain(n)) for n in range(2)])
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    import_anthropic_samples(path, whole)
    import_anthropic_samples(path, cut)
    (rows,) = (cut / "rows").glob("*.jsonl")
    rows.write_bytes(rows.read_bytes()[:-700])
    report = import_anthropic_samples(path, cut)
    assert 0 < report.added < 18
    by_id = {row.row_id: row for row in rows_of(cut)}
    assert by_id == {row.row_id: row for row in rows_of(whole)}
    assert open_run(cut).status().state is RunState.SUCCEEDED


def test_other_contents_do_not_mix_into_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "own_SLMADISON.jsonl", [line(chain(1))])
    import_anthropic_samples(path, tmp_path / "run")
    write(path, [line(chain(2))])
    with pytest.raises(RunMismatchError, match="sha256"):
        import_anthropic_samples(path, tmp_path / "run")


def broken(**changes: object) -> bytes:
    return line({**chain(1), **changes})


def broken_round(**changes: object) -> bytes:
    record = chain(1)
    record["cst"][2] |= changes
    return line(record)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(chain(1))[:200] + b"\n", "broken JSON at column"),
        (b"[1, 2]\n", "not a JSON object"),
        (b"[" * 100_000 + b"\n", "broken JSON"),
        (line({**chain(1), "extra": "caf"}).replace(b"caf", b"caf\xe9"), "not UTF-8 at byte"),
        (broken(rl_prompt=3), "no text 'rl_prompt'"),
        (broken(rl_prompt="Question?"), "transcript begins with 'Question?'"),
        (broken(rl_prompt="\n\nHuman: Q?\n\nAssistant: A."), "the last turn must be the user's"),
        (broken(rl_prompt="\n\nHuman: \n\nAssistant:"), "the prompt is empty"),
        (broken(initial_response=[]), "'initial_response' is not a list of 1"),
        (broken(initial_response=[{"sample": None}]), "initial_response has no text 'sample'"),
        (broken(initial_response=["x"]), "'initial_response' holds something that is no object"),
        (broken(cst=chain(1)["cst"][:3]), "'cst' is not a list of 4"),
        (broken(cst={}), "'cst' is not a list of 4"),
        (broken_round(cst_key=7), "cst[2] has no text 'cst_key'"),
        (broken_round(cst_key="../x"), "cst[2]: '../x' cannot be a principle's id"),
        (broken_round(cst_value=None), "cst[2]: cst_value is not an object"),
        (broken_round(cst_value=principle(5)), "harmful3 has other requests than in a line before"),
        (broken_round(critique=" text"), "cst[2]: critique has no text 'sample'"),
        (broken_round(revision={}), "cst[2]: revision has no text 'sample'"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_told_and_the_good_ones_kept(
    tmp_path: Path, bad: bytes, reason: str
) -> None:
    lines = [line(chain(0)), bad, b"\n", line(chain(2)).rstrip()]
    path = write(tmp_path / "own_SLMADISON.jsonl", lines)
    report = import_anthropic_samples(path, tmp_path / "run")
    assert (report.chains, report.rows, len(rows_of(tmp_path / "run"))) == (2, 18, 18)
    (rejected,) = report.rejected
    assert (rejected.file, rejected.line) == ("own_SLMADISON.jsonl", 2)
    assert reason in rejected.reason
    stored = json.loads((tmp_path / "run/outputs/rejected.json").read_text("utf-8"))
    assert stored == [{"file": rejected.file, "line": 2, "reason": rejected.reason}]
    assert import_anthropic_samples(path, tmp_path / "run").added == 0


def test_a_folder_is_imported_whole_and_only_its_sample_files(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    write(folder / "one_SLMADISON.jsonl", [line(chain(1))])
    write(folder / "two_SLMADISON.jsonl", [line(chain(1)), b"{}\n"])
    write(folder / "other_RLMADISON.jsonl", [b"{}\n"])
    report = import_anthropic_samples(folder, tmp_path / "run")
    assert (report.chains, report.rows) == (2, 18)
    assert [(r.file, r.line) for r in report.rejected] == [("two_SLMADISON.jsonl", 2)]
    rows = rows_of(tmp_path / "run")
    assert len({row.row_id for row in rows}) == 18
    assert len({row.prompt_hash for row in rows}) == 1


def test_a_file_without_a_chain_is_a_failed_run(tmp_path: Path) -> None:
    utf16 = "\n".join(json.dumps(chain(n)) for n in range(2)).encode("utf-16")
    path = write(tmp_path / "own_SLMADISON.jsonl", [utf16])
    report = import_anthropic_samples(path, tmp_path / "run")
    assert (report.chains, report.rows, len(report.rejected)) == (0, 0, 2)
    assert open_run(tmp_path / "run").status().state is RunState.FAILED


def test_nothing_to_import_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(ImportFormatError):
            import_anthropic_samples(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_official_file_is_imported_without_loss(tmp_path: Path) -> None:
    path = official_file("samples/LAMDA_SLMADISON.jsonl")
    official = [json.loads(raw) for raw in path.read_bytes().splitlines()]
    report = import_anthropic_samples(path, tmp_path / "run")
    assert (report.chains, report.rejected) == (len(official), ())
    rows = rows_of(tmp_path / "run")
    wanted = [text for record in official for text in expected_texts(record)]
    assert [(row.step, row.principle_id, row.text) for row in rows] == wanted


def test_official_chains_render_to_the_byte(tmp_path: Path) -> None:
    path = official_file("samples/LAMDA_SLMADISON.jsonl")
    import_anthropic_samples(path, tmp_path / "run")
    constitution = load_constitution(tmp_path / "run/outputs/constitution.yaml")
    rows = iter(rows_of(tmp_path / "run"))
    for raw in path.read_bytes().splitlines():
        record = json.loads(raw)
        conversation = paper.parse_transcript(record["rl_prompt"])
        response = str(next(rows).text)
        for entry in record["cst"]:
            critique, revision = next(rows), next(rows)
            assert (critique.kind, revision.kind) == (StepKind.CRITIQUE, StepKind.REVISION)
            rule = constitution.principle(str(critique.principle_id))
            asked = entry["cst_value"]
            start = record["rl_prompt"] + response + asked["prompt"][0]
            assert paper.build_critique(conversation, response, rule) == start
            whole = start + str(critique.text) + asked["edit_request"]
            built = paper.build_revision(conversation, response, rule, str(critique.text))
            assert built == whole
            response = str(revision.text)


def test_an_import_that_waited_for_another_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "own_SLMADISON.jsonl", [line(chain(n)) for n in range(2)])

    class LateWriter(RunWriter):
        """Gets the lock after another import has had it from beginning to end."""

        def __enter__(self) -> Self:
            monkeypatch.setattr(import_run, "RunWriter", RunWriter)
            import_anthropic_samples(path, tmp_path / "run")
            return super().__enter__()

    monkeypatch.setattr(import_run, "RunWriter", LateWriter)
    assert import_anthropic_samples(path, tmp_path / "run").added == 0
    assert len(rows_of(tmp_path / "run")) == 18
