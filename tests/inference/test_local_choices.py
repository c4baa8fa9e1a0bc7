"""Which tokens may follow, when the answer must be one of a few texts."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from cai_core.inference.local_server.choices import (
    ChoiceTable,
    TokenBytes,
    UnreachableChoiceError,
    keep_allowed,
    read_token_bytes,
)
from cai_core.inference.local_server.loading import LoadedModel, load_model
from cai_core.inference.local_server.sequences import Sampling
from tests.inference import tiny_models
from tests.inference.test_batching import Runner

END = 0
# Pieces that overlap, two that read alike, and a character in pieces.
SPELLING = {1: b"a", 2: b"b", 3: b"ab", 4: b"abc", 5: b"a", 6: "é".encode()[:1], 7: b"\xa9x"}
PIECES = TokenBytes.of(SPELLING)


def build_table(*choices: str, ends: frozenset[int] = frozenset({END})) -> ChoiceTable:
    return ChoiceTable(choices, PIECES, ends, vocabulary_size=8)


def list_answers(table: ChoiceTable, spoken: bytes = b"") -> list[bytes]:
    """Every answer that the table lets through, with each way of cutting it into tokens."""
    answers = []
    for token in table.allowed(spoken).tolist():
        if token == END:
            answers.append(spoken)
        else:
            answers += list_answers(table, table.extend(spoken, token))
    return answers


def test_every_way_of_cutting_a_choice_is_allowed() -> None:
    table = build_table("ab", "abc")
    assert table.allowed(b"").tolist() == [1, 3, 4, 5]
    assert table.allowed(b"ab").tolist() == [END]  # there is no token "c"
    # "a" + "b" with either of two tokens "a", "ab", and "abc".
    assert Counter(list_answers(table)) == {b"ab": 3, b"abc": 1}


def test_pieces_of_a_character_are_tokens_too() -> None:
    table = build_table("éx")
    assert table.allowed(b"").tolist() == [6]
    assert list_answers(table) == ["éx".encode()]


def test_dead_ends_are_not_entered() -> None:
    pieces = TokenBytes.of({1: b"a", 2: b"ab", 3: b"bc"})
    # After "ab" nothing would spell "c".
    assert ChoiceTable(["abc"], pieces, frozenset({END}), 4).allowed(b"").tolist() == [1]


def test_choices_that_cannot_be_spelled_or_ended_are_refused() -> None:
    with pytest.raises(UnreachableChoiceError, match="cannot spell 'éy'"):
        build_table("a", "éy")
    with pytest.raises(UnreachableChoiceError, match="no end token"):
        build_table("a", ends=frozenset())
    with pytest.raises(UnreachableChoiceError, match="no end token"):
        build_table("a", ends=frozenset({8}))


@given(st.sets(st.text("ab", max_size=5), min_size=1, max_size=5))
def test_exactly_the_choices_come_out(choices: set[str]) -> None:
    answers = list_answers(build_table(*choices))
    assert set(answers) == {choice.encode() for choice in choices}


def test_tokens_beyond_the_model_never_come() -> None:
    table = ChoiceTable(["ab"], PIECES, frozenset({END}), vocabulary_size=3)
    assert table.allowed(b"").tolist() == [1]


def test_rows_that_may_choose_all_keep_their_logits() -> None:
    logits = torch.arange(8.0).reshape(2, 4)
    before = logits.clone()
    keep_allowed(logits, {1: torch.tensor([0, 3])})
    assert torch.equal(logits[0], before[0])
    assert logits[1].tolist() == [4.0, -math.inf, -math.inf, 7.0]


def test_byte_level_vocabularies_are_read(llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama)
    found = read_token_bytes(tokenizer)
    assert {bytes([byte]) for byte in range(256)} <= set(found.tokens)
    controls = tokenizer.convert_tokens_to_ids(tiny_models.SPECIAL)
    assert not set(controls) & set(found.spelling)
    for text in ("How do I bake bread?", "naïve 🙂\n"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert b"".join(found.spelling[token] for token in ids).decode() == text


def build_fallback_tokenizer() -> Any:
    vocabulary = {"</s>": 0, "▁yes": 1, "no": 2, "<0xC3>": 3, "<0xA9>": 4, "<0x41>": 5, "<unk>": 6}
    raw = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", unk_token="<unk>")


def test_byte_fallback_vocabularies_are_read() -> None:
    found = read_token_bytes(build_fallback_tokenizer())
    assert found.spelling == {1: b" yes", 2: b"no", 3: b"\xc3", 4: b"\xa9", 5: b"A"}


def test_other_vocabularies_spell_nothing() -> None:
    raw = Tokenizer(models.WordLevel({"yes": 0, "</s>": 1}, unk_token="yes"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")
    assert read_token_bytes(tokenizer).spelling == {}


@pytest.fixture(scope="module")
def loaded(llama: Path) -> LoadedModel:
    return load_model(llama)


def compute_law(loaded: LoadedModel, table: ChoiceTable, prompt: list[int]) -> dict[bytes, float]:
    """Each choice's probability, all its ways together, by transformers itself."""
    law: Counter[bytes] = Counter()
    open_paths: list[tuple[list[int], bytes, float]] = [([], b"", 1.0)]
    while open_paths:
        path, spoken, mass = open_paths.pop()
        allowed = table.allowed(spoken)
        logits = loaded.model(torch.tensor([prompt + path])).logits[0, -1]
        chances = torch.softmax(logits[allowed], -1).tolist()
        for token, chance in zip(allowed.tolist(), chances, strict=True):
            if token in loaded.eos_ids:
                law[spoken] += mass * chance
            else:
                open_paths.append(([*path, token], table.extend(spoken, token), mass * chance))
    return law


