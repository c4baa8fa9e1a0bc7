"""The review page through AppTest: made, reviewed blind, undone, shared, measured, taken out."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.comparison_reviews import discard_comparison
from cai_core.actions.review_claims import claim_next
from cai_core.errors import WorkspaceError
from cai_core.evaluation.review_queue import find_first_shown
from cai_core.records import LOCAL_ACTOR, PromptKind
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import Vote, VoteChoice, read_votes
from tests.label_workspace import write_labels
from tests.review_makers import ADA, BOB, RUN, VIEWER, make_labels, make_workspace, queue_up, say
from ui import services
from ui.review_comparison import submit_comparison

HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> **b** `c` $d$'
KEYS = {
    "review_pick_left": "1",
    "review_pick_right": "2",
    "review_pick_tie": "3",
    "review_pick_bad": "4",
    "review_previous": "left",
    "review_next": "right",
    "review_submit": "ctrl+enter",
    "review_discard": "d",
    "review_undo": "u",
}


def script() -> None:
    import streamlit as st

    from ui.explorer_links import CRITIQUES, PLAYGROUND
    from ui.labels_address import LABELS_PAGE
    from ui.review_address import REVIEW_PAGE

    runs = PLAYGROUND.with_name("runs.py")
    others = [st.Page(page) for page in (LABELS_PAGE, CRITIQUES, runs)]
    st.navigation([st.Page(REVIEW_PAGE, default=True), *others]).run()


def open_page(**params: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def words(app: AppTest) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown(app))).split())


def press(app: AppTest, key: str) -> None:
    app.button(key=key).click().run()
    assert not app.exception


def address(app: AppTest) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else value[-1]
        for name, value in dict(app.query_params).items()
    }


def votes(workspace: Path, queue: str) -> dict[str, Vote]:
    mine = (vote for vote in read_votes(workspace, queue) if vote.reviewer == "local")
    return {vote.comparison: vote for vote in mine}


@pytest.fixture
def queue(workspace: Path) -> str:
    make_workspace(workspace)
    return queue_up(workspace).queue_id


def test_an_empty_workspace_says_what_comes_first(workspace: Path) -> None:
    app = open_page()
    assert "No queues yet." in shown(app) and app.button(key="review_new").disabled
    assert "No labels yet." in shown(open_page(new="1"))


def test_a_queue_that_is_not_here_is_said(workspace: Path) -> None:
    for name in ("0123456789abcdef", "<img src=x>", "../../etc"):
        app = open_page(queue=name)
        assert "No such queue here" in shown(app)
        assert "<img" not in shown(app)
        press(app, "review_all")
        assert address(app) == {}


def test_a_queue_is_made_from_a_filter(workspace: Path) -> None:
    make_workspace(workspace, 40)
    app = open_page()
    press(app, "review_new")
    assert "40 comparisons in the queue." in words(app)
    app.selectbox(key="review_f_verdict").set_value("B").run()
    app.segmented_control(key="review_how").set_value("A random sample").run()
    assert "20 of 20 comparisons, drawn at random" in words(app)
    app.select_slider(key="review_points").set_value(30).run()
    app.number_input(key="review_overlap").set_value(2).run()
    app.toggle(key="review_blind").set_value(False).run()
    app.text_input(key="review_name").set_value(f"Mine {HOSTILE}").run()
    told = address(app)
    assert told.pop("name") == f"Mine {HOSTILE}"
    assert told == {
        "new": "1", "run": RUN, "verdict": "B", "width": "30", "overlap": "2", "open": "1",
    }  # fmt: skip
    # The address alone asks for the same.
    app = open_page(**{name: value for name, value in address(app).items() if name != "name"})
    press(app, "review_make")
    ((queue,), _) = list_queues(workspace)
    assert address(app)["queue"] == queue.queue_id
    assert (queue.overlap, queue.blind, queue.width, queue.population) == (2, False, 0.3, 20)
    assert len(queue.items) == 14 and queue.selection == "verdict B"
    assert all(int(name[1:]) % 2 for name in queue.items)


def test_hostile_addresses_of_the_form_ask_for_nothing(queue: str, workspace: Path) -> None:
    app = open_page(new="1", run="<x>", width="99", overlap="77", verdict="<x>", only="no,such")
    assert "6 comparisons in the queue." in words(app)
    assert app.number_input(key="review_overlap").value == 1
    press(app, "review_make")
    assert {one.overlap for one in list_queues(workspace)[0]} == {1}


def test_a_comparison_is_judged_blind_and_told_afterwards(queue: str, workspace: Path) -> None:
    say(workspace, queue_up(workspace, overlap=2).queue_id, ADA, "c0", VoteChoice.B)
    queue = queue_up(workspace, overlap=2).queue_id
    app = open_page(queue=queue)
    assert address(app)["item"] == "c0"
    text = words(app)
    assert "How do I do thing 0?" in text and "0 of 6 judged by you (local), 6 left" in text
    for secret in ("fm-7b", "p0", "AI label", "ada", "0.90", "response A", "prefers"):
        assert secret not in text
    assert app.button(key="review_submit").disabled
    press(app, "review_pick_left")
    assert address(app)["pick"] == "left"
    assert app.button(key="review_pick_left").proto.type == "primary"
    app.text_area(key="review_reason_c0").set_value(f"Because. {HOSTILE}")
    press(app, "review_submit")
    vote = votes(workspace, queue)["c0"]
    first = find_first_shown(queue, "c0", "local")
    assert (vote.choice.value, vote.shown_first, vote.blind) == (first, first, True)
    assert vote.reason == f"Because. {HOSTILE}" and 0 <= vote.seconds < 60
    told = address(app)
    assert (told["item"], told["last"]) == ("c1", "c0") and "pick" not in told
    assert f"You: {first} (left) · AI: A with 0.90 under p0" in words(app)
    assert "ada" not in words(app)
    # What is submitted is told whole.
    app.segmented_control(key="review_tab").set_value("submitted").run()
    text = words(app)
    for secret in ("AI label by fm-7b: A with 0.90 under p0", "ada : B", "You", "Because."):
        assert secret in text
    assert html.escape(HOSTILE, quote=True) in shown(app) and "<img" not in shown(app)
    assert app.text_area(key="review_reason_c0").value == f"Because. {HOSTILE}"
    assert app.button(key="review_pick_left").proto.type == "primary"
    press(app, "review_pick_bad")
    press(app, "review_submit")
    vote = votes(workspace, queue)["c0"]
    assert (vote.choice, vote.blind) == (VoteChoice.BOTH_BAD, False)  # told by now


def test_both_sides_mean_what_they_show(queue: str, workspace: Path) -> None:
    sides = set()
    for n in range(6):
        app = open_page(queue=queue, item=f"c{n}")
        pair = next(block.proto.body for block in app.get("html") if "cai-pair" in block.proto.body)
        left = "A" if pair.index("I will not help") < pair.index("Sure, here is") else "B"
        sides.add(left)
        press(app, "review_pick_right" if n % 2 else "review_pick_left")
        press(app, "review_submit")
        wanted = left if n % 2 == 0 else {"A": "B", "B": "A"}[left]
        assert votes(workspace, queue)[f"c{n}"].choice.value == wanted
    assert sides == {"A", "B"}
    assert "Done." in shown(app)
    press(app, "review_done")
    assert address(app)["view"] == "agreement"


def test_every_button_has_its_key(queue: str) -> None:
    app = open_page(queue=queue)
    found = {
        button.key: button.proto.shortcut
        for button in app.button
        if str(button.key).startswith("review_") and button.proto.shortcut
    }
    assert found == KEYS


def test_a_key_struck_twice_says_nothing_of_the_next_one(queue: str, workspace: Path) -> None:
    """The second strike reaches the server when nothing is picked of the next comparison yet."""
    assert open_page(queue=queue).button(key="review_submit").disabled
    assert not submit_comparison(queue, "c0", "", blind=True, shown_first="A", exposed=False)
    assert read_votes(workspace, queue) == ()


def test_next_previous_discard_and_undo(queue: str, workspace: Path) -> None:
    app = open_page(queue=queue)
    press(app, "review_next")
    press(app, "review_next")
    assert address(app)["item"] == "c2"
    press(app, "review_previous")
    assert address(app)["item"] == "c1"
    press(app, "review_discard")
    assert votes(workspace, queue)["c1"].choice is VoteChoice.DISCARDED
    assert address(app)["item"] == "c2"
    press(app, "review_pick_tie")
    press(app, "review_submit")
    assert address(app)["item"] == "c3"
    press(app, "review_undo")
    assert address(app)["item"] == "c2" and set(votes(workspace, queue)) == {"c1"}
    app.segmented_control(key="review_tab").set_value("discarded").run()
    assert "1 of 1 discarded comparison" in words(app)
    press(app, "review_undo")
    assert votes(workspace, queue) == {}
    assert address(app)["item"] == "c1"
    assert app.button(key="review_undo").disabled


def test_harmful_text_is_blurred_until_asked_for_and_the_look_is_kept(workspace: Path) -> None:
    labels = make_labels(3, prompt_kind=PromptKind.RED_TEAM)
    write_labels(workspace, RUN, labels)
    queue = queue_up(workspace).queue_id
    app = open_page(queue=queue)
    assert 'class="cai-blur"' in shown(app)
    assert all(app.button(key=f"review_pick_{one}").disabled for one in ("left", "bad"))
    press(app, "review_discard")  # without a look
    assert votes(workspace, queue)["c0"].exposed is False
    assert "0 looks of yours at harmful text" in words(app)
    assert app.button(key="review_show").proto.shortcut == "h"
    press(app, "review_show")
    assert 'class="cai-blur"' not in shown(app)
    press(app, "review_pick_left")
    press(app, "review_submit")
    assert votes(workspace, queue)["c1"].exposed is True
    assert 'class="cai-blur"' in shown(app)  # the next one again
    press(app, "review_show")
    app.run()
    assert "2 looks of yours at harmful text" in words(app)  # not voted on, and counted
    assert len(read_events(workspace, Topic.REVIEWS)) == 5  # a look is kept once
    app = open_page(queue=queue, view="agreement")
    row = re.search(r"<td>local</td>.*?</tr>", shown(app))
    assert row is not None and re.findall(r"<td>(.*?)</td>", row[0])[5] == "2"


def test_what_another_holds_is_not_given_and_said(queue: str, workspace: Path) -> None:
    assert claim_next(BOB, workspace, queue=queue) == "c0"
    app = open_page(queue=queue, item="c0")
    assert "That one is taken" in words(app)
    assert address(app)["item"] == "c1"
    app = open_page(queue=queue, item="<img src=x>")
    assert address(app)["item"] == "c1" and "<img" not in shown(app)


def test_an_open_queue_tells_before_the_vote(workspace: Path) -> None:
    make_workspace(workspace)
    queue = queue_up(workspace, blind=False, overlap=2).queue_id
    say(workspace, queue, BOB, "c0", VoteChoice.TIE)
    text = words(open_page(queue=queue))
    assert "AI label by fm-7b: A with 0.90 under p0" in text and "bob : tie" in text


def test_a_viewer_looks_and_changes_nothing(
    queue: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(workspace, queue, ADA, "c0", VoteChoice.A)
    monkeypatch.setattr(services, "actor", lambda: VIEWER)
    app = open_page(queue=queue)
    assert "Reviewing takes the role reviewer" in words(app)
    assert not [b for b in app.button if str(b.key).startswith("review_pick")]
    for view in ("agreement", "files"):
        assert not open_page(queue=queue, view=view).exception
    assert "Not yours to import" in words(open_page(queue=queue, view="files"))
    assert "Not yours to make" in words(open_page(new="1"))


def test_agreement_leads_to_what_is_disputed(queue: str, workspace: Path) -> None:
    queue = queue_up(workspace, blind=False, overlap=3).queue_id
    for n, choice in enumerate("ABABAA"):
        say(workspace, queue, ADA, f"c{n}", VoteChoice(choice))
        say(workspace, queue, BOB, f"c{n}", VoteChoice("A"))
    app = open_page(queue=queue, view="agreement")
    text = words(app)
    assert "66.7 %" in text  # 5 + 3 of 12 are what the AI label says
    assert "Disputed comparisons 3 of 6: 2 among reviewers, 1 with the AI label" in text
    assert "ada bob 0." in text
    assert "p0" in text and "Agreement" in str(app.get("plotly_chart")[0].proto)
    links = [link.proto for link in app.get("page_link")]
    assert [link.label.replace("\\", "") for link in links] == [
        f"How do I do thing {n}?" for n in (1, 3, 5)
    ]
    assert "label=c1" in links[0].query_string and "run=labels" in links[0].query_string
    # One reviewer alone: ada disagrees with the AI label once.
    app.pills(key="review_who").set_value(["ada"]).run()
    assert "Disputed comparisons 1 of 6" in words(app)
    who = address(app)["who"]
    assert "Disputed comparisons 1 of 6" in words(open_page(queue=queue, view="agreement", who=who))
    rows = words(open_page(queue=queue, view="agreement", part="0"))
    assert "Votes of that point" in rows
    assert "Votes in that bin" in words(open_page(queue=queue, view="agreement", bin="8"))
    assert "Disputed" in words(open_page(queue=queue, view="agreement", bin="99", part="-1"))


def test_a_blind_queue_keeps_disputes_from_who_has_yet_to_judge(workspace: Path) -> None:
    make_workspace(workspace)
    queue = queue_up(workspace, overlap=3).queue_id
    for actor, choice in ((ADA, VoteChoice.A), (BOB, VoteChoice.B)):
        say(workspace, queue, actor, "c0", choice)
        say(workspace, queue, actor, "c1", choice)
    app = open_page(queue=queue, view="agreement")
    assert "2 more show when you have judged them" in words(app)
    assert not app.get("page_link")
    say(workspace, queue, LOCAL_ACTOR, "c1", VoteChoice.TIE)
    (link,) = open_page(queue=queue, view="agreement").get("page_link")
    assert "label=c1" in link.proto.query_string


def test_an_import_is_told_line_by_line(queue: str, workspace: Path) -> None:
    say(workspace, queue, BOB, "c0", VoteChoice.A)
    app = open_page(queue=queue, view="files")
    assert app.button(key="review_import").disabled
    line = read_votes(workspace, queue)[0].as_dict()
    lines = [{**line, "vote": "new", "comparison": "c1"}, {**line, "choice": HOSTILE}, line]
    content = "\n".join(map(json.dumps, lines)).encode()
    app.file_uploader(key="review_upload").set_value([("v.jsonl", content, "text/plain")]).run()
    press(app, "review_import")
    text = words(app)
    assert "v.jsonl is imported" in text
    assert "1 vote taken, 1 were here already, 1 line refused." in text
    assert "<img" not in shown(app)
    assert {vote.comparison for vote in read_votes(workspace, queue)} == {"c0", "c1"}
    app.file_uploader(key="review_upload").set_value([("v.csv", b"a,b\n", "text/csv")]).run()
    press(app, "review_import")
    assert "v.csv was not imported" in words(app)
    assert f"human: queue:{queue}" in app.code[0].value


def test_the_start_shows_progress_for_each_reviewer(queue: str, workspace: Path) -> None:
    say(workspace, queue, ADA, "c0", VoteChoice.A)
    say(workspace, queue, BOB, "c1", VoteChoice.A)
    discard_comparison(BOB, workspace, queue=queue, comparison="c2", blind=True, shown_first="A")
    app = open_page()
    assert "2 of 6 votes · 4 comparisons for you · by ada 1 · bob 1 · made by local" in words(app)
    press(app, f"review_open_{queue}")
    assert address(app)["queue"] == queue


def test_labels_that_are_gone_are_said_and_votes_can_still_be_taken_out(
    queue: str, workspace: Path
) -> None:
    say(workspace, queue, ADA, "c0", VoteChoice.A)
    (workspace / "runs" / RUN / "outputs" / "labels.jsonl").unlink()
    assert "cannot be read" in words(open_page(queue=queue))
    app = open_page(queue=queue, view="files")
    assert not app.exception and "1 vote, discards too." in words(app)


def test_a_vote_that_cannot_be_kept_is_said(
    queue: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(queue=queue, pick="tie")

    def refuse(*_: object, **__: object) -> str:
        raise WorkspaceError("The disk is full. Make room.")

    monkeypatch.setattr("ui.review_comparison.vote_comparison", refuse)
    app = open_page(queue=queue, pick="tie", item="c0")
    press(app, "review_submit")
    assert "Not kept" in words(app) and "The disk is full" in words(app)
    assert address(app)["item"] == "c0" and address(app)["pick"] == "tie"
    assert len(read_events(workspace, Topic.REVIEWS)) == 1
