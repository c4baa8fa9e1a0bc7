"""Hostile text stays text, and a diff shows the new text whole."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from ui.diff import build_diff
from ui.look import (
    LOOKS,
    build_badge,
    build_card,
    build_error,
    build_style,
    escape,
    escape_markdown,
)

texts = st.text(max_size=200)
words = st.lists(st.sampled_from(["a", "b", "the", "<b>", "&amp;", "x\n", "é"]), max_size=30)


def strip_tags(shown: str, tag: str) -> str:
    without = re.sub(rf"<{tag}>.*?</{tag}> ?", "", shown, flags=re.DOTALL)
    return html.unescape(re.sub(r"</?(ins|del)>", "", without))


@given(words, words)
def test_a_diff_without_what_was_dropped_is_the_new_text(old: list[str], new: list[str]) -> None:
    before, after = " ".join(old), " ".join(new)
    shown = build_diff(before, after)
    assert strip_tags(shown, "del").split() == after.split()
    assert strip_tags(shown, "ins").split() == before.split()


@given(texts)
def test_equal_texts_have_no_marks(text: str) -> None:
    shown = build_diff(text, text)
    assert "<ins>" not in shown
    assert "<del>" not in shown


@given(texts, texts)
def test_a_diff_holds_no_tags_but_its_own(before: str, after: str) -> None:
    rest = re.sub(r"</?(ins|del)>", "", build_diff(before, after))
    assert "<" not in rest
    assert ">" not in rest


def test_a_long_text_is_matched_word_by_word() -> None:
    before = "the cat sat on the mat and " * 100
    shown = build_diff(before, before.replace("cat", "dog", 1))
    assert shown.count("<ins>") == shown.count("<del>") == 1


@given(texts)
def test_cards_escape_titles_and_badges(text: str) -> None:
    hostile = f'{text}<img src="x" onerror="y">'
    for shown in (build_card("note", hostile, ""), build_badge(hostile), escape(hostile)):
        assert "<img" not in shown
        assert 'onerror="' not in shown


@given(texts)
def test_markdown_has_nothing_left_to_act_on(text: str) -> None:
    bare = re.sub(r"\\.", "", escape_markdown(f"![x](http://e) **b** :red[x] $x$ `c` {text}"))
    assert not set("![]()*_`:$<>\n\\") & set(bare)


@given(texts)
def test_an_error_marks_what_is_to_be_typed_and_holds_no_other_tag(text: str) -> None:
    shown = build_error("Not started", f"{text} `<b>demo</b>` or `a`")
    body = shown.partition('<div class="cai-text">')[2].removesuffix("</div></div>")
    assert "<code>a</code>" in shown or "`" in text
    assert "<" not in re.sub(r"</?code>", "", body)
    assert 'role="alert"' in shown


def test_a_theme_chosen_in_the_menu_holds_outside_the_app_too() -> None:
    assert ":root { color-scheme: dark; }" in build_style(theme="dark")
    assert ":root" not in build_style(theme=None)


def test_colours_can_be_read_on_both_themes() -> None:
    for look in LOOKS.values():
        assert contrast(look.light, "#ffffff") >= 4.5
        assert contrast(look.dark, "#171a23") >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, "contrast ratio"."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
