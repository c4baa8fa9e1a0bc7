"""Run folders of any size for `benchmarks.explorer`: critique rows and comparisons, all texts new.

Texts are some hundred words each: common English ones, and words made of syllables, drawn as words
of a language are: few of them often, most of them seldom. They are put together of sentences, of
which there are 60,000, so that every text is another one, except where a critique finds nothing and
the revision repeats what it revised. One text in twenty is in Russian or
Chinese letters. `HALF` stands in half of the critiques and in half of the comparisons.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Finding, PromptKind, StepKind, Verdict
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.rows import Row, build_row_id
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

HALF = "safeguard"
ROUNDS = 4
PRINCIPLES = tuple(f"principle-{number}" for number in range(16))
KINDS = tuple(PromptKind)
_COMMON = """the of to and a in is it that for as with be on are not this or by an you they from can
which will would should when there have has their if more about what some other than into"""
_HEADS = "b br c cl d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t th tr v w"
_VOWELS = "a e i o u ai ea ie ou"
_TAILS = ("", "", "", "", "n", "r", "l", "s", "t", "m", "nd", "rt", "ck", "ng")
_RUSSIAN = "бвгдклмнпрст"
_VOCABULARY = 40_000
_SENTENCES, _LENGTH = 60_000, 11
_BATCH = 2000


class Texts:
    """An endless supply of texts out of some ten thousands of sentences; a seed gives the same."""

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)
        self._sentences = list_sentences()

    def draw(self, count: int, sentences: int) -> list[str]:
        """So many texts of so many sentences."""
        drawn = self._random.integers(_SENTENCES, size=(count, sentences)).tolist()
        texts = [" ".join(map(self._sentences.__getitem__, row)) for row in drawn]
        for at in range(0, count, 20):
            foreign = _to_russian if at % 40 else _to_chinese
            texts[at] = foreign(texts[at])
        return texts


@cache
def list_sentences() -> list[str]:
    """The sentences that texts are put together of: always the same."""
    words = np.array([*_COMMON.split(), *list_vocabulary()], dtype=object)
    weights = 1.0 / np.arange(3, len(words) + 3) ** 0.9
    cumulative = np.cumsum(weights / weights.sum())
    drawn = np.random.default_rng(11).random((_SENTENCES, _LENGTH))
    chosen = words[np.searchsorted(cumulative, drawn).clip(max=len(words) - 1)]
    return [f"{' '.join(row).capitalize()}." for row in chosen.tolist()]


def list_vocabulary() -> list[str]:
    """Made words, the frequent ones first: always the same."""
    random = np.random.default_rng(7)
    words: dict[str, None] = {}
    while len(words) < _VOCABULARY:
        syllables = 1 + int(random.integers(1, 4))
        words["".join(_make_syllable(random) for _ in range(syllables))] = None
    return list(words)


def write_chains(workspace: Path, name: str, rounds: int, seed: int) -> int:
    """An ended run of critique–revision with so many rounds; returns its rows."""
    run = make_run(workspace, name, seed)
    rows = build_rows(run, seed)
    count = rounds // ROUNDS * (1 + 2 * ROUNDS)
    with RunWriter(run) as writer:
        for start in range(0, count, _BATCH):
            step = min(_BATCH, count - start)
            writer.append_rows("chain", [next(rows) for _ in range(step)])
        writer.set_status(RunState.SUCCEEDED)
    return count


def write_comparisons(workspace: Path, name: str, count: int, seed: int, *, both: bool) -> int:
    """An ended `label` run of so many comparisons; returns its answers.

    Args:
        both: asked in both orders.
    """
    recipe = {
        "constitution": f"constitution-{seed % 5}",
        "constitution_hash": "c",
        "feedback_model": f"judge-{seed % 3}",
        "orders": "both" if both else "first",
    }
    run = create_run(workspace / "runs" / name, kind="label", recipe=recipe)
    answers = 0

    def build() -> Iterator[bytes]:
        nonlocal answers
        for start, labels in enumerate(_build_labels(count, seed, both)):
            rows = [
                _build_answer(run, label, start * _BATCH + at, order)
                for at, label in enumerate(labels)
                for order in range(1 + both)
                if label["label_source"] == "feedback-model"
            ]
            writer.append_rows("label", rows)
            answers += len(rows)
            yield from map(encode_record, labels)

    with RunWriter(run) as writer:
        replace_file(run.outputs / "labels.jsonl", build())
        writer.set_status(RunState.SUCCEEDED)
    return answers


def make_run(workspace: Path, name: str, seed: int) -> Run:
    """A run of critique–revision that has no rows yet."""
    recipe = {
        "model": f"model-{seed % 3}",
        "constitution": f"constitution-{seed % 5}",
        "chain": {"critique": True},
    }
    return create_run(workspace / "runs" / name, kind="revise", recipe=recipe)


def build_rows(run: Run, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of chains without end, in the order in which a run writes them."""
    random, texts, number = np.random.default_rng(seed), Texts(seed), 0
    while True:
        chains = _BATCH // 10
        prompts, responses = texts.draw(chains, 2), texts.draw(chains, 6)
        critiques = texts.draw(chains * ROUNDS, 6)
        revisions = texts.draw(chains * ROUNDS, 4)
        draws = random.random((chains, ROUNDS, 2))
        for at in range(chains):
            number += 1
            kind = KINDS[number % len(KINDS)]
            turns = [{"role": "user", "content": prompts[at]}]
            shown = {"conversation": turns, "kind": kind.value, "tags": []}
            text = responses[at]
            yield _build_row(run, number, StepKind.RESPONSE, 0, text, prompt=shown)
            for k in range(ROUNDS):
                roll, half = draws[at, k]
                finding = _FINDINGS[int(np.searchsorted(_SHARES, roll))]
                critique = critiques[at * ROUNDS + k]
                if half < 0.5:
                    critique = f"{critique} A {HALF} is asked for."
                principle = PRINCIPLES[(number * 5 + k * 3) % len(PRINCIPLES)]
                fields = {"principle": principle, "finding": finding}
                yield _build_row(run, number, StepKind.CRITIQUE, k + 1, critique, **fields)
                if finding is Finding.FOUND:
                    text = f"{text[: len(text) // 2]} {revisions[at * ROUNDS + k]}"
                fields = {"principle": principle}
                yield _build_row(run, number, StepKind.REVISION, k + 1, text, **fields)


