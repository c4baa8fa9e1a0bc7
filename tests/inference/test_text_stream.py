"""Whole characters only, and nothing of a stop string."""

from __future__ import annotations

import pytest

from cai_core.inference.local_server.text_stream import Detokenizer, StopScanner
from tests.inference.tiny_models import build_tokenizer

TEXT = "naïve 😀 日本 done"


@pytest.fixture(scope="module")
def decode():
    backend = build_tokenizer().backend_tokenizer
    return lambda ids: backend.decode(ids, skip_special_tokens=True)


def test_characters_split_over_tokens_come_whole(decode) -> None:
    ids = build_tokenizer()(TEXT)["input_ids"]
    assert len(ids) > len(TEXT), "no character is split: the test would prove nothing"
    stream = Detokenizer(decode)
    pieces = [stream.push(token) for token in ids]
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
    assert "".join(pieces) == TEXT
    assert stream.flush() == ""


def test_an_unfinished_character_is_dropped_at_the_end(decode) -> None:
    ids = build_tokenizer()("ok 😀")["input_ids"]
    stream = Detokenizer(decode)
    text = "".join(stream.push(token) for token in ids[:-1]) + stream.flush()
    assert text == "ok "


def test_work_does_not_grow_with_the_text(decode) -> None:
    lengths = []

    def counting(ids: list[int]) -> str:
        lengths.append(len(ids))
        return decode(ids)

    stream = Detokenizer(counting, [10, 11])
    for token in build_tokenizer()("How do I bake bread? " * 40)["input_ids"]:
        stream.push(token)
    assert max(lengths) < 12


@pytest.mark.parametrize("cut", range(1, 12))
def test_stop_strings_across_pieces(cut: int) -> None:
    text = "one two STOP three"
    scanner = StopScanner(["STOP", "never"])
    shown = ""
    for at in range(0, len(text), cut):
        piece, stopped = scanner.push(text[at : at + cut])
        shown += piece
        assert "S" not in shown, "part of the stop string was shown"
        if stopped:
            break
    assert (shown, stopped, scanner.met) == ("one two ", True, "STOP")


def test_what_only_looked_like_a_stop_is_given_back() -> None:
    scanner = StopScanner(["STOP"])
    assert scanner.push("a ST") == ("a ", False)
    assert scanner.push("EP") == ("STEP", False)
    assert scanner.push("S") == ("", False)
    assert scanner.flush() == "S"


def test_the_earliest_stop_wins() -> None:
    assert StopScanner(["late", "early"]).push("x early late") == ("x ", True)
