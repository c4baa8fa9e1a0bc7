"""Label runs that compare models on the same prompts, read as matches between models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cai_core.errors import CaiError, WorkspaceError
from cai_core.evaluation.pairwise import Match, harden
from cai_core.evaluation.win_rate import JudgedResponses
from cai_core.jobs.evidence_study import EvaluatedModel, list_evaluated_models
from cai_core.pipeline.compared_answers import get_compared_path, read_compared
from cai_core.pipeline.comparisons import are_near_identical
from cai_core.pipeline.evaluate import shorten_model
from cai_core.pipeline.label import KIND
from cai_core.pipeline.label_recipe import LabelRecipe, parse_label_recipe
from cai_core.pipeline.label_records import LABELS, LabelRecord, read_labels
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState

_Key = tuple[str, int]
_TIE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseStudy:
    """One label run's comparisons between models.

    Attributes:
        run: the label run. judge: the feedback model's name. constitution: `NAME@HASH`.
        reasoned: whether it gave its reasons.
        names: run that answered → its model for people; `order` those runs, what others are held
            against first.
    """

    run: str
    judge: str
    constitution: str
    reasoned: bool
    names: Mapping[str, str]
    order: tuple[str, ...]
    matches: tuple[Match, ...]


def list_pairwise_runs(workspace: Path) -> list[str]:
    """Ids of the label runs that have succeeded and compare runs with each other; those of
    evaluations first, then the newest."""
    found = []
    for path in (workspace / "runs").glob(f"*/outputs/{LABELS}"):
        folder = path.parents[1]
        try:
            recipe = _read_recipe(folder)
            if recipe is None or read_status(folder).state is not RunState.SUCCEEDED:
                continue
            against = [source for source in recipe.sources if source.against is not None]
            runs = {run for one in against for run in (one.run, one.against) if run}
            evaluations = all(_is_evaluation(folder.parent / run) for run in runs)
            if against:
                found.append((evaluations, path.stat().st_mtime_ns, folder.name))
        except (CaiError, OSError):
            continue  # `verify` tells
    return [name for _, _, name in sorted(found, reverse=True)]


def load_pairwise(workspace: Path, run_id: str) -> PairwiseStudy:
    """Read a label run's comparisons between models; quick when asked again.

    Responses that say the same words were not asked about; they are ties.

    Raises:
        WorkspaceError: it is no label run that compares models, or a file cannot be read.
    """
    folder = workspace / "runs" / run_id
    recipe = _read_recipe(folder)
    if recipe is None:
        raise WorkspaceError(f"{run_id}: is no run of labels. Choose one that compares models.")
    paths = (
        folder / "outputs" / LABELS,
        *(get_compared_path(folder.parent / p) for p in recipe.parents),
    )
    try:
        stamps = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
    except OSError as error:
        raise WorkspaceError(
            f"{run_id}: what it compared is not here any more: {error}. Choose another run."
        ) from error
    return _load(workspace, run_id, stamps)


@lru_cache(maxsize=16)
def _load(workspace: Path, run_id: str, _stamps: tuple[tuple[int, int], ...]) -> PairwiseStudy:
    folder = workspace / "runs" / run_id
    recipe = _read_recipe(folder)
    assert recipe is not None
    evaluated = {one.run: one for one in list_evaluated_models(workspace)}
    sources = [(one.run, one.against) for one in recipe.sources if one.against is not None]
    order = tuple(dict.fromkeys(run for pair in sources for run in reversed(pair) if run))
    answers = {run: _read_answers(workspace / "runs" / run) for run in order}
    matches, seen = [], set[tuple[str, str, _Key]]()
    for label in read_labels(folder):
        match = _read_match(label, answers, recipe.tie_margin)
        if match is not None:
            matches.append(match)
            key = (match.prompt_id, match.sample)
            seen |= {(match.first, match.second, key), (match.second, match.first, key)}
    for first, second in sources:
        if second is not None:
            matches += _list_identical(first, second, answers, seen, recipe.similarity)
    return PairwiseStudy(
        run=run_id,
        judge=shorten_model(recipe.feedback_model),
        constitution=f"{recipe.constitution}@{recipe.constitution_hash}",
        reasoned=recipe.reasoned,
        names=_name_runs(workspace, order, evaluated),
        order=order,
        matches=tuple(matches),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    cluster: str


def _read_answers(folder: Path) -> dict[_Key, _Answer]:
    """A run's usable answers, with the group of prompts that ask the same."""
    found = {}
    for record in read_compared(folder):
        step = record["steps"][-1] if record["steps"] else {}
        text = record["final"]
        if isinstance(text, str) and text.strip() and step.get("finish_reason") != "length":
            asked = str(record["conversation"][-1]["content"])
            key = (str(record["prompt_id"]), int(record["sample"]))
            found[key] = _Answer(text, str(record.get("intent") or asked))
    return found


def _read_match(
    label: LabelRecord, answers: Mapping[str, Mapping[_Key, _Answer]], margin: float
) -> Match | None:
    """None for a comparison of one run's own responses."""
    first, second = label.source_a.get("run", ""), label.source_b.get("run", "")
    if first == second or first not in answers or second not in answers:
        return None
    prompt_id, _, sample = label.source_a.get("chain", "").rpartition("/")
    key = (prompt_id, int(sample) if sample.isdecimal() else 0)
    held = answers[first].get(key)
    shown_first, shown_second = label.prob_a_first, label.prob_a_second
    if shown_second is None:
        # Asked in one order, or by nobody: what there is stands for both.
        shown_first = shown_second = label.prob_a
    return Match(
        first=first,
        second=second,
        prompt_id=prompt_id,
        sample=key[1],
        judged=JudgedResponses(
            cluster=held.cluster if held else prompt_id,
            shown_first=harden(shown_first, margin),
            shown_second=harden(shown_second, margin),
        ),
        comparison=label.comparison_id,
    )


def _list_identical(
    first: str,
    second: str,
    answers: Mapping[str, Mapping[_Key, _Answer]],
    seen: set[tuple[str, str, _Key]],
    similarity: float,
) -> Iterator[Match]:
    """Pairs that the run dropped because they say the same."""
    for key, one in answers[first].items():
        other = answers[second].get(key)
        if other is None or (first, second, key) in seen:
            continue
        if are_near_identical(one.text, other.text, similarity):
            judged = JudgedResponses(cluster=one.cluster, shown_first=_TIE, shown_second=_TIE)
            yield Match(
                first=first,
                second=second,
                prompt_id=key[0],
                sample=key[1],
                judged=judged,
                comparison=None,
            )


def _name_runs(
    workspace: Path, order: tuple[str, ...], evaluated: Mapping[str, EvaluatedModel]
) -> dict[str, str]:
    names = {}
    for run in order:
        if (one := evaluated.get(run)) is not None:
            names[run] = one.name
            continue
        try:
            recipe = open_run(workspace / "runs" / run).recipe
        except CaiError:
            recipe = {}
        names[run] = shorten_model(str(recipe.get("model") or run))
    told = list(names.values())
    return {
        run: name if told.count(name) == 1 else f"{name} ({run})" for run, name in names.items()
    }


def _is_evaluation(folder: Path) -> bool:
    try:
        return open_run(folder).kind == "evaluate"
    except CaiError:
        return False


def _read_recipe(folder: Path) -> LabelRecipe | None:
    run = open_run(folder)
    return parse_label_recipe(run.recipe) if run.kind == KIND else None
