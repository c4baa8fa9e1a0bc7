"""Words of texts, what a part of a text asks of them, and segments: which text has which word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cai_core.workspace.index import postings, sifting, texts, vocabulary
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.index.words import WINDOW, Piece, ask, fold, list_words
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import make_chain, make_run, make_tiny, read_all, write_rows

# Letters, signs, white space, scripts without spaces, letters that fold to two, long words.
ALPHABET = "aab12 _-.,\"'\n\tÄßİſΣς你好世界กขคあア한글हिं😀\0\ud800\u0300ǅ"
some_text = st.one_of(
    st.text(st.sampled_from(ALPHABET), max_size=60), st.text(st.characters(), max_size=60)
)


def is_like(word: str, piece: Piece) -> bool:
    match piece.place:
        case "whole":
            return word == piece.text
        case "start":
            return word.startswith(piece.text)
        case "end":
            return word.endswith(piece.text)
        case _:
            return piece.text in word


def has_all(text: str, pieces: tuple[Piece, ...]) -> bool:
    words = list_words(text)
    return all(any(is_like(word, piece) for word in words) for piece in pieces)


@settings(max_examples=600, deadline=None)
@given(text=some_text, start=st.integers(0, 60), length=st.integers(1, 60))
@example(text="x" * 3 * WINDOW + "y", start=40, length=30)
@example(text="你好世界", start=1, length=2)
@example(text="don't", start=2, length=3)
def test_a_text_has_the_words_that_its_parts_ask_for(text: str, start: int, length: int) -> None:
    part = text[start : start + length]
    if part:
        assert fold(part) in fold(text)
        assert has_all(text, ask(part).pieces), (part, ask(part), list_words(text))


@settings(max_examples=600, deadline=None)
@given(text=some_text, part=some_text)
@example(text="世 界", part="世界")
@example(text="a b", part="a b")
@example(text="x" * 40 + "y" + "x" * 40, part="x" * 50)
def test_an_exact_question_finds_nothing_else(text: str, part: str) -> None:
    question = ask(part)
    if question.exact and question.pieces and has_all(text, question.pieces):
        assert fold(part) in fold(text)


def test_the_vocabulary_stays_small() -> None:
    assert all(len(word) <= WINDOW for word in list_words("a" * 1000 + " " + "你" * 500))
    assert len(list_words("你好世界" * 100)) == 4
    assert list_words("Say: 'No!' SAY") == {"say", "no", ":", "'", "!"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextStore]:
    """A store whose spans and chunks are tiny and whose segments merge at once."""
    make_tiny(monkeypatch)
    monkeypatch.setattr(vocabulary, "_MOST_NEW", 5)
    made = TextStore.make(tmp_path / "search.sqlite", "t")
    yield made
    made.close()


def make_texts(count: int) -> list[str]:
    return [f"text {n} has {'even' if n % 2 == 0 else 'odd'} {n % 7}mod." for n in range(count)]


def find_plain(numbers: dict[str, int], part: str) -> list[int]:
    return sorted(number for text, number in numbers.items() if part in text)


PARTS = ["even", "ve", "text 1", "3mod", "mod.", "4", "has odd 5", "nothing", " ", "d 6m"]


def test_segments_that_are_merged_find_the_same(store: TextStore) -> None:
    held: dict[str, int] = {}
    for start in range(0, 120, 4):
        held |= store.add(make_texts(120)[start : start + 6])
        if start % 40 == 0:
            for part in PARTS:
                assert store.find(part) == find_plain(held, part), part
    for part in PARTS:
        assert store.find(part) == find_plain(held, part), part
    (segments,) = store._writer.execute("select count(*) from segments").fetchone()
    assert segments == 2  # of 120 texts, in spans of 64


def test_an_opened_store_finds_what_the_old_one_did(store: TextStore, tmp_path: Path) -> None:
    held = store.add(make_texts(40))
    again = TextStore.open(tmp_path / "search.sqlite")
    for part in PARTS:
        assert again.find(part) == find_plain(held, part)
    again.close()


def test_removed_texts_leave_no_word_behind(store: TextStore) -> None:
    held = {}
    for start in range(0, 60, 3):
        held |= store.add(make_texts(60)[start : start + 3])
    held |= store.add(["a zebra ran"])
    gone = [text for text in held if "even" in text or "zebra" in text]
    store.remove([held.pop(text) for text in gone])
    for part in [*PARTS, "zebra", "ran"]:
        assert store.find(part) == find_plain(held, part), part
    words = {word for (word,) in store._writer.execute("select word from words")}
    assert words == {word for text in held for word in list_words(text)}
    held |= store.add(["a zebra again", "even more"])
    for part in [*PARTS, "zebra"]:
        assert store.find(part) == find_plain(held, part), part


def test_a_batch_that_failed_leaves_no_trace(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = store.add(["one apple"])
    with monkeypatch.context() as patch:
        patch.setattr(postings, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.add(["two pears"])
    held |= store.add(["three plums"])
    assert store.find("pears") == []
    for part in ("apple", "plums", "e"):
        assert store.find(part) == find_plain(held, part)


def test_parts_that_words_cannot_tell_are_looked_for_row_by_row(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(workspace / "runs")
    for n in range(30):
        order = "salt and flour" if n % 3 else "flour and salt"
        write_rows(run, make_chain(run, f"p#{n}", rounds=1, critiques=[f"{n}: {order}."]))
    index = open_index()
    asked = RoundFilter(text='"flour and"')
    expected = read_all(index, asked)
    assert len(expected) == 10
    monkeypatch.setattr(texts, "MOST_CHECKED", 0)
    monkeypatch.setattr(sifting, "_FIRST_STEP", 1)
    monkeypatch.setattr(sifting, "_STEP", 2)
    monkeypatch.setattr(sifting, "_COUNTED", 6)
    for most in (4, 1000):  # gives up in the middle of a page, or fills every page
        monkeypatch.setattr(sifting, "_MOST_LOOKED", most)
        assert read_all(index, asked) == expected
    page = index.list_rounds(asked, limit=3)
    assert page.total_is_least and 0 < page.total <= 6
    assert dict(page.facets["run"]) == {"r1": page.total}
    assert index.list_rounds(RoundFilter(text='"and and"')).rounds == ()
