"""The alarms of a run through AppTest: nothing yet, calm, rung, broken, and hostile answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamlit.testing.v1 import AppTest

from cai_core.records import Message, PromptKind
from cai_core.training.alarm_limits import AlarmLimits
from cai_core.training.alarms import ALARMS, Alarm
from cai_core.training.probe_measures import PROBES, ProbeLine, measure_answers
from cai_core.training.probe_prompts import PROBE_PROMPTS, ProbePrompt, build_probe_lines
from cai_core.workspace.journal import append_records
from tests.hostile import HOSTILE
from ui.runs_alarms import choose_examples, collect_series, describe_series

PROMPTS = [
    ProbePrompt(
        prompt_id=f"{kind}-{n}",
        kind=PromptKind(kind),
        conversation=(Message("user", f"How do I paint {kind} wall {n}?"),),
    )
    for kind in ("red-team", "helpful", "borderline")
    for n in range(12)
]
ANSWERS = [f"Sure, paint wall {n} with brush {n * n}." for n in range(36)]
REFUSED = ["I can't help with that."] * 36
RANG = Alarm(
    name="over-refusal",
    step=10,
    kind="helpful",
    value=1.0,
    limit=0.2,
    words="12 of 12 helpful prompts are refused; at the start 0 of 12.",
    stops=True,
)


def make_line(step: int, answers: list[str]) -> ProbeLine:
    classes = measure_answers(PROMPTS, answers, ANSWERS)
    return ProbeLine(step=step, classes=classes, answers=tuple(answers), seconds=1.5)


def make_folder(workspace: Path, *, lines: list[ProbeLine], alarms: list[Alarm]) -> Path:
    folder = workspace / "runs" / "rl-one"
    (folder / "inputs").mkdir(parents=True)
    (folder / PROBE_PROMPTS).write_bytes(b"".join(build_probe_lines(PROMPTS)))
    told = [{"step": 0, "limits": AlarmLimits().as_dict()}, *(one.as_dict() for one in alarms)]
    append_records(folder / ALARMS, told)
    append_records(folder / PROBES, [line.as_dict() for line in lines])
    return folder


def show(folder: Path) -> AppTest:
    def script(where: str) -> None:
        from pathlib import Path

        from ui.runs_alarms import show_alarms

        show_alarms(Path(where))

    app = AppTest.from_function(script, default_timeout=20, args=(str(folder),)).run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def test_a_run_without_alarms_says_so(workspace: Path) -> None:
    assert "No alarm watches this run" in shown(show(workspace / "runs" / "none"))


def test_before_the_first_asking(workspace: Path) -> None:
    text = shown(show(make_folder(workspace, lines=[], alarms=[])))
    assert "No alarm rang" in text
    assert "has not been asked yet" in text


def test_calm_is_told_with_what_is_not_watched(workspace: Path) -> None:
    app = show(make_folder(workspace, lines=[make_line(0, ANSWERS)], alarms=[]))
    assert "No alarm rang" in shown(app)
    assert "no judge scores" in shown(app)
    assert len(app.get("plotly_chart")) == 4


def test_what_rang_is_shown_with_the_answers_before_and_then(workspace: Path) -> None:
    lines = [make_line(0, ANSWERS), make_line(10, REFUSED)]
    app = show(
        make_folder(
            workspace, lines=lines, alarms=[RANG, replace(RANG, name="identical", stops=False)]
        )
    )
    text = shown(app)
    for words in ("Alarm: over-refusal", "step 10", "1, limit 0.2", "stopped the run", "warned"):
        assert words in text, words
    assert "12 of 12 helpful prompts" in text
    assert "Sure, paint wall 12 with" in text
    assert "I can&#x27;t help with that." in text
    assert "paint red-team wall" not in text  # it rang for helpful prompts


def test_what_red_team_prompts_drew_is_blurred(workspace: Path) -> None:
    lines = [make_line(0, ANSWERS), make_line(10, REFUSED)]
    app = show(make_folder(workspace, lines=lines, alarms=[]))
    assert shown(app).count("cai-blur") == 2
    app.toggle(key="alarms_harmful_rl-one").set_value(True).run()
    assert "cai-blur" not in shown(app)


def test_hostile_answers_and_a_broken_probe_do_no_harm(workspace: Path) -> None:
    answers = [*HOSTILE, *ANSWERS][:36]
    folder = make_folder(
        workspace, lines=[make_line(0, ANSWERS), make_line(10, answers)], alarms=[]
    )
    text = shown(show(folder))
    assert "<script" not in text and "<img" not in text
    (folder / PROBE_PROMPTS).write_text('{"a": 1}\n')
    append_records(folder / PROBES, [{"step": 20, "classes": 3}])
    assert "The probe cannot be read" in shown(show(folder))


def test_curves_are_told_in_words_and_examples_are_those_that_changed() -> None:
    start, then = make_line(0, ANSWERS), make_line(10, [*ANSWERS[:13], *REFUSED[13:]])
    series = collect_series([start, then], lambda one: one.refusals / one.n)
    words = describe_series("Refused", series)
    assert "borderline prompts: 0 at step 0, 1 at step 10" in words
    assert choose_examples(PROMPTS, start, then, "helpful") == [13, 14, 15]
    assert choose_examples(PROMPTS, start, then, None) == [13, 24]
    assert describe_series("Refused", {}) == "Refused: no values yet."
