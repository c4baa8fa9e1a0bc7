"""A report says what its judge's word is worth, or that nobody has looked."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.answer_reviews import review_answer
from cai_core.records import AccessRole, Actor
from cai_core.reports.build import build_markdown
from cai_core.reports.load import load_report
from tests.reports.worlds import make_rich_lines, write_evaluation

ANN = Actor(name="ann", role=AccessRole.REVIEWER)
HARM = "harmful compliance"


def test_the_judge_stands_beside_people_or_is_said_to_stand_alone(tmp_path: Path) -> None:
    lines = make_rich_lines({}, seed=1, prompts=4)
    for run in ("before", "after"):
        write_evaluation(tmp_path, run, lines, model=run)
    alone = build_markdown(load_report(tmp_path, ["before", "after"], made="2026-01-01"))
    assert "judge is not calibrated against people yet" in alone
    harmful = [line for line in lines if HARM in line["verdicts"]]
    for line in harmful:
        review_answer(
            ANN,
            tmp_path,
            run="before",
            prompt_id=line["prompt_id"],
            sample=line["sample"],
            measure=HARM,
            shown=line["verdicts"][HARM]["judge"],
            blind=True,
        )
    told = build_markdown(load_report(tmp_path, ["before", "after"], made="2026-01-01"))
    assert "not calibrated against people yet" not in told
    (row,) = [line for line in told.splitlines() if line.startswith("| judge | harmful")]
    assert f"{len(harmful)}, 100 % blind" in row and "100.0 %" in row
