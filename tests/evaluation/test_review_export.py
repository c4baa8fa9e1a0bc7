"""Votes out and in: the same votes come back, formulas do not run, bad lines are told."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import CaiError, ImportFormatError
from cai_core.evaluation import review_export
from cai_core.evaluation.review_export import (
    build_votes_card,
    build_votes_file,
    parse_votes,
)
from cai_core.workspace.review_queues import ReviewQueue, build_queue
from cai_core.workspace.review_votes import FIELDS, Vote, VoteChoice
from tests.hostile import HOSTILE
from tests.review_makers import make_vote


def make_queue(**changes: Any) -> ReviewQueue:
    return build_queue(
        **{
            "name": "mine | all",
            "run": "labels",
            "items": tuple(f"c{n}" for n in range(100)),
            "overlap": 2,
            "blind": True,
            "selection": "verdict tie",
            "population": 400,
            "width": 0.1,
            "seed": 7,
            **changes,
        }
    )


QUEUE = make_queue()
VOTES = tuple(
    make_vote(
        f"c{n}",
        list(VoteChoice)[n % 5],
        ("ada", "=cmd|'x'!A1", "'eve")[n % 3],
        queue=QUEUE.queue_id,
        reason=text.strip(),
        exposed=n % 2 == 0,
        shown_first="AB"[n % 2],
        seconds=n / 4,
        at=f"2026-01-01T00:00:{n % 60:02}.250+00:00",
    )
    for n, text in enumerate(["", "a\r\nb", "-1+2", "+x", "@y", " =1", *HOSTILE])
)


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_an_export_imports_as_the_same_votes(format: Any) -> None:
    whole = tuple(
        replace(
            one, reason=one.reason.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
        for one in VOTES
    )
    file = build_votes_file(whole, format)
    read = parse_votes(file, QUEUE, ())
    assert read.refused == ()
    assert read.votes == whole
    assert build_votes_file(read.votes, format) == file
    again = parse_votes(file, QUEUE, whole)
    assert (again.votes, again.known, again.refused) == ((), len(whole), ())


@given(st.text(max_size=60), st.text(min_size=1, max_size=20))
def test_any_reason_and_name_survive_csv(reason: str, name: str) -> None:
    vote = make_vote("c1", VoteChoice.A, f"{name}x", queue=QUEUE.queue_id, reason=reason)
    read = parse_votes(build_votes_file([vote], "csv"), QUEUE, ())
    assert read.votes == (vote,)


def test_no_cell_of_the_csv_is_a_formula() -> None:
    text = build_votes_file(VOTES, "csv").decode()
    for row in csv.reader(io.StringIO(text, newline="")):
        for cell in row:
            assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell
            assert cell != "'", "an empty cell stays empty"


def line(**changes: Any) -> bytes:
    vote = make_vote("c1", VoteChoice.A, queue=QUEUE.queue_id).as_dict()
    plain = {name: value for name, value in {**vote, **changes}.items() if value is not ...}
    return json.dumps(plain).encode() + b"\n"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"{cut\n", "not JSON"),
        (b'{"x": 1}\n', "vote is missing"),
        (b"[1]\n", "not a JSON object"),
        (b"\xff\xfe{}\n", "not JSON"),
        (line(queue="other"), "belongs to the queue 'other'"),
        (line(comparison="c900"), "no comparison 'c900'"),
        (line(choice="C"), "not one of A, B, tie, both bad, discarded"),
        (line(choice=...), "choice is missing"),
        (line(reviewer=" "), "reviewer is empty"),
        (line(reviewer=3), "not a text"),
        (line(reviewer="x" * 301), "more than 300"),
        (line(reason="x" * 4001), "more than 4000"),
        (line(blind="yes"), "not true or false"),
        (line(exposed=1), "not true or false"),
        (line(shown_first="left"), "not A or B"),
        (line(seconds="soon"), "not a number"),
        (line(seconds=-1), "not from 0"),
        (line(at="yesterday"), "not a time"),
    ],
)
def test_a_line_that_is_no_vote_is_refused_with_its_reason(bad: bytes, words: str) -> None:
    good = line(vote="v-new")
    read = parse_votes(good + b"\n" + bad + line(vote="v-last", comparison="c2"), QUEUE, ())
    assert [vote.vote for vote in read.votes] == ["v-new", "v-last"]
    (refused,) = read.refused
    assert refused.line == 3
    assert words in refused.reason


def test_a_csv_line_that_is_no_vote_is_refused_where_it_stands() -> None:
    lines = build_votes_file([replace(VOTES[0], reason="two\nlines")], "csv").decode()
    bad = lines + "only,three,cells\r\n" + lines.split("\r\n", 1)[1].replace("true", "perhaps")
    read = parse_votes(bad.encode(), QUEUE, ())
    assert len(read.votes) == 1
    assert [(one.line, one.reason[:14]) for one in read.refused] == [
        (4, "it has 3 cells"),
        (5, "blind is 'perh"),
    ]


def test_a_vote_that_says_another_thing_under_a_known_id_is_refused() -> None:
    held = make_vote("c1", VoteChoice.A, queue=QUEUE.queue_id)
    read = parse_votes(line(choice="B"), QUEUE, [held])
    assert "another thing" in read.refused[0].reason
    assert parse_votes(line(vote="x") + line(vote="x", choice="B"), QUEUE, ()).refused


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b" \n", "empty"),
        (b"a,b\r\n1,2\r\n", "its first line lacks vote"),
        ("vote,größe".encode("latin-1"), "not UTF-8"),
    ],
)
def test_another_file_is_refused_whole(content: bytes, words: str) -> None:
    with pytest.raises(ImportFormatError, match=words):
        parse_votes(content, QUEUE, ())


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_export, "MAX_FILE_BYTES", 10)
    with pytest.raises(ImportFormatError, match="more than 10"):
        parse_votes(line(), QUEUE, ())


def test_human_labels_are_the_majoritys() -> None:
    a, b, tie, bad = VoteChoice.A, VoteChoice.B, VoteChoice.TIE, VoteChoice.BOTH_BAD
    said = {"c1": (a, a, b), "c2": (a, b), "c3": (bad,), "c4": (tie, bad, a)}
    votes: list[Vote] = [
        make_vote(name, one, f"r{n}") for name, some in said.items() for n, one in enumerate(some)
    ]
    votes.append(make_vote("c5", VoteChoice.DISCARDED))

    def read(**how: Any) -> dict[str, tuple[str, str]]:
        lines = build_votes_file(votes, "human", **how).decode().splitlines()
        return {
            one["comparison_id"]: (one["verdict"], one["reviewer"])
            for one in map(json.loads, lines)
        }

    settled = {"c1": ("A", "r0, r1"), "c3": ("tie", "r0"), "c4": ("tie", "r0, r1")}
    assert read() == settled
    assert read(disputed="tie") == {**settled, "c2": ("tie", "r0, r1")}
    with pytest.raises(CaiError, match="known are jsonl, csv, human"):
        build_votes_file(votes, "xml")  # type: ignore[arg-type]


@pytest.mark.parametrize("format", review_export.VOTE_FORMATS)
def test_the_card_says_what_the_file_is(format: Any) -> None:
    card = build_votes_card(QUEUE, VOTES, format)
    assert "random sample of 100 of 400 (seed 7)" in card
    assert "verdict tie" in card and "mine \\| all" in card
    assert all(line.count("|") >= 3 for line in card.splitlines() if line.startswith("|"))
    assert set(FIELDS) == set(VOTES[0].as_dict())
