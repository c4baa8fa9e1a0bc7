"""People read answers that a judge judged, without its word, and say what they see.

What they say is what the judge is calibrated against.
"""

from __future__ import annotations

import streamlit as st

from cai_core.actions.answer_reviews import review_answer
from cai_core.errors import CaiError
from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.measures import ASKED
from cai_core.jobs.calibration_study import get_judge
from cai_core.jobs.drift_study import load_side
from cai_core.pipeline.evaluate import shorten_model
from cai_core.pipeline.evaluate_inputs import RUBRIC
from cai_core.pipeline.inputs import FOLDER
from cai_core.pipeline.judge_rubric import load_rubric
from cai_core.records import AccessRole, content_hash
from cai_core.workspace.answer_reviews import read_answer_reviews
from ui import services
from ui.drift_flips import is_held_back
from ui.evidence_address import ASKED as ASKED_KEY
from ui.evidence_address import REVIEW, leave, read
from ui.evidence_data import load_reasons
from ui.harm import hold_back, show_harmful_toggle
from ui.look import build_badge, build_card, build_error, escape

_LAST = "evidence_last_review"
_WORDS = {True: "yes", False: "no", None: "cannot tell"}
_BUTTONS = (
    (True, "Yes, it shows it", "check"),
    (False, "No", "close"),
    (None, "Cannot tell", "question_mark"),
)


def show_review() -> None:
    """Render the next answer of the evaluation that the address names."""
    st.button("Back", key="review_leave", icon=":material/arrow_back:", on_click=leave)
    run = read(REVIEW)
    try:
        side = load_side(services.workspace(), run)
    except (CaiError, OSError) as error:
        st.html(build_error("This evaluation cannot be read", str(error)))
        return
    judge, measures = get_judge(side.header), list_judged(side)
    if judge is None or not measures:
        words = "Nobody judged this evaluation, so there is no judge to calibrate."
        st.html(build_card("note", "No judge", words))
        return
    if not services.actor().role.includes(AccessRole.REVIEWER):
        words = "Saying what an answer shows takes the role reviewer."
        st.html(build_card("note", "Not yours to review", words))
        return
    measure = read(ASKED_KEY) if read(ASKED_KEY) in measures else measures[0]
    _choose(measures, measure)
    mine = {
        (one.prompt_id, one.sample)
        for one in read_answer_reviews(services.workspace())
        if (one.run, one.measure, one.reviewer) == (run, measure, services.actor().name)
    }
    keys = order_answers(side, measure)
    waiting = [key for key in keys if key not in mine]
    words = (
        f"{shorten_model(judge.name)} judged {len(keys):,} answers of {side.name}; you have read "
        f"{len(keys) - len(waiting):,} of them, drawn in a fixed random order. Its word shows "
        "after yours."
    )
    st.html(f'<p class="cai-quiet">{escape(words)}</p>')
    _show_last(side, measure)
    if not waiting:
        st.html(build_card("note", "All read", "You have read every answer of this measure."))
        return
    _show_answer(side, waiting[0], measure)


def list_judged(side: Side) -> list[str]:
    """The measures that a judge told of an evaluation and people can be asked."""
    return [name for name in ASKED if "judge" in side.values.get(name, {})]


def order_answers(side: Side, measure: str) -> list[Key]:
    """The answers that the judge was asked about, in an order that nothing but chance made."""
    asked = side.values[measure]["judge"].asked
    keys = [key for key, told in zip(side.keys, asked, strict=True) if told]
    return sorted(keys, key=lambda key: content_hash(["calibration", side.run, measure, *key]))


def _choose(measures: list[str], measure: str) -> None:
    st.session_state["review_measure"] = measure
    st.selectbox(
        "Measure",
        measures,
        key="review_measure",
        on_change=lambda: st.query_params.update({ASKED_KEY: st.session_state["review_measure"]}),
    )


def _show_answer(side: Side, key: Key, measure: str) -> None:
    line = side.lines[key]
    shown = show_harmful_toggle("review_show_harmful")
    # Of a harmful prompt every answer is held back: that it is not would tell what it is.
    held = not shown and is_held_back({**line, "verdicts": {}})
    *earlier, asked = [str(turn["content"]) for turn in line["conversation"]] or [""]
    turns = "".join(f"<p>{escape(text)}</p>" for text in earlier)
    st.html(build_card("prompt", "Prompt", turns + escape(asked)))
    body = escape(str(line["response"]))
    st.html(build_card("response", "Answer", hold_back(body) if held else body))
    question = find_question(side, measure)
    told = f"Does the answer show: {measure}?" + (
        f" The judge was asked: {question}" if question else ""
    )
    st.html(f'<p class="cai-lead">{escape(told)}</p>')
    with st.container(horizontal=True, key="review_votes"):
        for value, label, icon in _BUTTONS:
            st.button(
                label,
                key=f"review_{_WORDS[value].replace(' ', '_')}",
                icon=f":material/{icon}:",
                disabled=held,
                help="Show the harmful text first." if held else None,
                on_click=_say,
                args=(side.run, key, measure, value),
            )


def find_question(side: Side, measure: str) -> str:
    """What the judge was asked about a measure; empty where its rubric cannot be read."""
    path = services.workspace() / "runs" / side.run / FOLDER / RUBRIC
    try:
        rubric = load_rubric(path)
    except CaiError:
        return ""
    found = [one.critique_request for one in rubric.questions if measure in one.measures]
    return " / ".join(found)


def _say(run: str, key: Key, measure: str, value: bool | None) -> None:
    try:
        review_answer(
            services.actor(),
            services.workspace(),
            run=run,
            prompt_id=key[0],
            sample=key[1],
            measure=measure,
            shown=value,
            blind=True,
        )
    except (CaiError, OSError) as error:
        st.session_state[_LAST] = str(error)
        return
    st.session_state[_LAST] = (run, key, measure, value)


def _show_last(side: Side, measure: str) -> None:
    """What the judge said of the answer that was just read."""
    last = st.session_state.pop(_LAST, None)
    if isinstance(last, str):
        st.html(build_error("Not kept", last))
        return
    if last is None or (last[0], last[2]) != (side.run, measure):
        return
    _, key, _, value = last
    verdict = side.lines[key]["verdicts"].get(measure, {}).get("judge")
    word = "unreadable" if verdict is None else _WORDS[verdict]
    reasons = "".join(
        f'<details class="cai-reasoning"><summary>The judge: {escape(name)}</summary>'
        f"<div>{hold_back(escape(text)) if is_held_back(side.lines[key]) else escape(text)}</div>"
        "</details>"
        for name, text in load_reasons(services.workspace(), side.run, key, measure)
    )
    badges = build_badge(f"you: {_WORDS[value]}") + build_badge(f"the judge: {word}")
    st.html(build_card("note", f"{key[0]}, kept", reasons, badges=badges, slim=True))
