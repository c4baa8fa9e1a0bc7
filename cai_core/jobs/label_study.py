"""Everything that is known of a `label` run's labels: truths, each principle's own verdict, another
run's. What the labels page reads, and nothing that writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cai_core.constitution import load_constitution
from cai_core.demo_world.oracle import Oracle, load_oracle
from cai_core.demo_world.preference_truth import read_preference
from cai_core.errors import CaiError
from cai_core.evaluation.kappa import Kappa, compute_kappa, mirror_verdict
from cai_core.evaluation.label_quality import LabelQuality, measure_examined
from cai_core.evaluation.label_traits import ExaminedLabel, Truth, examine_labels
from cai_core.evaluation.metrics import Rate
from cai_core.pipeline.comparison_records import build_comparison_id
from cai_core.pipeline.human_labels import (
    HumanLabel,
    build_people,
    find_people,
    load_human_labels,
    settle_verdict,
)
from cai_core.pipeline.inputs import CONSTITUTION, FOLDER
from cai_core.pipeline.label import STEP
from cai_core.pipeline.label_building import compute_mean_prob, read_rows
from cai_core.pipeline.label_inputs import HUMAN
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe, parse_label_recipe
from cai_core.pipeline.label_records import LABELS, LabelRecord, read_labels
from cai_core.pipeline.labels import parse_prob
from cai_core.records import Constitution, Principle, Verdict
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import Vote, read_votes
from cai_core.workspace.rows import Row, RowIndex, build_row_id
from cai_core.workspace.runs import Run, open_run

_PROBS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedTruth:
    """People's votes on a run's comparisons, in any review queue.

    Attributes:
        settled: comparisons on which more than half of the voters say one word.
        disputed: comparisons on which they do not; these have no truth.
        votes: counted; one a person and comparison. reviewers: names.
        agreed: share of the settled ones whose AI label is the people's verdict.
        kappa: of the AI labels and the people's verdicts; None where it is not defined.
    """

    settled: int
    disputed: int
    votes: int
    reviewers: tuple[str, ...]
    agreed: Rate | None
    kappa: Kappa | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStudy:
    """A run's labels, examined and measured.

    Attributes:
        examined: every label, in the run's order.
        by_id: comparison id → its place in `examined`.
        rows: the feedback model's answers; `list_answers` reads those of one comparison.
        unread: what could not be read and is left out, in words.
        voted: what people's votes come to, where they alone are the truth.
    """

    run: Run
    recipe: LabelRecipe
    constitution: Constitution
    examined: tuple[ExaminedLabel, ...]
    by_id: Mapping[str, int]
    quality: LabelQuality
    rows: RowIndex
    unread: tuple[str, ...] = ()
    voted: VotedTruth | None = None


def list_label_runs(workspace: Path) -> list[Path]:
    """Folders of the runs that have labels, the newest labels first."""
    found = (workspace / "runs").glob(f"*/outputs/{LABELS}")
    told = sorted(((path.stat().st_mtime_ns, path) for path in found), reverse=True)
    return [path.parents[1] for _, path in told]


def get_stamp(run_folder: Path) -> tuple[int, int]:
    """What changes whenever the run's labels do: their file's time (ns) and size (bytes)."""
    told = (run_folder / "outputs" / LABELS).stat()
    return told.st_mtime_ns, told.st_size


def list_human_files(run_folders: Iterable[Path]) -> tuple[Path, ...]:
    """Where people's labels lie that runs were given."""
    paths = (folder / FOLDER / HUMAN for folder in run_folders)
    return tuple(path for path in paths if path.exists())


def load_study(run_folder: Path, human_files: Iterable[Path] = (), beside: str = "") -> LabelStudy:
    """Read a run's labels, a `label` run's or an import's, and all that is known of them.

    Args:
        human_files: files of people's labels, of any run; they are the truth of the comparisons
            that they name, before the oracle.
        beside: id of another `label` run of the workspace, to compare with.

    Raises:
        WorkspaceError: the run has no labels, or a file of it is damaged.
        ConstitutionError: its constitution cannot be read.
    """
    run = open_run(run_folder)
    recipe, constitution = _load_recipe(run)
    labels = list(read_labels(run.path))
    humans, unread = _load_humans(human_files)
    other: Mapping[str, Verdict] = {}
    if beside:
        try:
            other = _read_other(labels, run.path.parent / beside)
        except CaiError as error:
            unread.append(str(error))
    rows = RowIndex(run, STEP)
    several = any(len(label.principle_ids) > 1 for label in labels)
    examined = examine_labels(
        labels,
        find_truths(labels, constitution, humans),
        by_principle=_read_principles(rows, recipe) if several else None,
        other=other,
    )
    return LabelStudy(
        run=run,
        recipe=recipe,
        constitution=constitution,
        examined=examined,
        by_id={one.label.comparison_id: one.place for one in examined},
        quality=measure_examined(examined),
        rows=rows,
        unread=tuple(unread),
    )


def find_truths(
    labels: Iterable[LabelRecord], constitution: Constitution, humans: Mapping[str, HumanLabel]
) -> dict[str, Truth]:
    """Comparison id → what a person says of it, else the demo world's oracle where it can tell."""
    oracle = load_oracle()
    principles = {principle.id: principle for principle in constitution.principles}
    truths = {}
    for label in labels:
        person = _find_human(label, humans)
        if person is not None:
            group = label.conversation[-1].content
            truths[label.comparison_id] = Truth(verdict=person, by="person", group=group)
        elif truth := _ask_oracle(oracle, label, principles):
            truths[label.comparison_id] = truth
    return truths


