"""Files as others write them: the official shapes with words of our own, and every container."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Record = dict[str, Any]


def dialogue(*turns: str) -> str:
    names = ("Human", "Assistant")
    return "".join(f"\n\n{names[n % 2]}: {turn}" for n, turn in enumerate(turns))


def sl_chain(number: int = 0) -> Record:
    asked = {
        "prompt": ["\n\nCritiqueRequest: Look.\n\nCritique:"],
        "edit_request": "\n\nRevisionRequest: Mend.\n\nRevision:",
    }
    step = {
        "cst_key": "harmful0",
        "cst_value": asked,
        "critique": {"sample": f" It says {number}."},
        "revision": {"sample": f" Better {number}."},
    }
    return {
        "rl_prompt": f"\n\nHuman: Question {number}?\n\nAssistant:",
        "comparison_dataset": "own",
        "comparison_model": "x",
        "initial_response": [{"sample": f" Answer {number}.\n\nHuman:"}],
        "cst": [step] * 4,
    }


def sampled(number: int = 0, answers: int = 3) -> Record:
    return {
        "rl_prompt": f"\n\nHuman: Question {number}?\n\nAssistant:",
        "comparison_dataset": "own",
        "sampled_answers": [
            {"sampled_string": f" Answer {n}.\n\nHuman:", "pm_scores": [{"pm_score": n / 3}]}
            for n in range(answers)
        ],
    }


def transcripts(number: int = 0) -> Record:
    start = ("Hello", "Hi.", f"Question {number}?")
    return {
        "chosen": dialogue(*start, f"Good {number}."),
        "rejected": dialogue(*start, f"Bad {number}."),
    }


def hhh(number: int = 0) -> Record:
    right, wrong = (" (A)", " (B)") if number % 2 else (" (B)", " (A)")
    return {
        "prompt": f"\n\nWhich one? {number}\n\n(A) one\n(B) two\n\nThe answer is:",
        "corrects": [right],
        "incorrects": [wrong],
        "text_correct": dialogue(f"Question {number}?", "Right."),
        "text_incorrect": dialogue(f"Question {number}?", "Wrong."),
    }


def choice(number: int = 0) -> Record:
    return {
        "prompt": f"Which is it? {number}\n(A) a\n(B) b\n(C) c\nThe answer is:",
        "corrects": [" (A)"],
        "incorrects": [" (B)", " (C)"],
    }


def comparison(number: int = 0) -> Record:
    return {
        "prompt": f"Question {number}?",
        "response_a": f"One {number}.",
        "response_b": f"Two {number}, = and + and @.",
        "label": ("A", "B", "tie")[number % 3],
    }


def pair(number: int = 0) -> Record:
    return {"prompt": f"Question {number}?", "chosen": f"Good {number}.", "rejected": "Bad."}


def answered(number: int = 0) -> Record:
    return {
        "prompt": f"Question {number}?",
        "response": f"Answer {number}.",
        "critique": f"It says {number}.",
        "revision": f"Better {number}.",
    }


def annotated(count: int = 2) -> Record:
    return {
        "metadata": {"version": "2.0", "default_annotator": "d"},
        "annotators": {
            "d": {"name": "Ada", "description": "asked", "type": "human"},
            "p": {"description": "Be kind.", "type": "principle"},
        },
        "comparisons": [
            {
                "id": f"c{n}",
                "prompt": f"Question {n}?",
                "response_a": {"text": f"One {n}.", "model": "m1"},
                "response_b": {"text": f"Two {n}."},
                "annotations": {
                    "d": {"pref": "ab"[n % 2]},
                    "p": {"pref": None, "no_pref_reason": "not_applicable"},
                },
            }
            for n in range(count)
        ],
    }


def line(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n"


def write_jsonl(path: Path, records: Sequence[object]) -> Path:
    path.write_bytes(b"".join(map(line, records)))
    return path


def write_as(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write the records in the container that the path's ending names."""
    raw = b"".join(map(line, records))
    match "".join(path.suffixes):
        case ".jsonl":
            path.write_bytes(raw)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(raw))
        case ".json":
            path.write_text(json.dumps(list(records), indent=1), "utf-8")
        case ".csv" | ".tsv":
            path.write_bytes(_build_csv(records, "\t" if path.suffix == ".tsv" else ","))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(list(records)), path)
        case ".arrow":
            write_arrow(path, records)
        case _:
            raise AssertionError(path)
    return path


def write_arrow(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    table = pa.Table.from_pylist(list(records))
    with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def save_to_disk(folder: Path, splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """A folder as `datasets.DatasetDict.save_to_disk` lays it out."""
    folder.mkdir()
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for name, records in splits.items():
        (folder / name).mkdir()
        file = "data-00000-of-00001.arrow"
        write_arrow(folder / name / file, records)
        (folder / name / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": file}], "_split": name})
        )
        (folder / name / "dataset_info.json").write_text("{}")
    return folder


def _build_csv(records: Sequence[Mapping[str, Any]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode("utf-8")
