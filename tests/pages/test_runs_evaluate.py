"""An evaluation from the runs form: presets become a plan, which is checked and handed in."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from cai_core.actions import jobs
from cai_core.jobs.evidence_plan import PRESETS
from cai_core.jobs.queue import load_queue
from cai_core.workspace.runs import open_run


def script() -> None:
    import streamlit as st

    from ui.explorer_links import PLAYGROUND

    st.navigation([st.Page(PLAYGROUND.with_name("runs.py"), default=True)]).run()


def test_a_preset_becomes_a_plan_that_can_be_launched(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["new"] = "evaluation"
    app.run()
    assert not app.exception
    assert len(app.selectbox(key="evaluate_preset").options) == len(PRESETS)
    app.selectbox(key="evaluate_preset").set_value("demo-look")
    app.selectbox(key="evaluate_system").set_value("harmlessness")
    app.number_input(key="evaluate_seed").set_value(7).run()
    (entry,) = yaml.safe_load(app.text_area(key="plan_text_evaluation").value)["runs"]
    assert (entry["limit"], entry["samples"], entry["seed"]) == (60, 1, 7)
    assert (entry["judge"], entry["system_constitution"]) == ("demo", "harmlessness")
    # What a person changes in the text stays until a choice is changed.
    changed = app.text_area(key="plan_text_evaluation").value.replace("limit: 60", "limit: 9")
    app.text_area(key="plan_text_evaluation").set_value(changed).run()
    assert "limit: 9" in app.text_area(key="plan_text_evaluation").value
    app.button(key="plan_launch").click().run()
    assert not app.exception
    (run,) = load_queue(workspace)
    recipe = open_run(workspace / "runs" / run).recipe
    assert run.startswith("evaluate-demo-") and recipe["limit"] == 9


def test_without_a_model_there_is_no_plan(workspace: Path) -> None:
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["new"] = "evaluation"
    app.run()
    app.multiselect(key="evaluate_models").set_value([]).run()
    assert not app.exception and not app.text_area
