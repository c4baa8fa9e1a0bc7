"""What a `ways` run makes of its rows: a line for each prompt with its answers, and their counts.

outputs/ways.jsonl, ways.json, constitution.yaml
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cai_core.constitution import dump_constitution
from cai_core.errors import WorkspaceError
from cai_core.pipeline.inputs import CONSTITUTION
from cai_core.pipeline.ways_answers import Answer, read_answer, read_text
from cai_core.pipeline.ways_recipe import Way, WaysRecipe
from cai_core.records import Constitution, Prompt
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record, read_lines
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run

STEP = "way"
ANSWERS, COUNTS = "ways.jsonl", "ways.json"


def save_answers(
    run: Run, prompts: Sequence[Prompt], recipe: WaysRecipe, constitution: Constitution
) -> dict[str, Any]:
    """Write outputs/ways.jsonl in the order of the prompts, and ways.json; the counts.

    A line holds nothing that depends on time, place or concurrency.
    """
    rows = RowIndex(run, STEP)
    told: dict[Way, Counter[str]] = {way: Counter() for way in recipe.ways}
    seconds = dict.fromkeys(recipe.ways, 0.0)
    errors: list[str] = []

    def build() -> Iterator[bytes]:
        for prompt in prompts:
            answers = {}
            for way in recipe.ways:
                answer = read_answer(way, prompt, rows, recipe, constitution, run.run_id)
                _count(answer, told[way])
                seconds[way] += answer.seconds
                if answer.error is not None:
                    errors.append(f"{prompt.prompt_id}, {way}: {answer.error}")
                answers[way.value] = build_answer_record(answer)
            yield encode_record(
                {
                    "prompt_id": prompt.prompt_id,
                    "prompt_hash": prompt.hash,
                    "kind": prompt.kind.value,
                    "tags": list(prompt.tags),
                    "conversation": [turn.as_dict() for turn in prompt.conversation],
                    "answers": answers,
                }
            )

    replace_file(run.outputs / ANSWERS, build())
    replace_file(run.outputs / CONSTITUTION, [dump_constitution(constitution).encode("utf-8")])
    counts = {
        "prompts": len(prompts),
        "rows": len(rows),
        "first_error": errors[0] if errors else None,
        "ways": {
            way.value: {**told[way], "request_seconds": round(seconds[way], 1)}
            for way in recipe.ways
        },
    }
    replace_file(run.outputs / COUNTS, [encode_record(counts)])
    return counts


def build_answer_record(answer: Answer) -> dict[str, Any]:
    """One answer as a plain value; of best-of-n with all samples, standings and matches."""
    chosen = answer.chosen
    record: dict[str, Any] = {
        "text": answer.text,
        "error": answer.error,
        "model_id": chosen.model_id if chosen else None,
        "weights_hash": chosen.weights_hash if chosen else None,
        "seed": chosen.seed if chosen else None,
        "sample": chosen.sample if chosen else None,
        "finish_reason": chosen.finish_reason if chosen else None,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }
    if answer.way is not Way.BEST_OF_N:
        return record
    best = answer.best
    return {
        **record,
        "samples": [
            {
                "sample": sample,
                "text": None if row.text is None else read_text(row),
                "error": row.error,
            }
            for sample, row in sorted(answer.samples.items())
        ],
        "standings": [
            {"sample": s.sample, "same_as": s.same_as, "score": s.score, "matches": s.matches}
            for s in (best.standings if best else ())
        ],
        "unparsed": best.unparsed if best else None,
        "matches": [
            {
                "first": match.match.first,
                "second": match.match.second,
                "principle_ids": list(match.label.principle_ids),
                "verdict": match.label.verdict.value,
                "prob_first": match.label.prob_a,
                "prob_first_shown_first": match.label.prob_a_first,
                "prob_first_shown_second": match.label.prob_a_second,
            }
            for match in answer.matches
            if match.label is not None
        ],
    }


def read_answers(run_folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a run's ways.jsonl.

    Raises:
        WorkspaceError: there are none yet, or a line is damaged.
    """
    path = run_folder / "outputs" / ANSWERS
    if not path.exists():
        raise WorkspaceError(f"{path}: is not there. Repeat the command of {run_folder.name}.")
    for line in read_lines(path):
        if line.record is None:
            raise WorkspaceError(
                f"{path}:{line.number}: {line.damage}. Delete the file and repeat the run's "
                "command; it is made anew from the rows."
            )
        yield line.record


def _count(answer: Answer, told: Counter[str]) -> None:
    told["answered"] += answer.chosen is not None
    told["failed"] += answer.error is not None
    # Its samples are there, and no question about them could be read.
    told["not_chosen"] += answer.best is not None and answer.best.winner is None
    told["unparsed"] += answer.best.unparsed if answer.best else 0
    told["cut_short"] += answer.chosen is not None and answer.chosen.finish_reason == "length"
    told["prompt_tokens"] += answer.prompt_tokens
    told["completion_tokens"] += answer.completion_tokens
    told["requests"] += len(answer.rows)
