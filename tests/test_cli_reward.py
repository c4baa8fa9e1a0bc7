"""`reward evaluate`, with a reward model that the bundled server serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.cli import main
from cai_core.errors import ImportFormatError
from cai_core.evaluation.comparison_file import load_comparisons
from cai_core.inference.launcher import stop_server
from tests.inference import tiny_models
from tests.training.labels import make_label

HHH = Path(__file__).resolve().parents[2] / "shared" / "data" / "anthropic-cai" / "evals"


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def make_transcripts(good: str, bad: str, **own: Any) -> dict[str, Any]:
    asked = "\n\nHuman: How do I bake bread?\n\nAssistant:"
    return {"text_correct": f"{asked} {good}", "text_incorrect": f"{asked} {bad}", **own}


def test_a_reward_model_is_measured_and_swapping_turns_it_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "workspace"))
    folder = str(tiny_models.save_reward_llama(tmp_path / "reward"))
    texts = [(f"Mix flour {n}.", f"No, not {n} breads.") for n in range(12)]
    straight = write(tmp_path / "a.jsonl", *[make_transcripts(*two) for two in texts])
    swapped = write(tmp_path / "b.jsonl", *[make_transcripts(*two[::-1]) for two in texts])
    long = make_transcripts("bread \u00e9 " * 400, "No.")
    mixed = write(tmp_path / "c.jsonl", make_transcripts(*texts[0]), long)
    try:
        rates = []
        for path in (straight, swapped):
            assert main(["reward", "evaluate", folder, str(path), "--json"]) == 0
            rates.append(json.loads(capsys.readouterr().out)["accuracy"])
        assert rates[0]["rate"] + rates[1]["rate"] == pytest.approx(1.0)
        assert rates[0]["n"] == 12 and rates[0]["clusters"] == 1
        assert main(["reward", "evaluate", folder, str(mixed)]) == 0
        assert "left out: 1 too long" in capsys.readouterr().out
    finally:
        stop_server(folder, tmp_path / "workspace")


def test_labels_and_pairs_are_read_too(tmp_path: Path) -> None:
    labels = [make_label(1), make_label(2, 0.2), make_label(3, 0.5), make_label(4, None)]
    held = load_comparisons(
        write(tmp_path / "l.jsonl", {"format": 1}, *[label.as_dict() for label in labels])
    )
    assert [one.preferred[-1].content for one in held.comparisons] == [
        labels[0].response_a,
        labels[1].response_b,
    ]
    assert (held.ties, held.unparsed) == (1, 1)
    pair = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
    (one,) = load_comparisons(write(tmp_path / "p.jsonl", pair)).comparisons
    assert (one.preferred[-1].content, one.other[-1].content) == ("b", "c")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"prompt": "a"}, ":1: no comparison: its fields are prompt"),
        ({"chosen": "a", "rejected": "b"}, ":1: no comparison"),
        (
            {"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: a\n\nAssistant: b"},
            "does not end in an answer",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, record: dict[str, Any], told: str) -> None:
    with pytest.raises(ImportFormatError, match=told):
        load_comparisons(write(tmp_path / "f.jsonl", record))


def test_hhh_evaluations_are_read() -> None:
    found = sorted(HHH.glob("438HHHEvaluations*.jsonl"))
    if not found:
        pytest.skip("the HHH evaluations are not here")
    held = load_comparisons(found[0])
    assert len(held.comparisons) == len(found[0].read_text("utf-8").splitlines())
    assert all(one.preferred[:-1] == one.other[:-1] for one in held.comparisons)
