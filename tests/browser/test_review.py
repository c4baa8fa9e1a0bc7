"""Reviewing in a real browser with keys alone: blind votes, agreement, an export, its import."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cai_core.evaluation.review_export import build_votes_file
from cai_core.records import CritiqueVerdict, PromptKind
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import VoteChoice, read_critique_votes, read_votes
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_constitutions import press_by_keyboard, tab_to
from tests.browser.test_hostile import check_inert
from tests.browser.test_playground import main, overflow
from tests.critique_makers import make_chains, queue_critiques
from tests.hostile import HOSTILE
from tests.label_workspace import write_labels
from tests.review_makers import RUN, make_labels, queue_up
from tests.training.labels import make_label

PICKS = {"1": "left", "2": "right", "3": "tie", "4": "bad"}
LABELS = {"1": "Left is better", "2": "Right is better", "3": "Tie", "4": "Both bad"}


def judged(page: Page, count: int, of: int) -> None:
    """Wait until so many comparisons are judged."""
    words = re.compile(rf"^{count} of {of} judged by you")
    expect(main(page).get_by_text(words)).to_be_visible()


def settle(page: Page) -> None:
    """Wait until the page is drawn: before that its keys are the last one's."""
    state = page.get_by_test_id("stApp")
    expect(state).to_have_attribute("data-test-script-state", "notRunning")


def go_to_item(page: Page, number: int) -> None:
    page.wait_for_url(f"**item=c{number}*")
    question = main(page).get_by_text(f"How do I do thing {number}?")
    expect(question).to_be_visible()
    # The page's last button: what stands above it is drawn.
    expect(main(page).get_by_role("button", name=re.compile("^Undo"))).to_be_visible()
    settle(page)


def pick(page: Page, key: str) -> None:
    button = main(page).get_by_role("button", name=re.compile(f"^{LABELS[key]}"))
    expect(button).to_be_enabled()
    settle(page)
    page.keyboard.press(key)
    page.wait_for_url(f"**pick={PICKS[key]}**")
    submit = main(page).get_by_role("button", name=re.compile("^Submit"))
    expect(submit).to_be_enabled()
    settle(page)