_FINDINGS = (Finding.FOUND, Finding.NOT_TOUCHED, Finding.UNPARSED)
_SHARES = (0.5, 0.95)


def _build_row(
    run: Run,
    number: int,
    kind: StepKind,
    k: int,
    text: str,
    *,
    principle: str | None = None,
    finding: Finding | None = None,
    prompt: dict[str, Any] | None = None,
) -> dict[str, Any]:
    critique = kind is StepKind.CRITIQUE
    step = kind.value if kind is StepKind.RESPONSE else f"{kind.value}-{k}"
    ids: dict[str, Any] = {"run_id": run.run_id, "prompt_id": f"p#{number}", "sample": 0}
    return {
        **_ROW,
        **ids,
        "row_id": build_row_id(**ids, step=step),
        "step": step,
        "kind": kind,
        "index": 2 * k - critique,
        "round": k,
        "role": "critic" if critique else "policy",
        "principle_id": principle,
        "model_id": run.recipe["model"],
        "seed": number,
        "prompt": prompt,
        "text": text,
        "finding": finding,
    }


# What all rows say; each row says the rest.
_ROW: dict[str, Any] = Row(
    run_id="",
    row_id="",
    prompt_id="",
    prompt_hash="0" * 16,
    constitution_hash="c",
    template_version="chat/1",
    kind=StepKind.RESPONSE,
    step="",
    index=0,
    round=0,
    sample=0,
    role="policy",
    principle_id=None,
    model_id="",
    weights_hash="w",
    engine="none",
    engine_version="1",
    repeatability="exact",
    sampling={"temperature": 1.0, "top_p": 1.0, "max_tokens": 256},
    seed=0,
    prompt_tokens=300,
    completion_tokens=130,
    finish_reason="stop",
    seconds=1.5,
).as_dict()


