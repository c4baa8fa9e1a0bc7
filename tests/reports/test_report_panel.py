"""The buttons that build a report from a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.records import AccessRole, Actor
from ui import services


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    return tmp_path


def script(*runs: str) -> None:
    from ui.report_panel import show_report

    show_report(runs)


def list_buttons(*runs: str) -> dict[str, bool]:
    app = AppTest.from_function(script, args=runs, default_timeout=20).run()
    assert not app.exception
    return {one.proto.label: one.proto.disabled for one in app.get("download_button")}


def test_a_baseline_and_a_candidate_can_be_downloaded() -> None:
    assert list_buttons("before", "after") == {"Report": False, "Report as Markdown": False}


def test_one_evaluation_is_too_few() -> None:
    assert list_buttons("before") == {"Report": True, "Report as Markdown": True}
    assert list_buttons() == {"Report": True, "Report as Markdown": True}


def test_a_viewer_has_no_report_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: viewer)
    assert set(list_buttons("before", "after").values()) == {True}
