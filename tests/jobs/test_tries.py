"""Trying a text against another: two real runs in the background, one behaviour changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.actions.constitutions import save_constitution
from cai_core.actions.tries import try_constitution
from cai_core.constitution import find_constitution
from cai_core.constitution.model import with_hash
from cai_core.errors import CaiError, NotAllowedError, RecipeError, WorkspaceError
from cai_core.inference.launcher import stop_server
from cai_core.jobs.behaviour_study import find_chain, get_chains_stamp, load_behaviour_study
from cai_core.jobs.coverage_study import count_citations
from cai_core.jobs.try_specs import TryRequest, build_try
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, Constitution
from cai_core.workspace.drafts import build_draft
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.tries import find_try, list_tries
from tests.jobs.background import Background

HARMLESS = find_constitution("harmlessness")
FOCUS = "no-harm"
OFFER = ", offer an alternative"


def without_offer() -> Constitution:
    """`no-harm` no longer asks for an alternative."""
    first, *rest = HARMLESS.principles
    assert first.id == FOCUS and OFFER in first.revision_request
    changed = replace(first, revision_request=first.revision_request.replace(OFFER, ""))
    return with_hash(replace(HARMLESS, name="mine", principles=(changed, *rest)))


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    background = Background(tmp_path)
    yield background
    background.end()
    stop_server("demo", tmp_path)


def test_a_principle_that_asks_for_less_gets_less(background: Background) -> None:
    workspace, after = background.workspace, without_offer()
    request = TryRequest(prompts="redteam", count=12, principle=FOCUS, seed=3)
    tried = try_constitution(LOCAL_ACTOR, workspace, HARMLESS, after, request)
    assert (tried.name, tried.version, tried.count) == ("mine", after.hash, 12)
    for run in (tried.before_run, tried.after_run):
        background.wait_for(run, RunState.SUCCEEDED, seconds=180)
    study = load_behaviour_study(workspace, tried.before_run, tried.after_run)
    assert (study.read_by, study.unlike) == ("oracle", ())
    assert (study.before.constitution, study.after.constitution) == ("harmlessness", "mine")
    assert len(study.diff.pairs) == 12 and study.diff.unpaired == study.diff.unread == 0
    rates = {change.name: change for change in study.diff.behaviours}
    offered = rates["offers an alternative"]
    assert offered.difference.difference <= -0.3, offered
    assert offered.lost > offered.gained
    assert study.diff.pairs[0].flips
    # The first responses have the same seeds and are the same.
    assert all(p.before.drafts[0][0] == p.after.drafts[0][0] for p in study.diff.pairs)
    # The index knows each chain by that id.
    pair = study.diff.pairs[0]
    rows = RowIndex(open_run(workspace / "runs" / tried.after_run), "chain")
    assert find_chain(tried.after_run, pair.prompt_id, pair.sample) in rows
    assert get_chains_stamp(workspace, tried.after_run)[1] > 0
    citations = count_citations(workspace, after.hash)
    assert citations.runs == (tried.after_run,) and set(citations.found) == {FOCUS}
    assert sum(citations.found[FOCUS].values()) == sum(p.after.found or 0 for p in study.diff.pairs)
    assert count_citations(workspace, "0" * 64).runs == ()
    # Asked for again, it is the same runs; saved, the version has the try.
    again = try_constitution(LOCAL_ACTOR, workspace, HARMLESS, after, request)
    assert (again.before_run, again.after_run) == (tried.before_run, tried.after_run)
    draft = build_draft(after, base_hash=None)
    saved = save_constitution(LOCAL_ACTOR, workspace, draft, note="n", onto=None)
    assert list_tries(workspace, "mine", saved.hash)[0].after_run == tried.after_run
    assert list_tries(workspace, "harmlessness", HARMLESS.hash)[0] == again
    assert list_tries(workspace, "mine", "0" * 64) == []


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (TryRequest(prompts="redteam", count=0), "give 1 to"),
        (TryRequest(prompts="redteam", revisions=0), "no principle is used"),
        (TryRequest(prompts="nobody"), "no prompt set"),
        (TryRequest(prompts="/etc/passwd"), "is a path"),
        (TryRequest(prompts="redteam", principle="gone"), "has no principle 'gone'"),
        (TryRequest(prompts="redteam", model="http://127.0.0.1:1"), "no endpoint"),
    ],
)
def test_what_cannot_be_tried_leaves_nothing(
    tmp_path: Path, request_: TryRequest, told: str
) -> None:
    with pytest.raises(CaiError, match=told):
        try_constitution(LOCAL_ACTOR, tmp_path, HARMLESS, without_offer(), request_)
    assert not (tmp_path / "runs").exists()
    assert not get_journal_path(tmp_path, Topic.LAUNCHES).exists()


def test_the_same_text_is_nothing_to_compare_and_a_reader_launches_nothing(tmp_path: Path) -> None:
    request = TryRequest(prompts="redteam")
    with pytest.raises(RecipeError, match="the same"):
        build_try(tmp_path, HARMLESS, HARMLESS, request)
    vera = Actor(name="vera", role=AccessRole.REVIEWER)
    with pytest.raises(NotAllowedError):
        try_constitution(vera, tmp_path, HARMLESS, without_offer(), request)
    assert find_try(tmp_path, "a", "b") is None
    with pytest.raises(WorkspaceError):
        load_behaviour_study(tmp_path, "../a", "b")


def test_the_two_runs_differ_in_their_constitution_alone(tmp_path: Path) -> None:
    request = TryRequest(prompts="redteam", count=5, principle=FOCUS)
    specs = build_try(tmp_path, HARMLESS, without_offer(), request)
    before, after = dict(specs.before.recipe), dict(specs.after.recipe)
    assert {key for key in before if before[key] != after[key]} == {
        "constitution",
        "constitution_hash",
    }
    assert specs.count == 5 and specs.label.startswith("redteam@")
    assert specs.before.run_id.startswith("try-harmlessness-")