def _build_labels(count: int, seed: int, both: bool) -> Iterator[list[dict[str, Any]]]:
    """Labels in batches: four responses a prompt, each compared with the next."""
    random, texts = np.random.default_rng(seed), Texts(seed + 1000)
    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        prompts, responses = texts.draw(-(-size // 4), 2), texts.draw(size + 4, 6)
        draws = random.random((size + 4, 4))
        # Half of the comparisons have it: each response is in two of them.
        responses = [
            f"{text} A {HALF} is asked for." if draws[at, 3] < 0.293 else text
            for at, text in enumerate(responses)
        ]
        yield [
            _build_label(start + at, prompts[at // 4], _pair(responses, at), draws[at], seed, both)
            for at in range(size)
        ]


def _pair(responses: list[str], at: int) -> tuple[str, str]:
    return responses[at], responses[at - 3 if at % 4 == 3 else at + 1]


def _build_label(
    place: int, prompt: str, pair: tuple[str, str], draws: Any, seed: int, both: bool
) -> dict[str, Any]:
    first, other, roll = (round(float(draw), 4) for draw in draws[:3])
    prob = (first + other) / 2 if both else first
    verdict = Verdict.TIE if abs(prob - 0.5) < 0.1 else Verdict.A if prob > 0.5 else Verdict.B
    chain = f"p#{place // 4 + 1}"
    source = {"run": f"chains-{seed % 20:02}", "chain": f"{chain}/0"}
    label = {
        **_LABEL,
        "comparison_id": f"{seed:08x}{place:024x}",
        "prompt_id": chain,
        "prompt_kind": KINDS[place // 4 % len(KINDS)],
        "tags": ["split:held-out"] if place % 40 < 4 else [],
        "conversation": [{"role": "user", "content": prompt}],
        "response_a": pair[0],
        "response_b": pair[1],
        "source_a": source,
        "source_b": source,
        "prob_a": prob,
        "prob_a_clamped": prob,
        "verdict": verdict,
    }
    if roll < 0.05:
        return {**label, "label_source": "human", "reviewer": "somebody"}
    return {
        **label,
        "principle_ids": [PRINCIPLES[place % len(PRINCIPLES)]],
        "prob_a_first": first,
        "prob_a_second": other if both else None,
        "position_bias": first - other if both else None,
        "feedback_model": f"judge-{seed % 3}",
    }


_LABEL: dict[str, Any] = LabelRecord(
    comparison_id="",
    prompt_id="",
    prompt_kind=PromptKind.UNKNOWN,
    tags=(),
    conversation=(),
    response_a="",
    response_b="",
    source_a={},
    source_b={},
    prob_a=None,
    prob_a_clamped=None,
    verdict=Verdict.UNPARSED,
    label_source="feedback-model",
).as_dict()


def _build_answer(run: Run, label: dict[str, Any], place: int, order: int) -> dict[str, Any]:
    ids = {
        "run_id": run.run_id,
        "prompt_id": label["prompt_id"],
        "sample": place,
        "step": "label-0",
        "order": order,
    }
    prob = label["prob_a_first"]
    scoring = {"way": "token-ids", "options": ["A", "B"], "probabilities": [prob, 1 - prob]}
    return {
        **_ROW,
        **ids,
        "row_id": build_row_id(**ids),
        "template_version": "labels/1",
        "kind": StepKind.LABEL,
        "role": "feedback",
        "principle_id": label["principle_ids"][0],
        "model_id": label["feedback_model"],
        "seed": place,
        "comparison_id": label["comparison_id"],
        "scoring": {**scoring, "mass": 1.0, "exact": True},
    }


def _make_syllable(random: np.random.Generator) -> str:
    parts = (_HEADS.split(), _VOWELS.split(), _TAILS)
    return "".join(part[int(random.integers(len(part)))] for part in parts)


def _to_russian(text: str) -> str:
    return text.translate({97 + at: _RUSSIAN[at % len(_RUSSIAN)] for at in range(26)})


def _to_chinese(text: str) -> str:
    letters = {97 + at: chr(0x4E00 + 17 * at) for at in range(26)}
    return text.replace(" ", "").translate(letters)


def main() -> None:
    """Be a writer process: `KIND WORKSPACE FIRST COUNT SIZE [RATE SECONDS]`."""
    kind, workspace = sys.argv[1], Path(sys.argv[2])
    if kind == "live":
        write_live(workspace, float(sys.argv[3]), float(sys.argv[4]))
        return
    first, runs, size = map(int, sys.argv[3:6])
    for number in range(first, first + runs):
        if kind == "chains":
            write_chains(workspace, f"chains-{number:02}", size, number)
        else:
            name = f"labels-{number:02}"
            write_comparisons(workspace, name, size, number, both=number % 4 == 0)


def write_live(workspace: Path, rate: float, seconds: float) -> None:
    """Rows at a steady pace; each batch is announced, with its time, once it is durable."""
    run = make_run(workspace, f"live-{int(time.time())}", 99)
    rows, count = build_rows(run, 99), 0
    batch = max(1, round(rate / 20))
    next(rows)  # the first one makes the vocabulary
    begun = time.monotonic()
    with RunWriter(run) as writer:
        while (now := time.monotonic() - begun) < seconds:
            writer.append_rows("chain", [next(rows) for _ in range(batch)])
            count += batch
            print(json.dumps([run.run_id, count, time.time()]), flush=True)
            time.sleep(max(0.0, count / rate - now))
        writer.set_status(RunState.SUCCEEDED)


if __name__ == "__main__":
    main()
