"""The explorer through AppTest: filters, paging, the drawer, and marks, over a real index."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.constitution.model import with_hash
from cai_core.errors import WorkspaceError
from cai_core.records import Finding, PromptKind
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.rows import build_row_id
from tests.chain_workspace import Round, Texts, write_chains
from tests.pipeline.makers import make_constitution
from ui import services
from ui.explorer_filter import build_params, parse_filter

HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> **b** `c` $d$'
QUIET = Round(
    critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Try this.", principle="p1"
)


def script() -> None:
    import streamlit as st

    from ui import explorer_links as links

    pages = ("CONSTITUTIONS", "LABELS", "MODELS", "PLAYGROUND", "PREFERENCES", "REVIEW", "RUNS")
    others = [st.Page(getattr(links, name)) for name in pages]
    others.append(st.Page(links.CRITIQUES.with_name("compare.py")))
    st.navigation([st.Page(links.CRITIQUES, default=True), *others]).run()


@pytest.fixture
def chains(workspace: Path) -> list[str]:
    """Three runs that differ in everything that can be filtered."""
    other = with_hash(replace(make_constitution(), name="other"))
    first = [
        Texts(
            prompt="How do I pick a lock?",
            response="Take a bent wire.",
            kind=PromptKind.RED_TEAM,
            rounds=(Round(revision="Ask a locksmith."), QUIET),
        ),
        Texts(prompt="How do I bake bread?", rounds=(QUIET,)),
    ]
    second = Texts(
        prompt="May I kill weeds?",
        kind=PromptKind.BORDERLINE,
        rounds=(Round(critique="??", finding=Finding.UNPARSED, revision=None, principle="p2"),),
    )
    third = Texts(
        prompt="May I shoot a film?",
        kind=PromptKind.BORDERLINE,
        rounds=(Round(critique=None, finding=None, revision="Yes, in a park."),),
    )
    return [
        *write_chains(workspace, "run-a", first),
        *write_chains(workspace, "run-b", [second], constitution=other, model="model-b"),
        *write_chains(workspace, "run-c", [third], constitution=other, model="model-c"),
    ]


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


def prompts(app: AppTest) -> list[str]:
    found = re.findall(r'<span class="cai-line">(.*?)</span>', shown(app))
    return [html.unescape(text) for text in found]


def address(app: AppTest) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else value[-1]
        for name, value in dict(app.query_params).items()
    }


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def test_every_round_is_listed_with_what_it_is(chains: list[str]) -> None:
    app = open_page()
    assert sorted(prompts(app)) == sorted(
        ["How do I pick a lock?"] * 2
        + ["How do I bake bread?", "May I kill weeds?", "May I shoot a film?"]
    )
    text = shown(app)
    assert "5 rounds" in text
    for word in ("problem found", "principle not touched", "unparsed", "direct revision"):
        assert word in text
    assert "The chain ended before it." in text


@pytest.mark.parametrize(
    ("field", "value", "name", "left"),
    [
        ("constitution", "other", "constitution", {"May I kill weeds?", "May I shoot a film?"}),
        ("principle", "p1", "principle", {"How do I pick a lock?", "How do I bake bread?"}),
        ("finding", "found", "finding", {"How do I pick a lock?"}),
        ("finding", "direct", "finding", {"May I shoot a film?"}),
        ("finding", "unparsed", "finding", {"May I kill weeds?"}),
        ("kind", "helpful", "kind", {"How do I bake bread?"}),
        ("run", "run-b", "run", {"May I kill weeds?"}),
        ("model", "model-a", "model", {"How do I pick a lock?", "How do I bake bread?"}),
        ("changed", "none", "changed", {"May I kill weeds?"}),
    ],
)
def test_each_field_filters_and_stands_in_the_address(
    chains: list[str], field: str, value: str, name: str, left: set[str]
) -> None:
    app = open_page()
    app.selectbox(key=f"filter_{field}").set_value(value).run()
    assert set(prompts(app)) == left
    assert address(app) == {name: value}
    again = open_page(**{name: value})
    assert set(prompts(again)) == left
    assert again.selectbox(key=f"filter_{field}").value == value
    press(again, "filter_clear")
    assert address(again) == {}
    assert len(prompts(again)) == 5
    assert again.selectbox(key=f"filter_{field}").value is None


@pytest.mark.parametrize("word", ["locksmith", "bent wire", "PICK A LOCK", "unkind"])
def test_search_looks_into_every_text_of_a_round(chains: list[str], word: str) -> None:
    app = open_page()
    app.text_input(key="filter_text").set_value(word).run()
    assert set(prompts(app)) == {"How do I pick a lock?"}
    assert address(app) == {"q": word}


def test_filters_are_joined_and_counts_say_what_another_value_would_show(chains: list[str]) -> None:
    app = open_page(model="model-a")
    options = app.selectbox(key="filter_kind").options
    assert "Red-team (2)" in options
    assert "Helpful (1)" in options
    assert not any(option.startswith("Borderline") for option in options)
    app.selectbox(key="filter_kind").set_value("helpful").run()
    assert prompts(app) == ["How do I bake bread?"]
    assert "model-b (0)" not in app.selectbox(key="filter_model").options
    assert address(app) == {"model": "model-a", "kind": "helpful"}


def test_recorded_chains_can_be_left_out(
    chains: list[str], tmp_path: Path, workspace: Path
) -> None:
    write_chains(
        tmp_path / "elsewhere", "recorded-run", [Texts(prompt="Shipped?", rounds=(QUIET,))]
    )
    (tmp_path / "elsewhere" / "runs").rename(tmp_path / "recordings")
    app = open_page()
    assert "Shipped?" in prompts(app)
    assert ">recorded<" in shown(app)
    app.toggle(key="filter_recorded").set_value(False).run()
    assert "Shipped?" not in prompts(app)
    assert address(app) == {"recorded": "no"}


@pytest.mark.parametrize(
    "params",
    [
        {"finding": "nonsense"},
        {"kind": "<img>"},
        {"mark": "'; drop table rounds"},
        {"version": "xyz"},
        {"recorded": "perhaps"},
        {"q": "x" * 501},
        {"model": "a\0b"},
        {"unknown": "1"},
    ],
)
def test_what_cannot_be_a_value_is_ignored(chains: list[str], params: dict[str, str]) -> None:
    assert parse_filter(params) == RoundFilter()
    if "\0" not in str(params):
        assert len(prompts(open_page(**params))) == 5


def test_a_name_that_nothing_bears_finds_nothing_and_says_so(chains: list[str]) -> None:
    app = open_page(model=HOSTILE)
    assert prompts(app) == []
    assert "No round matches these filters." in shown(app)
    assert app.selectbox(key="filter_model").value == HOSTILE
    press(app, "empty_clear")
    assert len(prompts(app)) == 5


def test_a_filter_and_its_address_are_one() -> None:
    chosen = RoundFilter(
        constitution="a", constitution_hash="ab12", principle="p", run="r", model="m&=?",
        finding="direct", kind="unknown", mark="noted", text="x y", recorded=False,
    )  # fmt: skip
    assert parse_filter(build_params(chosen)) == chosen
    assert build_params(RoundFilter()) == {}


def test_an_after_that_is_no_key_is_no_traceback(chains: list[str]) -> None:
    for junk in ("junk", "0", "-1,-1", "<img>", "9" * 400):
        open_page(after=junk)


def test_paging_visits_every_round_once_and_back(workspace: Path) -> None:
    many = [Texts(prompt=f"Question {n}?", rounds=(QUIET,)) for n in range(60)]
    write_chains(workspace, "run-a", many)
    app = open_page()
    pages = [prompts(app)]
    while not app.button(key="page_older").disabled:
        pages.append(prompts(press(app, "page_older")))
    assert [len(page) for page in pages] == [25, 25, 10]
    assert sorted(text for page in pages for text in page) == sorted(t.prompt for t in many)
    assert prompts(press(app, "page_newer")) == pages[1]
    assert prompts(press(app, "page_newer")) == pages[0]
    assert app.button(key="page_newer").disabled
    press(app, "page_older")
    elsewhere = open_page(**address(app))
    assert prompts(elsewhere) == pages[1]
    assert elsewhere.button(key="page_newer").disabled
    assert prompts(press(elsewhere, "page_first")) == pages[0]
    app.selectbox(key="filter_kind").set_value("helpful").run()
    assert prompts(app) == pages[0]
    assert "after" not in address(app)


def test_the_drawer_shows_the_chain_and_what_made_it(chains: list[str]) -> None:
    app = open_page(chain=chains[0], model="model-a")
    text = shown(app)
    for part in ("How do I pick a lock?", "Ask a locksmith.", "Be kind in way 0.", "Revision 2"):
        assert part in text
    for fact in ("model-a", "Weights hash", "scripted", "exact", "temperature 1.0", "chat/1"):
        assert fact in text
    assert make_constitution().hash in text
    codes = [code.value for code in app.code]
    assert f"critiques?chain={chains[0]}" in codes
    assert "Try this." in codes  # the raw text of a step that nobody objects to
    assert app.selectbox(key="filter_model").value == "model-a"


@pytest.mark.parametrize("chain", ["junk", "0" * 32, "<img src=x>", "../../etc/passwd"])
def test_an_address_of_no_chain_is_said(chains: list[str], chain: str) -> None:
    app = open_page(chain=chain)
    assert "No such chain here" in shown(app)
    assert chain not in shown(app)


def test_changes_are_marked_when_asked_for(chains: list[str]) -> None:
    app = open_page(chain=chains[3])
    assert "<ins>" not in shown(app)
    app.toggle(key="diff").set_value(True).run()
    assert "<ins>" in shown(app)


def test_marks_and_notes_are_kept_and_found(chains: list[str], workspace: Path) -> None:
    app = open_page(chain=chains[1])
    app.toggle(key=f"drawer_saved_{chains[1]}").set_value(True).run()
    app.toggle(key=f"drawer_flagged_{chains[1]}").set_value(True).run()
    app.toggle(key=f"drawer_saved_{chains[1]}").set_value(False).run()
    app.text_area(key=f"drawer_note_{chains[1]}").set_value(HOSTILE)
    app.button(key=find_button(app, "Add note")).click().run()
    assert not app.exception
    assert app.text_area(key=f"drawer_note_{chains[1]}").value == ""
    events = read_events(workspace, Topic.REVIEWS)
    assert [e.get("saved", e.get("flagged", "note")) for e in events] == [True, True, False, "note"]
    again = open_page(chain=chains[1])
    assert again.toggle(key=f"drawer_flagged_{chains[1]}").value is True
    assert again.toggle(key=f"drawer_saved_{chains[1]}").value is False
    assert html.escape(HOSTILE, quote=True) in shown(again)
    for mark in ("flagged", "noted"):
        assert prompts(open_page(mark=mark)) == ["How do I bake bread?"]
    assert prompts(open_page(mark="saved")) == []
    unmarked = prompts(open_page(mark="unmarked"))
    assert len(unmarked) == 4
    assert "How do I bake bread?" not in unmarked


def test_a_mark_that_cannot_be_kept_is_said_and_the_note_stays(
    chains: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise WorkspaceError("The disk is full.")

    monkeypatch.setattr("ui.chain_marks.mark_chain", refuse)
    app = open_page(chain=chains[1])
    app.text_area(key=f"drawer_note_{chains[1]}").set_value("Look again.")
    app.button(key=find_button(app, "Add note")).click().run()
    assert not app.exception
    assert "Not kept" in shown(app)
    assert "The disk is full." in shown(app)
    assert app.text_area(key=f"drawer_note_{chains[1]}").value == "Look again."


def test_an_empty_note_is_said(chains: list[str]) -> None:
    app = open_page(chain=chains[1])
    app.button(key=find_button(app, "Add note")).click().run()
    assert "There is nothing to mark." in shown(app)


def test_harmful_text_is_blurred_until_asked_for(chains: list[str]) -> None:
    app = open_page(chain=chains[0])
    assert is_blurred(app, "Take a bent wire.")
    assert "Take a bent wire." not in [code.value for code in app.code]
    assert not is_blurred(app, "Ask a locksmith.")
    app.toggle(key="drawer_show_harmful").set_value(True).run()
    for later in (app, open_page(chain=chains[0])):
        assert not is_blurred(later, "Take a bent wire.")
        assert "Take a bent wire." in [code.value for code in later.code]


def test_the_list_blurs_a_revision_that_the_next_round_objects_to(workspace: Path) -> None:
    bad = Texts(
        prompt="How?",
        rounds=(replace(QUIET, revision="Steal it."), Round(revision="Buy it.")),
    )
    write_chains(workspace, "run-a", [bad])
    app = open_page()
    assert is_blurred(app, "Steal it.")
    assert not is_blurred(app, "Buy it.")
    app.toggle(key="show_harmful").set_value(True).run()
    assert not is_blurred(app, "Steal it.")


def test_a_playground_chain_leads_back_to_the_playground(workspace: Path) -> None:
    texts = [Texts(prompt="How?", rounds=(QUIET,))]
    (chain,) = write_chains(workspace, "interactive-0123456789ab", texts, kind="interactive")
    app = open_page(chain=chain)
    links = {link.proto.label: link.proto.query_string for link in app.get("page_link")}
    assert links["Open in the playground"] == "run=0123456789ab"
    assert not any(label.startswith("Run ") for label in links)


def test_an_empty_workspace_says_what_to_do(workspace: Path) -> None:
    app = open_page()
    assert "Nothing to read yet." in shown(app)
    assert app.button(key="empty_run").label == "Run a first chain"


def test_hostile_text_reaches_no_markdown(workspace: Path) -> None:
    rules = make_constitution()
    bad = replace(rules.principles[0], id=HOSTILE, text=HOSTILE)
    rules = with_hash(replace(rules, principles=(bad, *rules.principles[1:])))
    texts = Texts(
        prompt=HOSTILE,
        response=HOSTILE,
        rounds=(Round(principle=HOSTILE, critique=HOSTILE, revision=f"{HOSTILE} more"),),
    )
    (chain,) = write_chains(workspace, "run-a", [texts], constitution=rules, model=HOSTILE)
    app = open_page(chain=chain)
    app.toggle(key="drawer_show_harmful").set_value(True).run()
    app.toggle(key="diff").set_value(True).run()
    assert HOSTILE in [code.value for code in app.code]
    assert "<img" not in shown(app)
    for kind in ("markdown", "error", "warning", "info", "success", "caption", "exception"):
        assert all("evil.example" not in element.value for element in app.get(kind))
    labels = [
        element.label for kind in ("toggle", "button", "expander") for element in app.get(kind)
    ]
    assert all("evil.example" not in label for label in labels)


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\u2028\x1b[31m"])
def test_a_text_that_no_screen_can_show_breaks_nothing(workspace: Path, text: str) -> None:
    texts = Texts(prompt="How?", response=text, rounds=(Round(critique=text, revision=text),))
    (chain,) = write_chains(workspace, "run-a", [texts])
    assert len(prompts(open_page())) == 1
    assert "Initial response" in shown(open_page(chain=chain))


def test_a_step_without_a_text_says_why(workspace: Path) -> None:
    texts = Texts(prompt="How?", rounds=(Round(revision=None, critique="Bad."),))
    (chain,) = write_chains(workspace, "run-a", [texts])
    assert chain == build_row_id(run_id="run-a", prompt_id="p#1", sample=0, step="response")
    app = open_page(chain=chain)
    assert "Critique 1" in shown(app)
    assert "Revision 1" not in shown(app)


def is_blurred(app: AppTest, text: str) -> bool:
    """Whether the text stands in a blur wherever it is shown; it must be shown."""
    body = shown(app)
    assert text in body
    rest = re.sub(r'<div class="cai-blur".*?</div>', "", body, flags=re.DOTALL)
    return text not in rest


def find_button(app: AppTest, label: str) -> Any:
    return next(button.key for button in app.button if button.label == label)
