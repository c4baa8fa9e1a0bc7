"""The overview through AppTest, over a real index: counts, rows, links, and what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.baselines import pin_baseline
from cai_core.actions.chains import mark_chain
from cai_core.errors import WorkspaceOwnedError
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.review_votes import VoteChoice
from cai_core.workspace.status import RunState
from tests.chain_workspace import Round, Texts, write_chains
from tests.drift_workspace import write_evaluation
from tests.review_makers import make_workspace, queue_up, say
from ui import services
from ui.drift_data import Cell, Word, list_evaluated, load_matrix
from ui.drift_matrix import describe_change
from ui.overview_drift import find_worst
from ui.overview_lists import build_age

HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> **b**'
ROUND = Round(revision="Try this.")


def script() -> None:
    import streamlit as st

    from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND

    overview = CRITIQUES.with_name("overview.py")
    linked = [CRITIQUES.with_name(f"{name}.py") for name in ("drift", "review", "story")]
    others = [st.Page(page) for page in (CRITIQUES, PLAYGROUND, CONSTITUTIONS, *linked)]
    st.navigation([st.Page(overview, default=True), *others]).run()


def open_page() -> AppTest:
    services.index().ingest()
    app = AppTest.from_function(script, default_timeout=20).run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def links(app: AppTest) -> list[tuple[str, str, str]]:
    protos = [link.proto for link in app.get("page_link")]
    return [(proto.label.replace("\\", ""), proto.page, proto.query_string) for proto in protos]


def test_an_empty_workspace_offers_one_thing_to_do(workspace: Path) -> None:
    app = open_page()
    assert "Nothing has been run in this workspace yet." in shown(app)
    assert ("Run a first chain", "playground", "") in links(app)
    assert "Nobody has changed anything yet." in shown(app)


def test_a_first_chain_takes_the_offer_away(workspace: Path) -> None:
    write_chains(workspace, "run-a", [Texts(prompt="How?", rounds=(ROUND,))])
    app = open_page()
    assert "Run a first chain" not in [label for label, _, _ in links(app)]


def test_recordings_are_shown_and_the_offer_stays(workspace: Path, tmp_path: Path) -> None:
    write_chains(tmp_path / "elsewhere", "shipped", [Texts(prompt="Shipped?", rounds=(ROUND,))])
    (tmp_path / "elsewhere" / "runs").rename(tmp_path / "recordings")
    app = open_page()
    assert "Run a first chain" in [label for label, _, _ in links(app)]
    assert "Shipped?" in [label for label, _, _ in links(app)]


def test_the_picture_has_the_workspaces_counts(workspace: Path) -> None:
    texts = [Texts(prompt=f"How {n}?", rounds=(ROUND,)) for n in range(3)]
    write_chains(workspace, "run-a", texts)
    write_chains(workspace, "run-b", texts[:1], model="model-b")
    app = open_page()
    body = shown(app)
    assert [name for name, _, _ in links(app)][:4] == ["Constitutions", "Runs", "Chains", "Models"]
    for count in (2, 4):
        assert f"<span>{count}</span>" in body
    assert [page for _, page, _ in links(app)][:4] == [
        "constitutions",
        "playground",
        "critiques",
        "critiques",
    ]


def test_what_runs_and_what_was_run_lead_to_their_rounds(workspace: Path) -> None:
    texts = [Texts(prompt="How?", rounds=(ROUND,))]
    write_chains(workspace, "run-a", texts)
    write_chains(workspace, "run-b", texts, state=RunState.INTERRUPTED)
    app = open_page()
    assert ("run-b", "critiques", "run=run-b") in links(app)
    body = shown(app)
    assert "interrupted" in body
    assert "succeeded" in body
    assert "3 rows" in body
    assert "No run is at work" not in body


def test_what_waits_for_review_is_counted_and_linked(workspace: Path) -> None:
    texts = [Texts(prompt=f"How {n}?", rounds=(ROUND, ROUND)) for n in range(3)]
    chains = write_chains(workspace, "run-a", texts)
    mark_chain(LOCAL_ACTOR, workspace, chain=chains[0], run="run-a", flagged=True)
    mark_chain(LOCAL_ACTOR, workspace, chain=chains[1], run="run-a", note="Fine.")
    app = open_page()
    assert ("1 flagged", "critiques", "mark=flagged") in links(app)
    assert ("1 without a mark", "critiques", "mark=unmarked") in links(app)
    assert ("mark chain", "critiques", f"chain={chains[0]}") in links(app)
    latest = [label for label, _, _ in links(app) if label.startswith("How")]
    assert sorted(latest) == ["How 0?", "How 1?", "How 2?"]  # each chain once, not each round


def test_review_queues_are_counted_with_what_is_left(workspace: Path) -> None:
    make_workspace(workspace)
    first = queue_up(workspace)
    queue_up(workspace, name="another")
    assert ("12 in 2 queues", "review", "") in links(open_page())
    say(workspace, first.queue_id, LOCAL_ACTOR, first.items[0], VoteChoice.TIE)
    assert ("11 in 2 queues", "review", "") in links(open_page())


def test_the_latest_evaluation_is_told_against_the_pinned_baseline(workspace: Path) -> None:
    assert ("Nothing to compare yet", "drift", "") in links(open_page())
    write_evaluation(workspace, "sl-cai", seed=1)
    write_evaluation(workspace, "rl-cai", seed=2, rates={"harmful compliance": 0.6})
    pin_baseline(LOCAL_ACTOR, workspace, "sl-cai", "in production")
    app = open_page()
    suite = list_evaluated(workspace)[0].suite
    assert ("rl-cai", "drift", f"suite={suite}&job=rl-cai") in links(app)
    worst = f"suite={suite}&run=rl-cai&measure=harmful+compliance"
    assert ("Worst: harmful compliance", "drift", worst) in links(app)
    (row,) = load_matrix(workspace, "sl-cai", ["rl-cai"], None)
    moved, interval = describe_change("harmful compliance", row.cells["harmful compliance"])
    assert f"<span>{moved} {interval}</span>" in shown(app)
    assert "✕ fail" in shown(app)
    assert f"n = {row.cells['harmful compliance'].change.n}" in shown(app)


def test_the_worst_measure_is_a_fail_before_a_loss_and_never_what_got_better(
    workspace: Path,
) -> None:
    write_evaluation(workspace, "one", seed=1)
    write_evaluation(workspace, "two", seed=2)
    (row,) = load_matrix(workspace, "one", ["two"], None)
    some = row.cells["harmful compliance"]

    def make(word: Word, moved: float) -> Cell:
        return replace(some, word=word, change=replace(some.change, difference=moved))

    told = {
        "harmful compliance": make("better", -0.4),
        "over-refusal": make("pass", 0.02),
        "answered": make("pass", -0.05),
        "words": make("changed", 9.0),
    }
    worst = find_worst(replace(row, cells=told))
    assert worst is not None and worst[0] == "answered"
    told["over-refusal"] = make("fail", 0.02)
    worst = find_worst(replace(row, cells=told))
    assert worst is not None and worst[0] == "over-refusal"
    assert find_worst(replace(row, cells={"words": told["words"]})) is None


def test_the_story_is_one_click_away(workspace: Path) -> None:
    assert ("Constitutional AI in five screens", "story", "") in links(open_page())


def test_a_rebuilt_index_is_said_aloud(workspace: Path) -> None:
    write_chains(workspace, "run-a", [Texts(prompt="How?", rounds=(ROUND,))])
    services.index()
    services.close()
    (workspace / "index.duckdb").write_bytes(b"rubbish")
    app = open_page()
    assert "The index was made anew" in shown(app)
    assert "3 rows" in shown(app)


def test_another_owner_is_told_without_a_traceback(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise WorkspaceOwnedError("<b>pid 7</b> owns it. Close it first.")

    monkeypatch.setattr(services, "index", refuse)
    app = AppTest.from_function(script, default_timeout=20).run()
    assert not app.exception
    assert "&lt;b&gt;pid 7&lt;/b&gt; owns it." in shown(app)


def test_hostile_text_reaches_no_markdown(workspace: Path) -> None:
    texts = [Texts(prompt=HOSTILE, rounds=(Round(revision=HOSTILE, principle=HOSTILE),))]
    (chain,) = write_chains(workspace, "run-a", texts, model=HOSTILE)
    mark_chain(LOCAL_ACTOR, workspace, chain=chain, run="run-a", note=HOSTILE)
    app = open_page()
    assert "<img" not in shown(app)
    labels = [link.proto.label for link in app.get("page_link")]
    assert any("evil" in label for label in labels)
    for label in labels:
        assert "![" not in label
        assert "**" not in label
    for kind in ("markdown", "error", "warning", "info", "success", "caption", "exception"):
        assert all("evil.example" not in element.value for element in app.get(kind))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400 * 3, "3 days ago"),
    ],
)
def test_ages_are_in_words(seconds: int, words: str) -> None:
    now = datetime(2025, 1, 10, tzinfo=UTC)
    assert build_age((now - timedelta(seconds=seconds)).isoformat(), now) == words


def test_what_is_no_time_is_shown_as_it_is() -> None:
    assert build_age("yesterday", datetime.now(UTC)) == "yesterday"