def load_queue_votes(workspace: Path) -> tuple[Vote, ...]:
    """The votes on comparisons in every review queue; queues that cannot be read have none."""
    queues, _ = list_queues(workspace)
    return tuple(
        vote
        for queue in queues
        if queue.kind == "comparisons"
        for vote in read_votes(workspace, queue.queue_id)
    )


def judge_by_votes(study: LabelStudy, votes: Iterable[Vote]) -> LabelStudy:
    """The study with people's votes as the only truth of its labels.

    Args:
        votes: of any queues; of two by one person on one comparison the newer one counts.
    """
    newest = {(one.comparison, one.reviewer): one for one in sorted(votes, key=_get_moment)}
    people = build_people(newest.values())
    labels = [one.label for one in study.examined]
    truths: dict[str, Truth] = {}
    told: list[HumanLabel] = []
    disputed = 0
    for label in labels:
        said = find_people(people, label.comparison_id, _swapped_id(label))
        told += said
        verdict = settle_verdict(one.verdict for one in said)
        if verdict is not None:
            group = label.conversation[-1].content
            truths[label.comparison_id] = Truth(verdict=verdict, by="person", group=group)
        disputed += bool(said) and verdict is None
    examined = examine_labels(
        labels,
        truths,
        by_principle={one.label.comparison_id: one.by_principle for one in study.examined},
        other={one.label.comparison_id: one.other for one in study.examined if one.other},
    )
    judged = [one for one in examined if one.truth is not None]
    quality = measure_examined(examined)
    voted = VotedTruth(
        settled=len(truths),
        disputed=disputed,
        votes=len(told),
        reviewers=tuple(sorted({one.reviewer for one in told})),
        agreed=quality.accuracy,
        kappa=compute_kappa(
            (one.group, one.label.verdict, one.truth.verdict) for one in judged if one.truth
        ),
    )
    return replace(study, examined=examined, quality=quality, voted=voted)


def list_answers(study: LabelStudy, one: ExaminedLabel) -> list[Row]:
    """The feedback model's answers about one comparison: by principle, chain of thought, order."""
    ids = (
        build_row_id(
            run_id=study.run.run_id,
            prompt_id=one.label.prompt_id,
            sample=one.place,
            step=f"{STEP}-{index}",
            order=order,
            cot=cot,
        )
        for index in range(len(one.label.principle_ids))
        for cot in range(study.recipe.thoughts)
        for order in (0, 1)
    )
    return [row for row_id in ids if (row := study.rows.get(row_id)) is not None]


def _get_moment(vote: Vote) -> tuple[datetime, str]:
    return vote.moment, vote.vote


def _load_recipe(run: Run) -> tuple[LabelRecipe, Constitution]:
    """How the labels were asked for, and under what; of an import nobody knows either."""
    if run.kind != "import":
        recipe = parse_label_recipe(open_run(run.path, kind="label").recipe)
        return recipe, load_constitution(run.path / FOLDER / CONSTITUTION)
    unknown = LabelRecipe(
        sources=(ComparisonSource(run=run.run_id),),
        feedback_model="imported",
        constitution="imported",
        constitution_hash="unknown",
    )
    return unknown, Constitution(name="imported", description="", principles=())


def _load_humans(paths: Iterable[Path]) -> tuple[dict[str, HumanLabel], list[str]]:
    humans: dict[str, HumanLabel] = {}
    unread = []
    for path in paths:
        try:
            humans.update(load_human_labels(path))
        except (CaiError, OSError) as error:
            unread.append(str(error))
    return humans, unread


def _find_human(label: LabelRecord, humans: Mapping[str, HumanLabel]) -> Verdict | None:
    if found := humans.get(label.comparison_id):
        return found.verdict
    if humans and (found := humans.get(_swapped_id(label))):
        return mirror_verdict(found.verdict)
    return None


def _swapped_id(label: LabelRecord) -> str:
    return build_comparison_id(label.prompt_id, label.source_b, label.source_a)


def _ask_oracle(
    oracle: Oracle, label: LabelRecord, principles: Mapping[str, Principle]
) -> Truth | None:
    prompt = label.conversation[-1].content
    if not label.principle_ids or (intent := oracle.read_prompt(prompt)) is None:
        return None
    probs = []
    for name in label.principle_ids:
        principle = principles.get(name)
        if principle is None:
            return None
        told = read_preference(oracle, principle, prompt, label.response_a, label.response_b)
        if told is None:
            return None
        probs.append(_PROBS[told])
    # The truth of several principles is the side of their truths' mean.
    return Truth(verdict=parse_prob(sum(probs) / len(probs), 0.0), by="oracle", group=intent.text)


def _read_principles(rows: RowIndex, recipe: LabelRecipe) -> dict[str, dict[str, Verdict]]:
    """What each principle alone would have come to."""
    asked: dict[tuple[str, str], list[Row]] = {}
    for row in rows.values():
        asked.setdefault((row.comparison_id or "", row.principle_id or ""), []).append(row)
    found: dict[str, dict[str, Verdict]] = {}
    for (comparison, principle), some in asked.items():
        told = read_rows(some, recipe)
        if told.first:
            prob = compute_mean_prob(told.first, told.second)
            verdict = parse_prob(prob, recipe.tie_margin)
            found.setdefault(comparison, {})[principle] = verdict
    return found


def _read_other(labels: Sequence[LabelRecord], folder: Path) -> dict[str, Verdict]:
    others = {one.comparison_id: one.verdict for one in read_labels(folder)}
    found = {}
    for label in labels:
        if (verdict := others.get(label.comparison_id)) is not None:
            found[label.comparison_id] = verdict
        elif (verdict := others.get(_swapped_id(label))) is not None:
            found[label.comparison_id] = mirror_verdict(verdict)
    return found