@torch.inference_mode()
def test_choices_are_drawn_by_the_models_own_probabilities(loaded: LoadedModel) -> None:
    prompt = loaded.encode("How do I")
    choices = ("A", "AB", "bake", "bread and salt")
    table = ChoiceTable(choices, loaded.token_bytes, loaded.eos_ids, loaded.vocabulary_size)
    law = compute_law(loaded, table, prompt)
    assert sum(law.values()) == pytest.approx(1.0)
    runner = Runner(loaded)
    count = 1200
    samplings = [Sampling(max_tokens=30, seed=seed, choices=table) for seed in range(count)]
    told = runner.run([prompt] * count, samplings)
    runner.engine.stop()
    assert {delta.finish_reason for delta in told} == {"stop"}
    drawn = Counter(delta.text.encode() for delta in told)
    for choice, chance in law.items():
        spread = math.sqrt(chance * (1 - chance) / count)
        assert drawn[choice] / count == pytest.approx(chance, abs=4 * spread + 1e-9)


def test_a_choice_does_not_depend_on_its_neighbours(loaded: LoadedModel) -> None:
    runner = Runner(loaded)
    prompts = [loaded.encode("How do I " + "bake " * size) for size in range(12)]

    def build_sampling(index: int) -> Sampling:
        table = ChoiceTable(
            ("yes", "yes, but", "no"), loaded.token_bytes, loaded.eos_ids, loaded.vocabulary_size
        )
        free = Sampling(max_tokens=20, seed=index, logprobs=(7, 70), ignore_eos=True)
        bound = Sampling(max_tokens=20, seed=index, logprobs=3, choices=table)
        return bound if index % 3 else free

    together = runner.run(prompts, [build_sampling(index) for index in range(12)])
    for index in range(12):
        (alone,) = runner.run([prompts[index]], [build_sampling(index)])
        assert alone.text == together[index].text
        assert alone.logprobs == together[index].logprobs
    runner.engine.stop()


def test_ignore_eos_does_not_go_on_behind_a_choice(loaded: LoadedModel) -> None:
    table = ChoiceTable(("yes",), loaded.token_bytes, loaded.eos_ids, loaded.vocabulary_size)
    runner = Runner(loaded)
    sampling = Sampling(max_tokens=30, choices=table, ignore_eos=True)
    (told,) = runner.run([[7, 8]], [sampling])
    runner.engine.stop()
    assert (told.text, told.finish_reason) == ("yes", "stop")


def test_lists_of_paths_are_finite() -> None:
    longest = "ab" * 6
    answers = list_answers(build_table(*itertools.accumulate(longest)))
    assert set(answers) == {longest[:size].encode() for size in range(1, 13)}
