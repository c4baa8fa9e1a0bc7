"""What the index finds is what looking through every text finds, whatever it reads for it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cai_core.workspace.index import finding, postings, sifting, texts, vocabulary
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.views import RoundFilter, RoundView
from cai_core.workspace.index.words import fold, parse_query
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import make_chain, make_run, make_tiny, read_all, write_rows

# Words that share parts, in several scripts; two of them stand in most texts.
WORDS = [
    "the",
    "there",
    "other",
    "then",
    "rain",
    "train,",
    "Straße",
    "пример",
    "примерно",
    "世界",
    "世界你好",
    "a-b",
    "x",
]
some_text = st.lists(st.sampled_from(["the", "other", *WORDS]), min_size=1, max_size=6).map(
    " ".join
)
batches = st.lists(st.lists(some_text, min_size=1, max_size=12), min_size=1, max_size=9)
parts = st.lists(
    st.tuples(some_text, st.integers(0, 20), st.integers(1, 12)), min_size=3, max_size=8
).map(lambda drawn: [text[at % len(text) :][:size] for text, at, size in drawn])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=batches, parts=parts, gone=st.sets(st.integers(0, 60), max_size=5))
@example(  # a word's end of which not every list was read
    batches=[["the", "the", "the there", "the Straße", "there Straße"], ["the the"]],
    parts=["t", "t", "e "],
    gone=set(),
)
def test_a_search_finds_what_a_scan_finds(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    batches: list[list[str]],
    parts: list[str],
    gone: set[int],
) -> None:
    make_tiny(monkeypatch)
    monkeypatch.setattr(postings, "_LIST_COST", 1)
    monkeypatch.setattr(postings, "_MOST_READ", 12)
    monkeypatch.setattr(texts, "MOST_CHECKED", 4)
    monkeypatch.setattr(vocabulary, "_MOST_NEW", 4)
    store = TextStore.make(tmp_path_factory.mktemp("scan") / "search.sqlite", "t")
    store._writer.execute("pragma synchronous = off")  # many small batches, none to be kept
    held: dict[str, int] = {}
    for number, batch in enumerate(batches):
        # A number before each text makes most of them new ones.
        held |= store.add([f"{number}{at % 2} {text}" for at, text in enumerate(batch)])
    removed = [text for at, text in enumerate(sorted(held)) if at in gone]
    store.remove([held.pop(text) for text in removed])
    for part in parts:
        truth = {number for text, number in held.items() if fold(part) in fold(text)}
        assert set(store.find(part)) == truth, part
        found = store.search(part, every=False)
        sure = set(np.flatnonzero(found.sure).tolist())
        unsure = set() if found.unsure is None else set(np.flatnonzero(found.unsure).tolist())
        assert sure <= truth <= sure | unsure, part
    store.close()


@pytest.mark.parametrize("most_read", [1, 30, 10**6])
def test_pages_are_exact_however_little_is_read(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch, most_read: int
) -> None:
    run, rows = make_run(workspace / "runs"), []
    for n in range(40):
        words = [WORDS[(n + step) % len(WORDS)] for step in (0, 3, 7)]
        critique = f"{n} {' '.join(words)} {'the' if n % 3 else 'one'}"
        rows += make_chain(run, f"p#{n}", rounds=1, critiques=[critique])
    write_rows(run, rows)
    index = open_index()
    everything = read_all(index)
    monkeypatch.setattr(postings, "_LIST_COST", 1)
    monkeypatch.setattr(postings, "_MOST_READ", most_read)
    monkeypatch.setattr(finding, "MOST_COUNTED", 5)
    monkeypatch.setattr(texts, "MOST_CHECKED", 2)
    monkeypatch.setattr(sifting, "_FIRST_STEP", 2)
    for typed in (
        "h",
        "t",
        "the",
        "ther",
        "rai",
        "примерно",
        "界",
        '"the one"',
        "t h",
        "5 x",
        '","',
    ):
        asked = RoundFilter(text=typed)
        expected = [one for one in everything if _holds(one, typed)]
        assert read_all(index, asked) == expected, typed
        page = index.list_rounds(asked, limit=3)
        assert list(page.rounds) == list(islice(expected, 3))
        assert page.total == min(len(expected), 5)
        assert page.total_is_least == (len(expected) > 5)


def _holds(one: RoundView, typed: str) -> bool:
    held = [fold(text or "") for text in (one.prompt, "Take flour.", one.critique, one.revision)]
    return all(any(fold(word) in text for text in held) for word in parse_query(typed))
