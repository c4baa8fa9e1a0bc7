"""What a deletion is said to take is what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.actions import jobs
from cai_core.jobs.deletion import look_at_deletion
from cai_core.jobs.listing import find_job, list_jobs
from cai_core.records import LOCAL_ACTOR
from tests.jobs.background import make_spec


@pytest.fixture(autouse=True)
def no_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)


def test_what_is_shown_is_what_goes(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("a"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "a")
    (run.outputs / "model").mkdir()
    (run.outputs / "model" / "weights").write_bytes(b"w" * 1000)
    (run.outputs / "link").symlink_to(tmp_path)
    looked = look_at_deletion(tmp_path, "a")
    assert (looked.children, looked.problem) == ((), "")
    gone = jobs.delete_run(LOCAL_ACTOR, tmp_path, "a")
    assert (looked.files, looked.bytes) == (len(gone), sum(file.bytes for file in gone))
    assert look_at_deletion(tmp_path, "a").files == 0


def test_what_depends_on_it_is_named(tmp_path: Path) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("a"))
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("b", parents=("a",)))
    assert look_at_deletion(tmp_path, "a").children == ("b",)
    assert look_at_deletion(tmp_path, "gone").problem


def test_one_run_is_found_as_the_list_has_it(tmp_path: Path) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("a"))
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("b", parents=("a",)))
    assert [find_job(tmp_path, view.run) for view in list_jobs(tmp_path)] == list_jobs(tmp_path)
    for name in ("", "gone", "..", "../runs/a", "a/", "a\0"):
        assert find_job(tmp_path, name) is None
