"""People's votes on the page Labels: how far the labels agree with them, and as the truth."""

from __future__ import annotations

from pathlib import Path

from cai_core.workspace.review_votes import VoteChoice
from tests.pages.test_labels import address, open_page, shown
from tests.review_makers import ADA, BOB, RUN, make_workspace, queue_up, say

A, B = VoteChoice.A, VoteChoice.B


def test_that_nobody_has_voted_is_said_with_the_way_to_a_queue(workspace: Path) -> None:
    make_workspace(workspace)
    app = open_page(run=RUN)
    assert "nobody has voted on these comparisons" in shown(app)
    assert app.button(key="labels_review").label == "Review these"
    assert not [one for one in app.toggle if one.key == "labels_by_votes"]
    # An address cannot make a truth of votes that are not there.
    assert not open_page(run=RUN, truth="votes").exception


def test_agreement_with_the_votes_and_the_votes_as_the_truth(workspace: Path) -> None:
    make_workspace(workspace)  # the labels say A B A B A B
    queue = queue_up(workspace, overlap=2).queue_id
    for name, choice in (("c0", A), ("c1", A), ("c2", A), ("c3", B)):
        say(workspace, queue, ADA, name, choice)
    say(workspace, queue, BOB, "c0", A)
    say(workspace, queue, BOB, "c3", A)
    app = open_page(run=RUN)
    told = "People’s votes agree with the labels: 66.7 %"
    assert told in shown(app) and "n = 3) · 2 reviewers" in shown(app)
    assert "1 on which they disagree are left out" in shown(app)
    assert "no person’s label of these comparisons" in shown(app)
    app.toggle(key="labels_by_votes").set_value(True).run()
    assert not app.exception and address(app)["truth"] == "votes"
    assert "by people" in shown(app) and "no person’s label" not in shown(app)
    assert "The list of comparisons goes by the run’s own truths." in shown(app)
    app.toggle(key="labels_by_votes").set_value(False).run()
    assert "truth" not in address(app) and "no person’s label" in shown(app)
