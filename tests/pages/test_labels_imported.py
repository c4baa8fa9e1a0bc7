"""An imported preference run on the labels page, on the command line, and in a plan."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from cai_core import cli
from cai_core.actions.imports import import_data
from cai_core.jobs.plan_specs import load_plan
from cai_core.pipeline.import_records import ImportSettings
from cai_core.records import LOCAL_ACTOR, PromptKind
from tests.jobs.plans import write_plan
from tests.pipeline import foreign


def bring_in(workspace: Path) -> str:
    records = [foreign.transcripts(n) for n in range(30)]
    path = foreign.write_jsonl(workspace.parent / "hh.jsonl", records)
    settings = ImportSettings(prompt_kind=PromptKind.HELPFUL)
    return import_data(LOCAL_ACTOR, workspace, path, settings).run_id


def script() -> None:
    import streamlit as st

    from ui.explorer_links import LABELS, PREFERENCES

    st.navigation([st.Page(LABELS, default=True), st.Page(PREFERENCES)]).run()


def open_page(**address: str) -> str:
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    text = "\n".join(block.proto.body for block in app.get("html"))
    assert "cannot be read" not in text
    return text


def test_the_labels_page_shows_an_import(workspace: Path) -> None:
    run = bring_in(workspace)
    open_page(run=run)
    listed = open_page(run=run, view="list")
    assert "30 labels" in listed
    assert "Good 3." in listed
    assert "a person" in listed


def test_the_command_line_shows_and_exports_an_import(workspace: Path, capsys) -> None:
    run = bring_in(workspace)
    assert cli.main(["labels", "show", run]) == 0
    assert "30 by people" in capsys.readouterr().out
    out = workspace.parent / "labels.csv"
    assert cli.main(["labels", "export", run, "--format", "csv", "--out", str(out)]) == 0
    assert out.read_text("utf-8").count("\n") == 31


def test_a_plan_trains_on_an_import(workspace: Path) -> None:
    run = bring_in(workspace)
    for kind in ("dpo", "reward"):
        entry = {"name": kind, "kind": kind, "base": "demo", "sources": [{"run": run}]}
        (spec,) = load_plan(write_plan(workspace.parent / "p.yaml", entry), workspace)
        assert spec.parents == (run,)
