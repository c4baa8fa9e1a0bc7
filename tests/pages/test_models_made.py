"""The registry through AppTest: list, filter, detail, two beside each other, damage, hostility."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.jobs import delete_run
from cai_core.jobs.registry import MadeModel
from cai_core.pipeline.frozen_prompts import encode_prompts
from cai_core.pipeline.prompt_file import load_prompts
from cai_core.pipeline.prompt_sets import SHIPPED
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.journal import append_records
from tests.hostile import HOSTILE
from tests.jobs.test_registry import make_chains, make_model
from ui.registry_words import build_card_html, build_commands, build_made, compare_numbers

ROOT = Path(__file__).resolve().parents[2]


def open_page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "models.py"), default_timeout=20)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def test_an_empty_registry_says_what_makes_a_model() -> None:
    app = open_page()
    assert "No run has made a model" not in shown(app)
    app = app.segmented_control(key="models_view").set_value("made").run()
    assert app.query_params["show"] == "made"
    assert "No run has made a model yet" in shown(app)


def test_models_are_listed_and_filtered_by_the_address(workspace: Path) -> None:
    make_chains(workspace, "chains")
    make_model(workspace, "one", "chains")
    make_model(workspace, "two", base="owner/name")
    text = shown(open_page(show="made"))
    assert "2 models" in text
    assert "harmlessness@121212121212" in text
    assert "2.900 → 2.000 nats a token" in text
    assert "40 examples · 30 steps" in text
    for address in ({"base": "owner/name"}, {"q": "TWO"}):
        text = shown(open_page(show="made", **address))
        assert "1 model of 2" in text
        assert ">two</h2>" in text and ">one</h2>" not in text
    assert "No model matches" in shown(open_page(show="made", q="nosuch"))
    app = open_page(show="made", base="nosuch", constitution=HOSTILE[0])
    assert "2 models" in shown(app)
    app = app.selectbox(key="registry_constitution").select("harmlessness@121212121212").run()
    assert "1 model of 2" in shown(app)


def test_a_models_whole_story(workspace: Path) -> None:
    chains = make_chains(workspace, "chains")
    prompts = load_prompts(SHIPPED / "redteam.jsonl").prompts[:1]
    (chains.path / "inputs").mkdir()
    (chains.path / "inputs" / "prompts.jsonl").write_bytes(b"".join(encode_prompts(prompts)))
    run = make_model(workspace, "one", "chains")
    one = prompts[0].prompt_id
    lines = [
        {"step": step, "prompt_id": name, "prompt": "How?", "text": f"answer {step} {name[:1]}"}
        for step in (0, 15, 30)
        for name in (one, "other#1")
    ]
    append_records(run.path / "samples.jsonl", lines)
    text = shown(app := open_page(model="one"))
    assert "answer 30 o" in text and "answer 15" not in text
    assert text.count('class="cai-blur"') == 2
    assert "mean" not in text and "tokens right, share" in text
    codes = "\n".join(code.value for code in app.code)
    assert f"python -m cai_core vllm {run.outputs.absolute() / 'model'}" in codes
    assert [tab.label for tab in app.tabs] == ["Card", "Samples", "Numbers", "Lineage", "Serve it"]


def test_two_beside_each_other(workspace: Path) -> None:
    make_model(workspace, "one")
    make_model(workspace, "two", learning_rate=0.5)
    app = open_page(model="one")
    app = app.selectbox(key="registry_with").select("two").run()
    assert (app.query_params["model"], app.query_params["with"]) == ("one", "two")
    text = shown(app)
    assert "(not set)" in text and "learning_rate" in text
    assert "The weights are equal" in text  # both hold the demo model's
    app = app.button(key="registry_swap").click().run()
    assert (app.query_params["model"], app.query_params["with"]) == ("two", "one")


def test_what_is_deleted_can_be_read_and_not_tried(workspace: Path) -> None:
    make_model(workspace, "one")
    delete_run(LOCAL_ACTOR, workspace, "one")
    app = open_page(model="one")
    assert "were deleted" in shown(app)
    assert "There is no card" in shown(app)
    (button,) = [one for one in app.button if one.label == "Open in Playground"]
    assert button.disabled


@pytest.mark.parametrize("name", ["nosuch", "../../etc", *HOSTILE[:3]])
def test_an_address_that_names_nothing(name: str) -> None:
    assert "No such model" in shown(open_page(model=name))
    assert "No such model" in shown(open_page(**{"model": name, "with": name}))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_leaves_its_place(text: str) -> None:
    model = MadeModel(
        run=text,
        kind=text,
        state=None,
        created=text,
        method=text,
        base=text,
        base_place=text,
        weights_hash=text,
        constitutions=(text,),
        parents=(text,),
        card=text,
        folder=Path("/w"),
        adapter=Path("/a"),
        problem=text,
    )
    card = f"# {text}\n\n| a | {text} |\n\n- {text}\n\n{text} `{text}` **{text}**"
    rows = compare_numbers(model, model)
    built = build_made(model) + build_card_html(card) + build_card_html(text)
    for tag in ("<script", "<img", "<svg", "<iframe", "<style", "<a ", "<form"):
        assert tag not in built.lower()
    assert rows[0] == ["base", text, text]
    assert build_commands(model).startswith("python -m cai_core vllm /w\n")


def test_a_card_is_drawn_as_a_card() -> None:
    text = "# run\n\nMade **so**.\n\n| | |\n|---|---|\n| base | `demo` |\n\n## From\n- one\n- two\n"
    built = build_card_html(text)
    for part in ("<h3>run</h3>", "<b>so</b>", "<code>demo</code>", "<h4>From</h4>", "<li>two</li>"):
        assert part in built
    assert "---" not in built
