"""Text search: any part of a text finds it, and what people type is never syntax."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.index.words import MAX_QUERY, make_searchable, parse_query
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import make_chain, make_run, write_rows

relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TextStore]:
    made = TextStore.make(tmp_path / "search.sqlite", "t")
    yield made
    made.close()


@pytest.fixture
def index(workspace: Path, open_index: Opener) -> WorkspaceIndex:
    run = make_run(workspace / "runs")
    rows = make_chain(
        run,
        prompt="Wie backe ich Brot? Привет",
        response="Nimm 500g Mehl.",
        critiques=['It "says" nothing of 100% rye.', "世界你好, is it kind?"],
        revisions=["First_revision \\ here.", "Second NEAR(revision) *."],
    )
    write_rows(run, rows + make_chain(run, "p#2", prompt="Nothing alike"))
    return open_index()


@relaxed
@given(text=st.text(st.characters(), min_size=3), ends=st.tuples(st.integers(0), st.integers(3)))
@example(text="a\0bcd", ends=(0, 4))
@example(text="x\ud83dyz", ends=(0, 4))
@example(text='say "a b" c', ends=(0, 9))
@example(text="ǅungla İstanbul ſ", ends=(0, 17))
def test_a_part_of_a_text_finds_it(store: TextStore, text: str, ends: tuple[int, int]) -> None:
    (number,) = store.add([text]).values()
    assert store.load([number]) == {number: text}
    start = ends[0] % (len(text) - 2)
    part = text[start : start + 3 + ends[1] % len(text)]
    assert number in store.find(make_searchable(part))
    for word in parse_query(part):
        assert number in store.find(word)


@relaxed
@given(st.text(st.characters()))
@example('"')
@example('""" OR "')
@example("a* NEAR(b c) NOT -d ^e {f} : +g")
@example("\0")
@example("\ud800")
@example("%_\\" * 50)
@example("😀")
@example("x" * 100_000)
@example(" ".join("abcdef"[n % 6] * 4 + str(n) for n in range(3000)))
def test_nothing_that_is_typed_raises(store: TextStore, typed: str) -> None:
    store.add(["some text"])
    words = parse_query(typed)
    assert sum(map(len, words)) <= MAX_QUERY
    for word in words:
        store.find(word)


@pytest.mark.parametrize(
    ("typed", "rounds"),
    [
        ("brot", {1, 2}),  # of the prompt: both rounds
        ("BROT mehl", {1, 2}),  # prompt and response
        ("brot nowhere", set()),
        ("rye", {1}),
        ("rye second", set()),  # of two rounds
        ("привет", {1, 2}),
        ("ПРИВЕТ rye", {1}),
        ("пр", {1, 2}),
        ("ПР", {1, 2}),
        ("你好", {2}),
        ("界你好", {2}),
        ("500", {1, 2}),
        ("0%", {1}),
        ("t_r", {1}),
        ("trr", set()),
        ("n_", set()),
        (" \\ ", {1}),
        ("NEAR(revision)", {2}),
        ("*.", {2}),
        ('"backe ich"', {1, 2}),
        ('"ich backe"', set()),
        ("ich backe", {1, 2}),
        ('"says"', {1}),
        ('"says" nothing', {1}),
        ('is it kind?"', set()),
        ("say%nothing", set()),
        ("first*", set()),
        ("brot OR nowhere", set()),
        ("   ", None),
        ('"   "', None),
    ],
)
def test_what_a_search_finds(index: WorkspaceIndex, typed: str, rounds: set[int] | None) -> None:
    found = index.list_rounds(RoundFilter(text=typed))
    if rounds is None:
        assert found.total == 4
        return
    ours = {round_.round for round_ in found.rounds if round_.prompt.startswith("Wie")}
    assert ours == rounds
    assert found.total == len(found.rounds)
    facet = dict(found.facets["run"]).get("r1", 0)
    assert facet == found.total


@relaxed
@given(st.text(st.characters(), max_size=40))
@example("\ud800")
def test_hostile_filters_never_raise(index: WorkspaceIndex, typed: str) -> None:
    index.list_rounds(RoundFilter(text=typed, run=typed, mark=typed, finding=typed))
    index.get_chain(typed)


def test_a_text_is_kept_once(store: TextStore) -> None:
    first = store.add(["one", "two"])
    again = store.add(["two", "three", "one"])
    assert again["one"] == first["one"] and again["two"] == first["two"]
    assert store.find("two") == [first["two"]]


def test_a_removed_text_is_found_no_more_and_its_number_not_used_again(store: TextStore) -> None:
    numbers = store.add(["one apple", "two apples"])
    store.remove([numbers["two apples"]])
    assert store.find("apple") == [numbers["one apple"]]
    assert store.add(["three"])["three"] not in numbers.values()
