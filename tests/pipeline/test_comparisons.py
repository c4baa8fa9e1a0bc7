"""Forming comparisons: which pairs, none replaced, all counted, A and B drawn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import RecipeError
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.comparisons import (
    FormingCounts,
    are_near_identical,
    compute_similarity,
    form_comparisons,
)
from cai_core.pipeline.label_recipe import ComparisonSource
from cai_core.records import Verdict


def chain(prompt: str, sample: int, *texts: str | None, **changes: Any) -> dict[str, Any]:
    """A line of chains.jsonl whose steps say these texts."""
    steps = [{"text": text, "finish_reason": "stop"} for text in texts]
    record = {
        "prompt_id": prompt,
        "kind": "red-team",
        "tags": [],
        "sample": sample,
        "conversation": [{"role": "user", "content": f"Tell me about {prompt}."}],
        "steps": steps,
        "final": texts[-1],
    }
    return {**record, **changes}


def form(
    *sources: tuple[dict[str, Any], list[dict[str, Any]]],
    against: list[dict[str, Any]] | None = None,
    seed: int = 0,
    similarity: float = 0.95,
) -> tuple[list[FormedComparison], FormingCounts]:
    return form_comparisons(
        [(ComparisonSource(**source), chains, against or []) for source, chains in sources],
        seed=seed,
        similarity=similarity,
    )


def words(number: int) -> str:
    return f"answer number {number} is about thing{number} and word{number}"


def samples(prompts: int, each: int) -> list[dict[str, Any]]:
    return [chain(f"p{p}", s, words(100 * p + s)) for p in range(prompts) for s in range(each)]


@pytest.mark.parametrize(("pairs", "count"), [("two", 3), ("all", 3 * 10)])
def test_two_samples_or_all_pairs_of_five(pairs: str, count: int) -> None:
    formed, counts = form(({"run": "r", "pairs": pairs}, samples(3, 5)))
    assert len(formed) == counts.formed == count
    assert len({frozenset((c.response_a, c.response_b)) for c in formed}) == count
    assert len({c.comparison_id for c in formed}) == count
    for one in formed:
        sources = {one.source_a["chain"], one.source_b["chain"]}
        assert len(sources) == 2
        assert all(place.startswith(f"{one.prompt_id}/") for place in sources)


def test_near_identical_pairs_are_dropped_and_never_replaced() -> None:
    same = "the cat sat on the mat and looked at all the birds in the old garden tree today"
    chains = [
        chain("p", 0, same),
        chain("p", 1, f"{same.upper()}  "),
        chain("p", 2, "something else entirely, my friend"),
        chain("q", 0, same),
        chain("q", 1, same.replace("today", "again")),
        chain("z", 0, "one thing"),
        chain("z", 1, "another matter"),
    ]
    formed, counts = form(({"run": "r"}, chains), similarity=0.9)
    assert [c.prompt_id for c in formed] == ["z"]
    assert counts.near_identical == 2
    # The threshold is a knob; what is the same but for case goes whatever it is.
    formed, counts = form(({"run": "r"}, chains), similarity=1.0)
    assert [c.prompt_id for c in formed] == ["q", "z"]
    assert counts.near_identical == 1


@given(st.text(" abX\n", max_size=30), st.text(" abX\n", max_size=30), st.floats(0, 1))
def test_likeness_is_symmetric_and_bounded(text: str, other: str, threshold: float) -> None:
    value = compute_similarity(text, other)
    assert value == compute_similarity(other, text)
    assert 0 <= value <= 1
    assert compute_similarity(text, text) == 1
    near = are_near_identical(text, other, threshold)
    assert near == are_near_identical(other, text, threshold)
    assert near == (value >= threshold)


def test_errored_cut_and_empty_responses_are_left_out_and_counted() -> None:
    chains = [
        chain("p", 0, None, error="x"),
        chain("p", 1, words(1)),
        chain("q", 0, words(2)),
        chain("q", 1, words(3), steps=[{"text": words(3), "finish_reason": "length"}]),
        chain("r", 0, "  \n"),
        chain("r", 1, words(4)),
        chain("s", 0, words(5)),
        chain("s", 1, words(6), tags=["split:held-out"]),
        # A third sample takes nobody's place.
        chain("t", 0, None),
        chain("t", 1, words(7)),
        chain("t", 2, words(8)),
    ]
    chains[7]["tags"] = chains[6]["tags"] = ["split:held-out"]
    formed, counts = form(({"run": "r"}, chains))
    assert [c.prompt_id for c in formed] == ["s"]
    assert (counts.errored, counts.cut, counts.empty, counts.held_out) == (2, 1, 1, 1)
    assert formed[0].tags == ("split:held-out",)
    with pytest.raises(RecipeError, match=r"no comparison can be formed.*errored 1"):
        form(({"run": "r"}, chains[:2]))


def test_sample_i_of_two_runs_and_only_where_both_have_it() -> None:
    mine = samples(2, 2)
    other = [chain(c["prompt_id"], c["sample"], f"no, {words(9)} {c['final']}") for c in mine]
    other.pop()
    other.append(chain("elsewhere", 0, "x"))
    formed, counts = form(({"run": "a", "against": "b"}, mine), against=other)
    assert len(formed) == 3
    assert counts.unpaired == 2
    for one in formed:
        assert {one.source_a["run"], one.source_b["run"]} == {"a", "b"}
        assert one.source_a["chain"] == one.source_b["chain"]


def test_a_revision_against_the_initial_response_may_be_preferred_by_construction() -> None:
    chains = [chain(f"p{n}", 0, words(n), "a critique", words(50 + n)) for n in range(30)]
    asked, _ = form(({"run": "r", "pairs": "revision"}, chains))
    assert all(one.preferred is None for one in asked)
    built, _ = form(({"run": "r", "pairs": "revision", "by": "revision"}, chains))
    assert {one.preferred for one in built} == {Verdict.A, Verdict.B}
    for number, one in enumerate(built):
        preferred = one.response_a if one.preferred is Verdict.A else one.response_b
        assert preferred == words(50 + number)
        initial = one.source_b if one.preferred is Verdict.A else one.source_a
        assert initial["step"] == "initial"


def test_a_and_b_are_drawn_by_the_seed_and_the_ids_tell_them_apart() -> None:
    source = ({"run": "r"}, samples(200, 2))
    once, _ = form(source, seed=1)
    again, _ = form(source, seed=1)
    other, _ = form(source, seed=2)
    assert once == again
    first = [one.source_a["chain"].endswith("/0") for one in once]
    assert 70 < sum(first) < 130
    swapped = [(a, b) for a, b in zip(once, other, strict=True) if a != b]
    assert 70 < len(swapped) < 130
    assert all(a.swapped() == b and a.swapped_id == b.comparison_id for a, b in swapped)
    assert all(one.swapped().swapped() == one for one in once)


def test_a_share_is_drawn_and_counted() -> None:
    harm, helpful = samples(40, 2), samples(30, 2)
    for record in helpful:
        record["kind"] = "helpful"
    sources = (({"run": "r"}, harm), ({"run": "h", "share": 0.2, "principles": ("x",)}, helpful))
    formed, counts = form(*sources)
    mixed = [one for one in formed if one.source_a["run"] == "h"]
    assert (len(formed), len(mixed), counts.over_share) == (50, 10, 20)
    assert all(one.principles == ("x",) for one in mixed)
    assert form(*sources, seed=1)[0] != formed


def test_the_same_pairs_twice_are_refused() -> None:
    chains = samples(2, 2)
    with pytest.raises(RecipeError, match="two sources give the same comparison"):
        form(({"run": "r"}, chains), ({"run": "r", "pairs": "all"}, chains))


def test_a_line_reads_back() -> None:
    for one in form(({"run": "r"}, samples(2, 2)))[0]:
        assert FormedComparison.parse(one.as_dict()) == one
