"""The prompt sets page through AppTest: from upload to version, and hostile texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.prompt_sets import add_prompt_set, keep_upload
from cai_core.pipeline.prompt_sets import list_versions, resolve_prompts
from cai_core.pipeline.prompt_tables import PromptSource
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.prompt_sets import get_prompt_set_path, read_prompt_sets
from cai_core.workspace.prompt_uploads import find_upload
from cai_core.workspace.runs import create_run
from tests.hostile import HOSTILE
from ui import services

ROOT = Path(__file__).resolve().parents[2]
LINES = '{"prompt": "How do I <b>bake</b>?", "kind": "helpful"}\nbroken\n{"prompt": ""}\n'


def open_page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "prompts.py"), default_timeout=20)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def press(app: AppTest, key: str) -> AppTest:
    app = app.button(key=key).click().run()
    assert not app.exception
    return app


def add(workspace: Path, name: str, *lines: str, **options: Any) -> str:
    path = workspace.parent / "source.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return add_prompt_set(LOCAL_ACTOR, workspace, name, str(path), **options).version.hash


def prompt(text: str, **more: object) -> str:
    return json.dumps({"prompt": text, **more})


def upload(workspace: Path, name: str = "mine.jsonl", text: str = LINES) -> str:
    return keep_upload(LOCAL_ACTOR, workspace, name, text.encode())


def as_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "actor", lambda: Actor(name="v", role=AccessRole.VIEWER))


def test_shipped_and_own_sets_are_listed_with_counts_and_uses(workspace: Path) -> None:
    version = add(workspace, "own", prompt("a", tags=["t<i>1"]), prompt("b"), "broken")
    recipe = {"prompts": f"own@{version[:12]} (2 of 3)", "prompts_hash": "x"}
    create_run(workspace / "runs" / "one", kind="revise", recipe=recipe)
    text = shown(open_page())
    for words in ("redteam", "comes with the workbench", "<b>2</b> prompts", "line rejected"):
        assert words in text
    assert "t&lt;i&gt;1 1" in text
    assert "used by 1 run<" in text
    assert text.count("used by no run yet") == 3
    detail = open_page(set="own")
    assert "Used by 1 run" in {block.label for block in detail.expander}
    assert "one" in {button.label for button in detail.button}


def test_from_a_file_to_a_version(workspace: Path) -> None:
    kept = upload(workspace)
    app = open_page(add="1", upload=kept)
    text = shown(app)
    assert "<b>1</b> prompt<" in text
    assert "not JSON: Expecting value at column 1" in text
    assert "the prompt is empty" in text
    assert "How do I &lt;b&gt;bake&lt;/b&gt;?" in text
    assert read_prompt_sets(workspace) == {}
    app.slider(key="prompts_share").set_value(20)
    app.text_input(key="prompts_tags").set_value("source:mine; new").run()
    app = press(app, "prompts_confirm")
    assert app.query_params["set"] == "mine"
    (version,) = read_prompt_sets(workspace)["mine"]
    assert (version.prompts, version.rejected, version.source) == (1, 2, "mine.jsonl")
    assert version.tags == {"source:mine": 1, "new": 1}
    assert sum(version.splits.values()) == 1
    assert f"{version.label} holds 1 prompt." in shown(app)
    assert "2 lines rejected" in {block.label for block in app.expander}
    assert find_upload(workspace, kept) is None


def test_an_upload_survives_a_new_session_and_can_be_left(workspace: Path) -> None:
    kept = upload(workspace)
    assert "mine.jsonl" in shown(open_page(add="1", upload=kept))
    app = press(open_page(add="1", upload=kept), "prompts_other")
    assert find_upload(workspace, kept) is None
    assert "upload" not in app.query_params
    for gone in (kept, "../../etc", "x" * 500):
        assert "That upload is gone" in shown(open_page(add="1", upload=gone))


def test_a_name_that_is_there_gets_a_version_and_a_bad_one_is_refused(workspace: Path) -> None:
    add(workspace, "mine", prompt("a"))
    app = open_page(add="1", upload=upload(workspace))
    assert "newest version, number 2" in shown(app)
    for bad in ("a/b", "mine.csv", "", HOSTILE[0][:60]):
        app = app.text_input[0].set_value(bad).run()
        assert "Give it another name" in shown(app)
        assert not [button for button in app.button if button.key == "prompts_confirm"]


def test_a_file_without_a_prompt_cannot_be_added(workspace: Path) -> None:
    app = open_page(add="1", upload=upload(workspace, text="broken\n"))
    assert "Nothing to add" in shown(app)
    assert not [button for button in app.button if button.key == "prompts_confirm"]
    table = upload(workspace, "t.csv", "goal,x\nhow,1\n")
    app = open_page(add="1", upload=table)
    assert "none of the columns" in shown(app)
    assert "--column" not in shown(app)
    app = app.text_input(key="prompts_column").set_value("goal").run()
    assert "<b>1</b> prompt<" in shown(app)


def test_a_dataset_of_the_hub(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The hub cannot be made to answer on cue; tests/pipeline/test_prompt_hub.py has its protocol.
    path = workspace / "d.jsonl"
    path.write_text(prompt("from the hub"))
    asked = []

    def find(source: str) -> PromptSource:
        asked.append(source)
        return PromptSource(label="hf:o/set:train@abc", paths=(path,))

    monkeypatch.setattr("cai_core.pipeline.prompt_tables.find_source", find)
    monkeypatch.setattr("ui.prompts_upload.find_source", find)
    app = open_page(add="1")
    app.segmented_control(key="prompts_from").set_value("A Hugging Face dataset").run()
    app.text_input(key="prompts_hub_name").set_value("o/set").run()
    app = press(app, "prompts_fetch")
    assert asked == ["hf:o/set"]
    assert "from the hub" in shown(app)
    press(app, "prompts_confirm")
    assert read_prompt_sets(workspace)["set"][0].source == "hf:o/set:train@abc"


def test_a_viewer_can_read_and_not_add(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(workspace, "own", prompt("a"))
    kept = upload(workspace)
    as_viewer(monkeypatch)
    assert open_page().button(key="prompts_add").disabled
    assert open_page(set="own").button(key="prompts_add_version").disabled
    assert "takes the role editor" in shown(open_page(add="1", upload=kept))


def test_versions_say_what_changed(workspace: Path) -> None:
    first = add(workspace, "own", prompt("a"), prompt("b"), prompt("c"))
    add(workspace, "own", prompt("a"), prompt("b", tags=["t"]), prompt("d"), prompt("e"))
    text = shown(app := open_page(set="own"))
    assert "2 added, 1 removed, 1 with another kind or other tags, 1 unchanged" in text
    app = app.selectbox(key="prompts_version").select(first).run()
    assert app.query_params["version"] == first
    assert ">c</div>" in shown(app)
    assert "added, " not in shown(app)


def test_pages_filters_and_blur(workspace: Path) -> None:
    kinds = ("red-team", "helpful")
    lines = [prompt(f"text {n}", kind=kinds[n % 2], tags=["odd"] * (n % 2)) for n in range(60)]
    add(workspace, "own", *lines)
    app = open_page(set="own", page="2")
    assert "26 to 50 of 60 prompts" in shown(app)
    assert shown(app).count('class="cai-blur"') == 12
    app = app.selectbox(key="prompts_tag").select("odd").run()
    assert (app.query_params["tag"], "page" in app.query_params) == ("odd", False)
    assert "30 prompts" in shown(app)
    assert 'class="cai-blur"' not in shown(app)
    app = open_page(set="own", kind="red-team")
    app.toggle(key="show_harmful").set_value(True).run()
    assert 'class="cai-blur"' not in shown(app)
    for page in ("0", "-1", "99", "²", "x" * 50):
        assert " of 60 prompts" in shown(open_page(set="own", page=page, tag="nosuch"))


def test_what_cannot_be_read_is_said(workspace: Path) -> None:
    version = add(workspace, "own", prompt("a"))
    path = get_prompt_set_path(workspace, "own", version)
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    assert "was changed after it was added" in shown(open_page(set="own"))
    path.unlink()
    assert "cannot be read" in shown(open_page(set="own"))
    for name in ("nosuch", "../x", *HOSTILE[:3]):
        assert "No such prompt set" in shown(open_page(set=name))


def test_hostile_prompts_tags_and_lines_stay_text(workspace: Path) -> None:
    lines = [prompt(text, tags=[text.replace("\n", " ")]) for text in HOSTILE]
    text = "\n".join([*lines, *(json.dumps({"prompt": "x", "kind": one}) for one in HOSTILE)])
    kept = upload(workspace, "<img src=x>.jsonl", text)
    preview = shown(open_page(add="1", upload=kept))
    add(workspace, "own", *lines)
    assert len(resolve_prompts(workspace, "own").prompts) == len(HOSTILE)
    pages = [open_page(set="own", page=str(n)) for n in (1, 2, 3)]
    for body in (preview, shown(open_page()), *map(shown, pages)):
        for tag in ("<script", "<img", "<svg", "<iframe"):
            assert tag not in body
    assert "kind is" in preview
    assert list_versions(workspace, "own")[0].tags