def test_ten_comparisons_are_reviewed_blind_with_keys_alone(
    tmp_path: Path, open_page: OpenPage
) -> None:
    labels = make_labels(9)
    labels.append(make_label(9, 0.7, prompt_kind=PromptKind.RED_TEAM, principle_ids=("p0",)))
    write_labels(tmp_path, RUN, labels)
    with serve_app(tmp_path) as app:
        page = open_page(f"{app.url}review")
        press_by_keyboard(
            page, main(page).get_by_role("button", name="Make a queue of comparisons")
        )
        expect(main(page).get_by_text("10 comparisons in the queue.")).to_be_visible()
        press_by_keyboard(page, main(page).get_by_role("button", name="Make the queue"))
        go_to_item(page, 0)
        judged(page, 0, 10)
        for secret in ("p0", "prefers it", "AI label", "fm-7b"):
            expect(main(page).get_by_text(secret)).to_have_count(0)
        # There and back again, and the side stays the same.
        pair = main(page).locator(".cai-pair")
        before = pair.inner_text()
        page.keyboard.press("ArrowRight")
        go_to_item(page, 1)
        page.keyboard.press("ArrowLeft")
        go_to_item(page, 0)
        expect(pair).to_have_text(before, use_inner_text=True)
        page.reload()
        expect(pair).to_have_text(before, use_inner_text=True)
        for number in range(9):
            judged(page, number, 10)
            go_to_item(page, number)
            pick(page, "1234"[number % 4])
            if number == 4:
                # In the reason the keys are letters; Ctrl+Enter submits from there, too.
                tab_to(page, main(page).get_by_role("textbox", name="Reason"))
                page.keyboard.type("Because 1 and 2.")
            page.keyboard.press("Control+Enter")
            page.wait_for_url(f"**last=c{number}*")
        expect(
            main(page).get_by_text("You: A").or_(main(page).get_by_text("You: B"))
        ).to_be_visible()
        expect(main(page).get_by_text("AI: A with 0.90 under p0")).to_be_visible()
        go_to_item(page, 9)
        # Taken back and said again.
        page.keyboard.press("u")
        go_to_item(page, 8)
        judged(page, 8, 10)
        pick(page, "3")
        page.keyboard.press("Control+Enter")
        go_to_item(page, 9)
        judged(page, 9, 10)
        # The last one is harmful: nothing counts before it is read.
        expect(main(page).locator(".cai-blur").first).to_be_visible()
        page.keyboard.press("h")
        expect(main(page).locator(".cai-blur")).to_have_count(0)
        pick(page, "4")
        page.keyboard.press("Control+Enter")
        expect(main(page).get_by_text("Nothing is left for you here.")).to_be_visible()
        settle(page)
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**view=agreement*")
        expect(main(page).get_by_text("Agree with the AI label", exact=True)).to_be_visible()
        expect(main(page).get_by_role("heading", name="By principle")).to_be_visible()
        assert overflow(page) <= 0
        settle(page)
        # Tab stops at the first of three; the arrows go on from there.
        tab_to(page, main(page).get_by_role("radio", name="Review"))
        for name in ("Agreement", "Export, import"):
            page.keyboard.press("ArrowRight")
            expect(main(page).get_by_role("radio", name=name)).to_be_focused()
        page.keyboard.press("Space")
        page.wait_for_url("**view=files*")
        export = main(page).get_by_role("button", name="JSONL", exact=True)
        tab_to(page, export)
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        file = download.value.path().read_bytes()
        ((queue,), _) = list_queues(tmp_path)
        votes = read_votes(tmp_path, queue.queue_id)
        assert file == build_votes_file(votes, "jsonl")
        path = tmp_path / "votes.jsonl"
        path.write_bytes(file + b"half a li\n")
        tab_to(page, main(page).get_by_role("button", name=re.compile("Upload|Browse")))
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(path)
        importing = main(page).get_by_role("button", name="Import the votes")
        expect(importing).to_be_enabled()
        press_by_keyboard(page, importing)
        told = "0 votes taken, 10 were here already, 1 line refused."
        expect(main(page).get_by_text(told)).to_be_visible()
        assert read_votes(tmp_path, queue.queue_id) == votes
    said = {vote.comparison: vote for vote in votes}
    assert set(said) == {f"c{n}" for n in range(10)}
    assert said["c2"].choice is VoteChoice.TIE and said["c3"].choice is VoteChoice.BOTH_BAD
    assert said["c8"].choice is VoteChoice.TIE
    # The one that was taken back had been told of by then.
    assert [name for name, vote in said.items() if not vote.blind] == ["c8"]
    assert said["c4"].reason == "Because 1 and 2." and not said["c5"].reason
    assert [name for name, vote in said.items() if vote.exposed] == ["c9"]
    assert said["c0"].choice.value == said["c0"].shown_first
    assert said["c1"].choice.value != said["c1"].shown_first
    assert verify_chain(get_journal_path(tmp_path, Topic.REVIEWS)) == []


