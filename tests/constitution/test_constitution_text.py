"""parse, dump and hash: what is the same version, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.constitution import (
    constitution_hash,
    dump,
    dump_constitution,
    parse_constitution,
)
from cai_core.records import Constitution
from tests.constitution.strategies import constitutions

PLAIN = """\
format: 1
name: kindness
description: Two rules of good manners.
principles:
  - id: greet
    text: Greet people before you answer them.
    critique_request: Say whether the answer greets the person.
    revision_request: Write the answer again with a greeting.
    comparison_request: Which answer greets better?
    tags: [manners, tone]
  - id: thank
    text: Thank people who correct you.
    critique_request: Say whether the answer thanks the person.
    revision_request: Write the answer again with thanks.
"""

RESTYLED = """\
# Another style, another key order, the same constitution.
---
principles:
- tags:
    - manners
    - "tone"
  revision_request: |
    Write the answer
    again with a greeting.

  text: >
    Greet people before
    you answer them.
  id: 'greet'
  comparison_request: "Which  answer\\tgreets better? "
  critique_request: Say whether
    the answer greets
    the person.
- {id: thank, text: Thank people who correct you.,
   critique_request: Say whether the answer thanks the person.,
   revision_request: Write the answer again with thanks., tags: []}
description: Two rules of good   manners.
name: kindness
format: 1
"""


def test_every_field_is_read() -> None:
    constitution = parse_constitution(PLAIN, "plain.yaml")
    greet = constitution.principle("greet")
    assert (constitution.name, constitution.description) == (
        "kindness",
        "Two rules of good manners.",
    )
    assert greet.tags == ("manners", "tone")
    assert greet.comparison_request == "Which answer greets better?"
    assert constitution.principle("thank").comparison_request == ""
    assert constitution.hash == constitution_hash(constitution)


def test_hash_ignores_key_order_style_and_white_space() -> None:
    plain = parse_constitution(PLAIN, "plain.yaml")
    assert parse_constitution(RESTYLED, "restyled.yaml").hash == plain.hash
    assert parse_constitution(PLAIN.replace("\n", "\r\n"), "windows.yaml") == plain
    assert parse_constitution("\ufeff" + PLAIN, "bom.yaml") == plain


def test_block_texts_lose_their_last_line_break_and_quoted_texts_keep_theirs() -> None:
    block = PLAIN.replace(
        "text: Thank people who correct you.", "text: |\n      Thank.\n\n      You.\n"
    )
    quoted = PLAIN.replace("text: Thank people who correct you.", 'text: " Thank.  You.\\n"')
    assert parse_constitution(block, "f").principle("thank").text == "Thank.\n\nYou."
    assert parse_constitution(quoted, "f").principle("thank").text == " Thank.  You.\n"


@given(constitutions)
def test_dump_then_parse_is_the_identity(constitution: Constitution) -> None:
    assert parse_constitution(dump_constitution(constitution), "dump") == constitution


@given(constitutions)
def test_dump_is_what_safe_load_reads(constitution: Constitution) -> None:
    loaded = yaml.safe_load(dump_constitution(constitution))
    first, written = constitution.principles[0], loaded["principles"][0]
    assert loaded["name"] == constitution.name
    assert written["id"] == first.id
    assert written.get("tags", []) == list(first.tags)


@given(constitutions, st.randoms(use_true_random=False))
def test_hash_ignores_the_order_of_keys(constitution: Constitution, random: object) -> None:
    def shuffled(value: object) -> object:
        if isinstance(value, dict):
            keys = list(value)
            random.shuffle(keys)  # type: ignore[attr-defined]
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(v) for v in value] if isinstance(value, list) else value

    document = shuffled(yaml.safe_load(dump_constitution(constitution)))
    rewritten = yaml.safe_dump(document, sort_keys=False, default_style='"').replace(
        '"format": !!int "1"', '"format": 1'
    )
    assert parse_constitution(rewritten, "shuffled") == constitution


@given(constitutions, st.sampled_from([" ", "  ", "\n", "\t\n", "\u00a0"]))
def test_hash_ignores_white_space_around_and_inside(constitution: Constitution, gap: str) -> None:
    first = constitution.principles[0]
    spaced = replace(first, text=gap + gap.join(first.text.split()) + gap)
    changed = replace(constitution, principles=(spaced, *constitution.principles[1:]))
    assert constitution_hash(changed) == constitution.hash


@pytest.mark.parametrize(
    "field", ["id", "text", "critique_request", "revision_request", "comparison_request", "tags"]
)
def test_hash_covers_every_field_of_a_principle(field: str) -> None:
    constitution = parse_constitution(PLAIN, "plain.yaml")
    first, second = constitution.principles
    value = getattr(first, field)
    new = (*value, "more") if isinstance(value, tuple) else f"{value}x"
    changed = replace(constitution, principles=(replace(first, **{field: new}), second))
    assert constitution_hash(changed) != constitution.hash


def test_hash_covers_name_description_and_order_but_not_itself() -> None:
    constitution = parse_constitution(PLAIN, "plain.yaml")
    backwards = tuple(reversed(constitution.principles))
    changed = [
        replace(constitution, name="other"),
        replace(constitution, description="other"),
        replace(constitution, principles=backwards),
        replace(constitution, principles=backwards[:1]),
    ]
    hashes = {constitution_hash(c) for c in changed}
    assert len(hashes | {constitution.hash}) == 5
    assert constitution_hash(replace(constitution, hash="")) == constitution.hash


ordinary = st.text(
    st.one_of(
        st.sampled_from("   abc\n:#-'\"&*%@`{}[],|>?!~é"),
        st.characters(max_codepoint=0xFFFF).filter(str.isprintable),
    ),
    min_size=1,
    max_size=200,
).filter(lambda text: bool(text.strip()))


@pytest.mark.skipif(dump._FAST is None, reason="PyYAML was built without libyaml")
@settings(deadline=None)
@given(constitutions, st.lists(ordinary, min_size=5, max_size=5))
def test_the_quick_writer_writes_what_the_slow_one_does(
    constitution: Constitution, texts: list[str]
) -> None:
    first = replace(
        constitution.principles[0],
        text=texts[0],
        critique_request=texts[1],
        revision_request=texts[2],
        tags=(texts[3],),
        weight=2.0,
    )
    changed = replace(constitution, description=texts[4], principles=(first, first))
    quick = dump_constitution(changed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dump, "_FAST", None)
        assert dump_constitution(changed) == quick


def test_words_that_join_are_another_version() -> None:
    constitution = parse_constitution(PLAIN, "plain.yaml")
    joined = parse_constitution(PLAIN.replace("Greet people", "Greetpeople"), "plain.yaml")
    assert joined.hash != constitution.hash
