"""The import panel through AppTest: upload, look, confirm; hostile texts stay text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.imports import keep_import
from cai_core.errors import CaiError, ImportFormatError, NotAllowedError
from cai_core.pipeline.label_records import read_labels
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, PromptKind
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.prompt_uploads import find_upload
from tests.hostile import HOSTILE
from tests.pipeline import foreign
from ui import services
from ui.look import escape

VIEWER = Actor(name="v", role=AccessRole.VIEWER)


def page() -> None:
    from ui.import_panel import show_import

    show_import()


def open_panel(**address: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=20)
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


def upload(workspace: Path, *lines: bytes, name: str = "mine.jsonl") -> str:
    return keep_import(LOCAL_ACTOR, workspace, name, b"".join(lines))


def runs_of(workspace: Path) -> list[Path]:
    return sorted((workspace / "runs").glob("*"))


def test_from_a_file_to_a_run(workspace: Path) -> None:
    good = [foreign.line(foreign.transcripts(n)) for n in range(3)]
    kept = upload(workspace, *good, b'{"chosen": "cut\n')
    app = open_panel(**{"import": kept, "run": "other"})
    text = shown(app)
    for words in ("<b>3</b> records", "<b>3</b> labels", "<b>1</b> refused", "<td>4</td>",
                  "broken JSON at column", "transcripts", "Good 1."):  # fmt: skip
        assert words in text
    # Nobody knows yet what the texts hold.
    assert text.count('class="cai-blur"') == 6
    assert runs_of(workspace) == []
    app.selectbox(key="import_prompt_kind").set_value("red-team").run()
    assert app.button(key="import_confirm").label == "Import 3 records"
    app = press(app, "import_confirm")
    (run,) = runs_of(workspace)
    labels = list(read_labels(run))
    assert {label.prompt_kind for label in labels} == {PromptKind.RED_TEAM}
    assert len(labels) == 3
    assert f"3 records in the run {run.name}" in shown(app)
    assert "1 line refused" in shown(app)
    # The host page's own address stays.
    assert app.query_params["run"] == ["other"] or app.query_params["run"] == "other"
    # Ready for another file.
    assert app.query_params["import"] in (["new"], "new")
    assert find_upload(workspace, kept) is None
    assert app.button(key="import_open").label == "Look at them"
    app = press(app, "import_back")
    assert "import" not in app.query_params
    (event,) = read_events(workspace, Topic.LAUNCHES)
    assert (event["action"], event["actor"], event["records"]) == ("import data", "local", 3)


def test_the_same_file_again_adds_nothing(workspace: Path) -> None:
    for words in ("3 records in the run", "holds this file already"):
        kept = upload(workspace, *(foreign.line(foreign.answered(n)) for n in range(3)))
        assert words in shown(press(open_panel(**{"import": kept}), "import_confirm"))
    assert len(runs_of(workspace)) == 1


def test_an_upload_can_be_left_and_one_that_is_gone_is_told(workspace: Path) -> None:
    kept = upload(workspace, foreign.line(foreign.pair()))
    app = press(open_panel(**{"import": kept}), "import_other")
    assert find_upload(workspace, kept) is None
    assert "Nothing is imported before you confirm" in shown(app)
    for gone in (kept, "../../etc", "x" * 500):
        assert "That upload is gone" in shown(open_panel(**{"import": gone}))


def test_a_file_of_which_nothing_can_be_taken_cannot_be_confirmed(workspace: Path) -> None:
    for raw, words in (
        (b'{"goal": "x"}\n', "its fields are goal; known are"),
        ("café\n".encode("utf-16"), "begins as UTF-16 does; name it<"),
        (b"PAR1 no", "cannot be read as Parquet"),
        (b"\n\n", "holds no record"),
    ):
        app = open_panel(**{"import": upload(workspace, raw)})
        assert words in shown(app)
        assert not [button for button in app.button if button.key == "import_confirm"]
    kept = upload(workspace, foreign.line(foreign.pair()).decode().encode("utf-16"))
    app = open_panel(**{"import": kept})
    app = app.selectbox(key="import_encoding").set_value("UTF-16").run()
    assert "<b>1</b> record<" in shown(app)


def test_a_format_can_be_chosen_against_what_is_found(workspace: Path) -> None:
    kept = upload(workspace, foreign.line(foreign.hhh()))
    app = open_panel(**{"import": kept})
    assert "answer-pairs" in shown(app)
    app = app.selectbox(key="import_format").set_value("multiple-choice").run()
    assert "<b>1</b> questions" in shown(app)


def test_hostile_texts_stay_texts(workspace: Path) -> None:
    bad = [one for one in HOSTILE if "\n" not in one][:30]
    lines = [json.dumps({"prompt": one, "response": one, one: 1}).encode() + b"\n" for one in bad]
    lines += [json.dumps({one: 1}).encode() + b"\n" for one in bad]
    text = shown(open_panel(**{"import": upload(workspace, *lines)}))
    for one in bad[:10]:
        assert escape(one)[:200] in text
    for mark in ("<img", "<script", "<svg", "<iframe"):
        assert mark not in text


def test_only_an_editor_imports(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotAllowedError):
        keep_import(VIEWER, workspace, "a.jsonl", b"{}")
    kept = upload(workspace, foreign.line(foreign.pair()))
    monkeypatch.setattr(services, "actor", lambda: VIEWER)
    app = open_panel(**{"import": kept})
    assert "Importing takes the role editor" in shown(app)
    assert [button.key for button in app.button] == ["import_back"]


def test_files_of_other_kinds_or_sizes_are_refused_before_they_are_kept(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImportFormatError, match="must end in"):
        keep_import(LOCAL_ACTOR, workspace, "a.exe", b"x")
    monkeypatch.setattr("cai_core.actions.imports.MAX_UPLOAD_BYTES", 3)
    with pytest.raises(CaiError, match="python -m cai_core import FILE"):
        keep_import(LOCAL_ACTOR, workspace, "a.csv", b"xxxx")