def test_critiques_are_judged_and_a_revision_is_edited_with_keys_alone(
    tmp_path: Path, open_page: OpenPage
) -> None:
    make_chains(tmp_path, 2)
    with serve_app(tmp_path) as app:
        page = open_page(f"{app.url}review?new=critiques&finding=found")
        expect(main(page).get_by_text("2 rounds in the queue.")).to_be_visible()
        press_by_keyboard(page, main(page).get_by_role("button", name="Make the queue"))
        judged(page, 0, 2)
        expect(main(page).get_by_role("button", name=re.compile("^Undo"))).to_be_visible()
        settle(page)
        for secret in ("p0", "model-a", "problem found"):
            expect(main(page).get_by_text(secret, exact=True)).to_have_count(0)
        # What a critique objects to is blurred until it is asked for.
        expect(main(page).locator(".cai-blur").first).to_be_visible()
        page.keyboard.press("h")
        expect(main(page).locator(".cai-blur")).to_have_count(0)
        settle(page)
        page.keyboard.press("2")
        page.wait_for_url("**pick=partly**")
        settle(page)
        page.keyboard.press("e")
        revision = main(page).get_by_role("textbox", name="Your revision")
        expect(revision).to_have_value(re.compile(r"^Better \d\.$"))
        settle(page)
        tab_to(page, revision)
        page.keyboard.press("Control+A")
        page.keyboard.type("I would say 1 and 2.")
        page.keyboard.press("Control+Enter")
        judged(page, 1, 2)
        told = "You: Partly · under p0, by model-a: a problem found"
        expect(main(page).get_by_text(told)).to_be_visible()
        settle(page)
        page.keyboard.press("u")
        judged(page, 0, 2)
        settle(page)
        page.keyboard.press("1")
        page.wait_for_url("**pick=right**")
        expect(main(page).get_by_role("button", name=re.compile("^Submit"))).to_be_enabled()
        settle(page)
        page.keyboard.press("Control+Enter")
        judged(page, 1, 2)
        settle(page)
        page.keyboard.press("d")
        expect(main(page).get_by_text("Nothing is left for you here.")).to_be_visible()
        settle(page)
        page.keyboard.press("Control+Enter")
        expect(main(page).get_by_text("Critiques that are right")).to_be_visible()
        assert overflow(page) <= 0
        ((queue,), _) = list_queues(tmp_path)
        first, second = (
            next(v for v in read_critique_votes(tmp_path, queue.queue_id) if v.item == item)
            for item in queue.items
        )
        page.goto(f"{app.url}critiques?chain={first.chain}")
        expect(page.get_by_text("A person’s revision")).to_be_visible()
        expect(page.get_by_text("I would say 1 and 2.")).to_be_visible()
    assert (first.verdict, first.revision) == (CritiqueVerdict.RIGHT, "I would say 1 and 2.")
    assert first.exposed and not first.blind  # told by the vote that was taken back
    assert second.discarded and second.blind
    assert verify_chain(get_journal_path(tmp_path, Topic.REVIEWS)) == []


@pytest.mark.parametrize("width", [1280, 400])
def test_hostile_texts_stay_texts_and_within_the_window(
    tmp_path: Path, open_page: OpenPage, width: int
) -> None:
    every = "\n".join(HOSTILE)
    labels = make_labels(
        2, response_a=f"left {every}", principle_ids=(HOSTILE[0],), feedback_model=HOSTILE[1]
    )
    write_labels(tmp_path, RUN, labels)
    queue = queue_up(tmp_path, blind=False, name=HOSTILE[0][:100]).queue_id
    make_chains(tmp_path, 1, prompt=every, response=f"so {every}")
    critiques = queue_critiques(tmp_path, blind=False, name=HOSTILE[1][:100]).queue_id
    with serve_app(tmp_path) as app:
        page = open_page(f"{app.url}review?queue={queue}", width=width)
        judged(page, 0, 2)
        settle(page)
        check_inert(page)
        assert overflow(page) <= 0
        pick(page, "2")
        tab_to(page, main(page).get_by_role("textbox", name="Reason"))
        page.keyboard.insert_text(every[:3000])
        page.keyboard.press("Control+Enter")
        judged(page, 1, 2)
        for view in ("agreement", "files"):
            page.goto(f"{app.url}review?queue={queue}&view={view}")
            expect(main(page).get_by_text("All queues")).to_be_visible()
            check_inert(page)
            assert overflow(page) <= 0
        page.goto(f"{app.url}review?queue={critiques}")
        judged(page, 0, 2)
        check_inert(page)
        assert overflow(page) <= 0
        page.goto(f"{app.url}review")
        expect(main(page).get_by_text("1 of 2 votes")).to_be_visible()
        check_inert(page)
        assert overflow(page) <= 0
