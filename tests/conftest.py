"""Settings for every test."""

import os
import sys

import pytest
from hypothesis import settings

# Examples are not timed: the machines are shared. In CI they are the same at every run, so that a
# red run is about the change; elsewhere they are new ones, which is how faults are found.
settings.register_profile("workbench", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("workbench")


@pytest.fixture(scope="session", autouse=True)
def session_workspace(tmp_path_factory):
    """The workspace of every test that names none: never the person's own; no recorded chains."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("session-workspace")
        patch.setenv("CAI_WORKSPACE", str(folder))
        patch.setenv("CAI_RECORDINGS", str(folder / "no recordings"))
        yield folder


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """AppTest leaves its script as `__main__`; processes that a later test spawns would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
