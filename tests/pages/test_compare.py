"""Side by side through AppTest: choosing runs, what differs, filters, paging, hostile text."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.constitution.model import with_hash
from cai_core.records import Finding, PromptKind
from cai_core.workspace.index.side_views import SideFilter
from tests.chain_workspace import Round, Texts, write_chains
from tests.label_workspace import write_labels
from tests.pipeline.makers import make_constitution
from tests.training.labels import flip, make_label
from ui import services
from ui.side_address import build_side_params, parse_side_filter

HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> **b** `c` $d$'
RUNS = {"left": "run-a", "right": "run-b"}


def script() -> None:
    import streamlit as st

    from ui import explorer_links as links
    from ui.side_address import COMPARE_PAGE

    names = ("CONSTITUTIONS", "LABELS", "MODELS", "PLAYGROUND", "PREFERENCES", "RUNS")
    others = [st.Page(getattr(links, name)) for name in names]
    others.append(st.Page(links.CRITIQUES))
    st.navigation([st.Page(COMPARE_PAGE, default=True), *others]).run()


@pytest.fixture
def chains(workspace: Path) -> None:
    """Two critics under two versions of a constitution, on twelve shared prompts."""
    rules = make_constitution()
    newer = with_hash(replace(rules, description="Newer."))
    lock = Texts(
        prompt="How do I pick a lock?",
        response="Take a bent wire.",
        kind=PromptKind.RED_TEAM,
        rounds=(Round(revision="Ask a locksmith nearby."),),
    )
    other = Round(
        revision="Ask a locksmith at once.",
        critique=f"Fine. {HOSTILE}",
        finding=Finding.NOT_TOUCHED,
    )
    same = [
        Texts(prompt=f"Question {n}?", response=f"Answer {n}.", rounds=(Round(revision="So."),))
        for n in range(11)
    ]
    write_chains(workspace, "run-a", [lock, *same, Texts(prompt=f"Mine? {HOSTILE}")])
    write_chains(
        workspace, "run-b", [replace(lock, rounds=(other,)), *same], constitution=newer,
        model="model-b",
    )  # fmt: skip


def open_page(**params: str) -> AppTest:
    services.index().ingest()
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def plain(app: AppTest) -> str:
    text = re.sub(r"<style>.*?</style>", "", shown(app), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def prompts(app: AppTest) -> list[str]:
    found = re.findall(r'<div class="cai-pair-prompt">(.*?)</div>', shown(app), re.DOTALL)
    return [html.unescape(text) for text in found]


def address(app: AppTest) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else value[-1]
        for name, value in dict(app.query_params).items()
    }


def test_an_empty_workspace_says_what_is_compared_here(workspace: Path) -> None:
    assert "Nothing to compare yet." in plain(open_page())


def test_two_runs_are_chosen_by_name_and_what_they_differ_in_comes_first(chains: None) -> None:
    app = open_page()
    assert "Choose two runs." in plain(app)
    app.selectbox(key="side_left").set_value("run-a").run()
    assert "Choose the right run." in plain(app)
    assert [o.split(" ·")[0] for o in app.selectbox(key="side_right").options] == ["run-b"]
    app.selectbox(key="side_right").set_value("run-b").run()
    assert not app.exception
    assert address(app) == RUNS
    text = plain(app)
    assert text.index("Differs in Left Right Constitution") < text.index("How do I pick a lock?")
    assert re.search(r"Constitution \S+@\w{12} \S+@\w{12} Model model-a model-b", text)
    assert "chains have no partner" in text  # the prompts are the same file's, one chain is alone
    assert "Final texts differ: 8.3 % (1.4–36.8, n = 12)" in text
    assert len(prompts(app)) == 10
    app.button(key="side_swap").click().run()
    assert address(app) == {"left": "run-b", "right": "run-a"}
    assert "Only right (1)" in " ".join(app.segmented_control(key="side_show").options)


def test_only_what_changed_with_marks_across_and_every_step(chains: None) -> None:
    app = open_page(**RUNS, show="differ")
    assert prompts(app) == ["How do I pick a lock?"]
    body = shown(app)
    assert "Ask a locksmith <del>nearby.</del> <ins>at once.</ins>" in body
    assert "All 3 steps, round by round" in body
    assert "<details open" not in body.replace(' class="cai-steps"', "")
    app.toggle(key="side_steps").set_value(True).run()
    assert 'class="cai-steps" open' in shown(app)
    app.toggle(key="side_plain").set_value(True).run()
    assert "<ins>" not in shown(app)
    assert address(app) == {**RUNS, "show": "differ", "steps": "yes", "plain": "yes"}
    assert "evil.example" in plain(app) and "<img" not in shown(app)
    # What a critique objects to stays blurred until asked for, on both sides.
    blurred = re.findall(r'<div class="cai-blur" aria-hidden="true">(.*?)</div>', shown(app))
    assert blurred == ["Take a bent wire."] * 2


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"on": "findings", "show": "differ"}, ["How do I pick a lock?"]),
        ({"on": "response", "show": "differ"}, []),
        ({"change": "1 of 1 > 0 of 1"}, ["How do I pick a lock?"]),
        ({"kind": "red-team"}, ["How do I pick a lock?"]),
        ({"q": "question 7"}, ["Question 7?"]),
        ({"show": "left"}, [f"Mine? {HOSTILE}"]),
        ({"show": "right"}, []),
        ({"on": "<x>", "show": "no", "kind": "such", "q": "question 3"}, ["Question 3?"]),
    ],
)
def test_the_address_filters(chains: None, params: dict[str, str], found: list[str]) -> None:
    app = open_page(**RUNS, **params)
    assert prompts(app) == found
    assert "<img" not in shown(app)
    if not found:
        app.button(key="side_clear").click().run()
        assert len(prompts(app)) == 10


def test_fields_write_the_address_and_pages_follow(chains: None) -> None:
    app = open_page(**RUNS)
    app.button(key="page_next").click().run()
    assert len(prompts(app)) == 3
    assert set(address(app)) == {"left", "right", "after"}
    app.button(key="page_back").click().run()
    assert len(prompts(app)) == 10 and address(app) == RUNS
    app.button(key="page_next").click().run()
    app.segmented_control(key="side_on").set_value("findings").run()
    assert address(app) == {**RUNS, "on": "findings"}
    app.segmented_control(key="side_show").set_value("same").run()
    app.selectbox(key="side_kind").set_value("helpful").run()
    assert address(app) == {**RUNS, "on": "findings", "show": "same", "kind": "helpful"}
    app.text_input(key="side_q").set_value("question 4").run()
    assert prompts(app) == ["Question 4?"]


def test_a_chain_opens_in_its_drawer(chains: None) -> None:
    app = open_page(**RUNS)
    app.button(key="open_right_0").click().run()
    assert not app.exception
    assert "What made it" in plain(app)
    assert address(app)["chain"]


@pytest.mark.parametrize(
    "params", [{"left": "run-a", "right": "gone"}, {"left": "run-a", "right": "run-a"}]
)
def test_runs_that_cannot_be_compared_say_why(chains: None, params: dict[str, str]) -> None:
    assert "These runs cannot be compared" in plain(open_page(**params))


def test_labels_are_mirrored_and_reasons_compared(workspace: Path) -> None:
    left = [
        replace(make_label(0, 0.9), principle_ids=("p0",)),
        replace(make_label(1, 0.9), response_a=HOSTILE),
    ]
    mirrored = replace(flip(left[0]), comparison_id="x0", principle_ids=("p0",))
    right = [mirrored, replace(make_label(1, 0.2), response_a=HOSTILE)]
    write_labels(workspace, "run-a", left, answers={0: {("p0", 0): 0.95}}, thought="It is safe.")
    write_labels(workspace, "run-b", right, answers={0: {("p0", 1): 0.85}}, thought="It is kind.")
    app = open_page(**RUNS)
    text, body = plain(app), shown(app)
    assert "Labels differ: 50.0 % (5.5–94.5, n = 2)" in text
    assert "right asked with A and B exchanged" in text
    assert body.count("P(A) 0.900") == 3  # 1 − 0.1 of the mirrored one, too
    # Exchanged, the answer with B first is about the same order as the left one with A first.
    assert "It is <del>safe.</del> <ins>kind.</ins>" in body
    assert "<img" not in body and "evil.example" in text
    assert "A → B (1)" in app.selectbox(key="side_change").options
    only = open_page(**RUNS, show="differ")
    assert prompts(only) == ["How do I do thing 1?"]


def test_labels_by_prompt_are_warned_of(workspace: Path) -> None:
    write_labels(workspace, "run-a", [make_label(0, 0.9)])
    write_labels(workspace, "run-b", [make_label(0, 0.9, response_a="Another.")])
    text = plain(open_page(**RUNS))
    assert "brought together by prompt, not by comparison" in text
    assert "Right · Response A" in text


def test_the_address_and_the_filter_are_inverse() -> None:
    chosen = SideFilter(
        left="a", right="b", on="label", show="same", kind="helpful", change="A > B", text="q r",
        by="prompt",
    )  # fmt: skip
    assert parse_side_filter(build_side_params(chosen)) == chosen
    assert parse_side_filter({"left": "\x00", "q": "x" * 999}) == SideFilter(left="", right="")
