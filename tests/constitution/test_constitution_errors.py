"""Every problem of a file, each with its line, its principle and the fix."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.constitution import parse_constitution
from cai_core.constitution.nodes import MAX_BYTES
from cai_core.errors import ConstitutionError

PRINCIPLE = "  - {id: %s, text: t, critique_request: c, revision_request: r}\n"
HEAD = "format: 1\nname: n\nprinciples:\n"
VALID = HEAD + PRINCIPLE % "one"


def message(text: str) -> str:
    with pytest.raises(ConstitutionError) as raised:
        parse_constitution(text, "my.yaml")
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "my.yaml: the file is empty."),
        ("# only a comment\n", "my.yaml: the file is empty."),
        ("just words", "my.yaml:1: the file is a text, not a mapping."),
        ("- a\n- b\n", "my.yaml:1: the file is a list, not a mapping."),
        ("name: n\nprinciples:\n" + PRINCIPLE % "a", "my.yaml:1: the file has no format. Add"),
        (VALID.replace("format: 1", "format: 2"), "my.yaml:1: format is '2'; this version reads"),
        (VALID.replace("format: 1", "format: '1'"), "my.yaml:1: format is '1';"),
        (VALID.replace("name: n", "title: n"), "the file has no name. Add one."),
        (VALID.replace("name: n", "name: ../n"), "my.yaml:2: the file has the name '../n'. It"),
        (VALID.replace("name: n", "name: 7"), 'is a number, not a text. Put it in quotes: "7".'),
        (VALID.replace("name: n", "name: [n]"), "name is a list, not a text."),
        ("format: 1\nname: n\nprinciples: []\n", "my.yaml:3: the constitution has no principles."),
        ("format: 1\nname: n\nprinciples:\n", "my.yaml:3: the constitution has no principles."),
        ("format: 1\nname: n\n", "my.yaml:1: the constitution has no principles."),
        ("format: 1\nname: n\nprinciples: none\n", "my.yaml:3: principles is a text, not a list."),
        ("format: 1\nname: n\nprinciples: {}\n", "my.yaml:3: principles is a mapping, not a list."),
        (HEAD + "  - just words\n", "my.yaml:4: principle 1 is a text, not a mapping."),
        (VALID.replace("id: one", "id: 'a b'"), "principle 'a b' has the id 'a b'. It must start"),
        (VALID.replace("id: one, ", ""), "my.yaml:4: principle 1 has no id. Add one."),
        (VALID.replace("text: t", "text: yes"), 'yes/no value, not a text. Put it in quotes'),
        (VALID.replace("text: t", "text: 2024-01-02"), "text is a date"),
        (VALID.replace("text: t", "text: ' '"), "my.yaml:4: principle 'one' has an empty text."),
        (VALID.replace("text: t", "text: "), "principle 'one' has an empty text."),
        (VALID.replace("text: t, ", ""), "principle 'one' has no text. Add one, or delete"),
        (VALID.replace("text: t", "text: t, tags: harm"), "principle 'one': tags is a text, not a"),
        (VALID.replace("text: t", "text: t, tags: [1]"), "principle 'one': tag is a number"),
        (VALID.replace("text: t", "text: t, revison_request: x"), "mean 'revision_request'?"),
        (VALID.replace("text: t", "text: t, colour: x"), "has the unknown key 'colour'. Delete it"),
        (VALID.replace("text: t", "text: t, text: u"), "my.yaml:4: principle 'one' has 'text' tw"),
        (VALID + "name: m\n", "my.yaml:5: the file has 'name' twice."),
        (VALID + PRINCIPLE % "two" + PRINCIPLE % "one", "my.yaml:6: principle 'one' repeats the"),
        (VALID + "  - {id: [\n", "my.yaml:6: broken YAML at column 1: while parsing a flow"),
        (VALID + "---\n" + VALID, "broken YAML"),
        (VALID.replace("text: t", "text: a: b"), "my.yaml:4: broken YAML at column"),
        (VALID + "\tname: tab\n", "my.yaml:5: broken YAML at column 1"),
        (VALID.replace("text: t", "text: \x07"), "my.yaml:4: character U+0007 at column 21 is not"),
        (VALID.replace("text: t", 'text: "\\ud8zz"'), "broken YAML"),
        (VALID.replace("text: t", 'text: "\\UFFFFFFFF"'), "broken YAML"),
        (VALID.replace("text: t", "text: !!python/name:os.system ''"), "text is of the type"),
        (VALID.replace("text: t", "<<: {text: t}"), "has the unknown key '<<'"),
        (VALID.replace("text: t", "[a]: t"), "has the unknown key 'a list'"),
    ],
)  # fmt: skip
def test_a_problem_names_file_line_principle_and_fix(text: str, expected: str) -> None:
    assert expected in message(text)


def test_all_problems_come_together_in_the_order_of_the_file() -> None:
    text = "format: 1\nnmae: n\nprinciples:\n  - {id: one, text: 3}\n  - {id: one, txt: t}\n"
    lines = message(text).splitlines()
    numbers = [int(line.removeprefix("my.yaml:").split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
    for expected in (
        "my.yaml:2: the file has the unknown key 'nmae'. Did you mean 'name'?",
        "the file has no name. Add one.",
        "principle 'one' has no critique_request. Add one, or delete the principle.",
        "principle 'one': text is a number",
        "principle 'one' has the unknown key 'txt'. Did you mean 'text'?",
        "principle 'one' repeats the id of the one in line 4.",
    ):
        assert any(expected in line for line in lines), expected


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
    )
    assert "my.yaml:1: anchors (&name) and aliases (*name) are refused" in message(bomb)
    assert "refused" in message(VALID.replace("text: t", "text: *nowhere"))


def test_depth_size_and_number_are_capped_quickly() -> None:
    started = time.monotonic()
    assert "nested deeper than 8 levels" in message("[" * 500_000)
    assert "nested deeper than 8 levels" in message("format: " + "{a: " * 100_000)
    assert "more than 50000 keys, values and lists" in message("a: b\n" * 200_000)
    assert "… and 101 more problems" in message(VALID + "  - x\n" * 301)
    assert f"a constitution may have {MAX_BYTES}" in message("x" * (MAX_BYTES + 1))
    assert f"a constitution may have {MAX_BYTES}" in message("🙂" * (MAX_BYTES // 4 + 1))
    assert time.monotonic() - started < 30  # without the caps: minutes


@given(st.text(st.one_of(st.sampled_from(" \n\t:#&*!'\"\\|>-?%@`,[]{}1"), st.characters())))
def test_any_text_at_all_gives_a_constitution_error(text: str) -> None:
    assert message(text).startswith("my.yaml")


@given(st.integers(0, len(VALID)), st.characters())
def test_one_strange_character_anywhere_never_escapes_the_error(at: int, character: str) -> None:
    text = VALID[:at] + character + VALID[at:]
    with contextlib.suppress(ConstitutionError):
        assert parse_constitution(text, "my.yaml").principles
