"""Critiques in a queue through AppTest: made from a filter, judged blind, edited, measured."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.review_claims import claim_next
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.records import LOCAL_ACTOR, CritiqueVerdict, PromptKind
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.review_critiques import CritiqueVote
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import read_critique_votes
from tests.critique_makers import judge, make_chains, queue_critiques
from tests.hostile import HOSTILE
from tests.pages.test_review import address, open_page, press, shown, words
from tests.review_makers import ADA, BOB, VIEWER
from ui import review_data, services
from ui.review_start import build_review_params

RIGHT, PARTLY, WRONG, NOT_NEEDED = CritiqueVerdict
FOUND = RoundFilter(finding="found")


@pytest.fixture
def queue(workspace: Path) -> str:
    make_chains(workspace)
    return queue_critiques(workspace, FOUND, overlap=2).queue_id


def votes(workspace: Path, queue: str) -> dict[str, CritiqueVote]:
    told = read_critique_votes(workspace, queue)
    return {vote.item: vote for vote in told if vote.reviewer == "local"}


def button_keys(app: AppTest) -> dict[str, str]:
    found = {str(one.key): one.proto.shortcut for one in app.button}
    return {key: value for key, value in found.items() if value and key.startswith("review_")}


def test_a_queue_is_made_from_a_filter_of_the_page_critiques(workspace: Path) -> None:
    make_chains(workspace, 20)
    app = open_page()
    press(app, "review_new_critiques")
    assert "40 rounds in the queue." in words(app)
    app.selectbox(key="review_c_principle").set_value("p1").run()
    app.segmented_control(key="review_how").set_value("A random sample").run()
    app.select_slider(key="review_points").set_value(30).run()
    app.number_input(key="review_overlap").set_value(2).run()
    assert "14 of 20 rounds, drawn at random" in words(app)
    told = address(app)
    assert told == {"new": "critiques", "principle": "p1", "width": "30", "overlap": "2"}
    app = open_page(**told, mark="unmarked")
    assert "From the page Critiques: mark: Without a mark." in words(app)
    press(app, "review_make")
    ((queue,), _) = list_queues(workspace)
    assert address(app)["queue"] == queue.queue_id
    assert (queue.kind, len(queue.items), queue.population, queue.overlap) == (
        "critiques",
        14,
        20,
        2,
    )
    assert queue.selection == "principle: p1; mark: Without a mark"
    assert {one.principle for one in queue.rounds} == {"p1"}
    # What it was chosen by is told with the agreement, not to who judges it blind.
    assert "principle: p1" not in words(app)
    assert "principle: p1" in words(open_page(queue=queue.queue_id, view="agreement"))
    assert "1 of 14 pending critiques" in words(app)


def test_a_critique_is_judged_blind_and_told_afterwards(queue: str, workspace: Path) -> None:
    app = open_page(queue=queue)
    item = address(app)["item"]
    judge(workspace, queue, ADA, item, WRONG, reason="ada’s own reason")
    app = open_page(queue=queue)
    text = words(app)
    number = re.search(r"How do I do thing (\d)\?", text)
    assert number is not None and f"It is unkind {number[1]}." in text
    assert f"Go away {number[1]}." in text and f"Better {number[1]}." in text
    for secret in ("p0", "model-a", "problem found", "ada’s", "Principle"):
        assert secret not in text
    # What a critique objects to is harmful until somebody looks.
    assert app.button(key="review_show").proto.shortcut == "h"
    press(app, "review_show")
    assert button_keys(app) == {
        "review_pick_right": "1",
        "review_pick_partly": "2",
        "review_pick_wrong": "3",
        "review_pick_not-needed": "4",
        "review_edit": "e",
        "review_previous": "left",
        "review_next": "right",
        "review_submit": "ctrl+enter",
        "review_discard": "d",
        "review_undo": "u",
    }
    assert app.button(key="review_submit").disabled
    press(app, "review_pick_partly")
    app.text_area(key=f"review_reason_{item}").set_value(f"Because. {HOSTILE[0]}")
    press(app, "review_submit")
    vote = votes(workspace, queue)[item]
    assert (vote.verdict, vote.blind, vote.revision) == (PARTLY, True, "")
    assert vote.reason == f"Because. {HOSTILE[0]}".strip()
    assert address(app)["last"] == item and address(app)["item"] != item
    assert "You: Partly · under p0, by model-a: a problem found" in words(app)
    app.segmented_control(key="review_tab").set_value("submitted").run()
    text = words(app)
    for told in ("problem found", "Critique by model-a, of the run chains", "ada : wrong", "You"):
        assert told in text
    assert html.escape(HOSTILE[0].strip(), quote=True) in shown(app)
    press(app, "review_undo")
    assert votes(workspace, queue) == {} and address(app)["item"] == item


def test_the_revision_is_edited_and_the_models_stays(queue: str, workspace: Path) -> None:
    app = open_page(queue=queue)
    item = address(app)["item"]
    press(app, "review_show")
    press(app, "review_edit")
    field = app.text_area(key=f"review_revision_{item}")
    model = str(field.value)
    assert model.startswith("Better ")
    press(app, "review_pick_right")
    press(app, "review_submit")  # not changed: none of the reviewer's own
    assert votes(workspace, queue)[item].revision == ""
    item = address(app)["item"]
    press(app, "review_show")
    press(app, "review_edit")
    app.text_area(key=f"review_revision_{item}").set_value("What I would say.").run()
    press(app, "review_pick_right")
    press(app, "review_submit")
    assert votes(workspace, queue)[item].revision == "What I would say."
    assert "with your revision" in words(app)
    press(app, "review_undo")  # what was typed is still there
    assert app.text_area(key=f"review_revision_{item}").value == "What I would say."
    press(app, "review_pick_right")
    press(app, "review_submit")
    app = open_page(queue=queue, tab="submitted", item=item)
    press(app, "review_show")
    assert app.text_area(key=f"review_revision_{item}").value == "What I would say."
    assert "A person’s revision" in words(app)
    chain = services.index().get_chain(votes(workspace, queue)[item].chain)
    assert chain is not None and chain.steps[2].text.startswith("Better ")
    press(app, "review_edit")  # left as it is again
    press(app, "review_pick_wrong")
    press(app, "review_submit")
    assert votes(workspace, queue)[item].revision == ""
    assert not votes(workspace, queue)[item].blind


def test_harmful_text_is_blurred_until_asked_for_and_counted(workspace: Path) -> None:
    make_chains(workspace, 2, kind=PromptKind.RED_TEAM)
    queue = queue_critiques(workspace, FOUND).queue_id
    app = open_page(queue=queue)
    assert 'class="cai-blur"' in shown(app) and "0 looks of yours" in words(app)
    assert app.button(key="review_pick_right").disabled
    assert "review_edit" not in [str(one.key) for one in app.button]
    press(app, "review_show")
    assert 'class="cai-blur"' not in shown(app)
    press(app, "review_pick_right")
    press(app, "review_submit")
    assert 'class="cai-blur"' in shown(app) and "1 look of yours" in words(app)
    press(app, "review_discard")
    assert [vote.exposed for vote in votes(workspace, queue).values()] == [True, False]
    assert "1 look of yours" in words(app)
    assert "Done." in shown(app)


def test_what_another_holds_is_not_given(queue: str, workspace: Path) -> None:
    alone = queue_critiques(workspace, FOUND, name="alone").queue_id
    held = claim_next(BOB, workspace, queue=alone)
    app = open_page(queue=alone, item=str(held))
    assert "That one is taken" in words(app) and address(app)["item"] != held
    app = open_page(queue=queue, item="<img src=x>")
    assert "<img" not in shown(app)


def test_agreement_rates_and_disputes(
    queue: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = list_queues(workspace)[0][0].items
    for item, mine, other in zip(items, (RIGHT, RIGHT, WRONG), (RIGHT, WRONG, WRONG), strict=True):
        judge(workspace, queue, ADA, item, mine, exposed=True)
        judge(workspace, queue, BOB, item, other, revision="Mine.")
    app = open_page(queue=queue, view="agreement")
    text = words(app)
    assert "Critiques that are right 50.0 %" in text and "n = 6" in text
    assert "Revisions by people 3 of 3 critiques judged" in text
    assert "ada bob 0.33" in text or "ada bob 0.40" in text
    (link,) = app.get("page_link")
    assert "chain=" in link.proto.query_string and "Disputed critiques (1)" in text
    # The judge who has still to judge them is told afterwards.
    other = queue_critiques(workspace, FOUND, overlap=3, name="three").queue_id
    judge(workspace, other, ADA, items[0], RIGHT)
    judge(workspace, other, BOB, items[0], WRONG)
    app = open_page(queue=other, view="agreement")
    assert "1 more show when you have judged them" in words(app) and not app.get("page_link")
    # Measured once for each state of the votes.
    calls = []
    measure = review_data.measure_critiques
    monkeypatch.setattr(
        review_data, "measure_critiques", lambda *a, **k: calls.append(1) or measure(*a, **k)
    )
    open_page(queue=other, view="agreement")
    assert not calls
    judge(workspace, other, LOCAL_ACTOR, items[0], RIGHT)
    app = open_page(queue=other, view="agreement")
    open_page(queue=other, view="agreement")
    assert len(calls) == 1 and "Disputed critiques (0)" in words(app)
    # One reviewer alone.
    app.pills(key="review_who").set_value(["bob"]).run()
    assert "Critiques that are right 0.0 %" in words(app)


def test_files_and_start_know_both_kinds(
    queue: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = list_queues(workspace)[0][0].items[0]
    judge(workspace, queue, ADA, item, RIGHT)
    app = open_page()
    assert "1 of 6 votes · 3 critiques for you · by ada 1 · made by local" in words(app)
    app = open_page(queue=queue, view="files")
    labels = [one.proto.label for one in app.get("download_button")]
    assert "People’s revisions, to fine-tune on" in labels and len(labels) == 6
    (vote,) = read_critique_votes(workspace, queue)
    line = b'{"vote": "x"}\n'
    app.file_uploader(key="review_upload").set_value([("v.jsonl", line, "text/plain")]).run()
    press(app, "review_import")
    assert "0 votes taken, 0 were here already, 1 line refused." in words(app)
    assert read_critique_votes(workspace, queue) == (vote,)
    monkeypatch.setattr(services, "actor", lambda: VIEWER)
    app = open_page(queue=queue, tab="submitted")
    assert not app.exception and "Reviewing takes the role reviewer" in words(app)


def test_a_chain_that_is_gone_can_be_put_aside(queue: str, workspace: Path) -> None:
    (workspace / "runs" / "chains" / "recipe.yaml").unlink()
    app = open_page(queue=queue)
    assert "holds no such round any more" in words(app)
    press(app, "review_discard")
    assert [vote.discarded for vote in votes(workspace, queue).values()] == [True]


def test_review_these_asks_for_the_filter_that_is_shown() -> None:
    assert build_review_params(RoundFilter(principle="p", text="x", recorded=False)) == {
        "new": "critiques",
        "q": "x",
        "principle": "p",
        "recorded": "no",
    }
    labels = LabelFilter(verdict="A", only=("near-tie",), confidence=0)
    told = {"new": "1", "run": "r", "verdict": "A", "only": "near-tie", "confidence": "0"}
    assert build_review_params(labels, "r") == told
    assert build_review_params(labels) is None
    asked = ComparisonFilter(run="r", verdict="A", traits=("near-tie", "unknown"), confidence=0)
    assert build_review_params(asked) == told
    assert build_review_params(ComparisonFilter(verdict="A")) is None
