"""Reading what a report tells out of a workspace. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core import __version__
from cai_core.constitution import load_constitution
from cai_core.errors import CaiError, RecipeError
from cai_core.evaluation.label_quality import LabelQuality
from cai_core.evaluation.label_traits import ExaminedLabel
from cai_core.evaluation.review_agreement import Agreement, measure_agreement
from cai_core.evaluation.suite_file import load_suite
from cai_core.evaluation.suites import SHIPPED, Suite
from cai_core.inference.model_folder import DEMO, DEMO_FOLDER
from cai_core.jobs.calibration_study import CalibratedJudge, get_judge, study_calibration
from cai_core.jobs.drift_study import list_evaluations, load_side, study_drift
from cai_core.jobs.evaluate_cautions import find_maker
from cai_core.jobs.forecast_usage import load_usage
from cai_core.jobs.label_study import list_human_files, list_label_runs, load_study
from cai_core.jobs.looking import Ancestor, find_lineage
from cai_core.jobs.registry import MadeModel, list_models
from cai_core.pipeline.evaluate import read_metrics, shorten_model
from cai_core.pipeline.evaluate_inputs import SUITE, SYSTEM
from cai_core.pipeline.inputs import CONSTITUTION, FOLDER
from cai_core.pipeline.label_records import LABELS
from cai_core.records import Constitution, content_hash
from cai_core.reports.report import Card, Evaluated, LineageRun, Report, UsedConstitution
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import read_votes
from cai_core.workspace.runs import open_run


def load_report(workspace: Path, names: Sequence[str], *, made: str) -> Report:
    """Read everything that a report on these evaluations tells.

    What is beside the figures (a card, a constitution, labels) and cannot be read is left out and
    told; a figure that cannot be read is an error.

    Args:
        names: the baseline and one candidate or more, each an evaluation's id, or a model whose
            newest evaluation is taken. made: the report's date (ISO 8601).

    Raises:
        RecipeError: fewer than two, or one of them twice, or no such evaluation.
        WorkspaceError: as `study_drift`, or a metrics.json is damaged.
    """
    runs = _find_runs(workspace, names)
    unread: list[str] = []
    sides = _load_sides(workspace, runs, unread)
    drifts = tuple(study_drift(workspace, runs[0], run) for run in runs[1:])
    models = {model.run: model for model in list_models(workspace)}
    ancestors = _find_ancestors(workspace, sides)
    recipes = dict(_read_recipes(workspace, ancestors))
    labels, agreements = _load_labels(workspace, ancestors, unread)
    named = {str(told.get(key)) for told in recipes.values() for key in ("base", "model", "judge")}
    synthetic = bool(named & {DEMO, str(DEMO_FOLDER)})
    return Report(
        made=made,
        version=__version__,
        sides=sides,
        drifts=drifts,
        lineage=tuple(
            _describe_run(workspace, one, recipes.get(one.run), sides, models) for one in ancestors
        ),
        constitutions=_load_constitutions(workspace, ancestors, unread),
        cards=tuple(_list_cards(sides, ancestors, models, synthetic=synthetic)),
        labels=labels,
        agreements=agreements,
        synthetic=synthetic,
        unread=tuple(unread),
        calibrations=_load_calibrations(workspace, sides),
    )


def find_evaluation(workspace: Path, name: str, *, suite: str | None = None) -> str:
    """An evaluation's id, by its own or by its model.

    Args:
        name: the run's id; or a model, as it was evaluated, or the run that made it.
        suite: hash of the suite that is preferred among a model's evaluations.

    Raises:
        RecipeError: there is none.
    """
    there = list_evaluations(workspace)
    if name in there:
        return name
    found = []
    for run in there:
        try:
            metrics = read_metrics(workspace / "runs" / run)
            asked = str(metrics["model"]["name"])
            if name in (asked, shorten_model(asked)):
                found.append((run, metrics["suite"]["hash"]))
        except (CaiError, KeyError, TypeError):
            continue  # not the one that is meant, or nothing to report on
    if not found:
        raise RecipeError(
            f"{name!r:.80}: no evaluation that has succeeded has this id or this model. Evaluate "
            "it: `python -m cai_core evaluate`."
        )
    same = (run for run, its in found if its == suite)
    return next(same, found[0][0])


def _find_runs(workspace: Path, names: Sequence[str]) -> list[str]:
    if len(names) < 2:
        raise RecipeError("A report needs a baseline and a candidate. Name two evaluations.")
    runs = [find_evaluation(workspace, names[0])]
    suite = read_metrics(workspace / "runs" / runs[0])["suite"]["hash"]
    runs += [find_evaluation(workspace, name, suite=suite) for name in names[1:]]
    twice = [run for run, count in Counter(runs).items() if count > 1]
    if twice:
        raise RecipeError(f"{twice[0]} is named twice. Name each evaluation once.")
    return runs


def _load_sides(workspace: Path, runs: Sequence[str], unread: list[str]) -> tuple[Evaluated, ...]:
    sides = [load_side(workspace, run) for run in runs]
    labels = [side.name + _describe_system(side.header) for side in sides]
    count = Counter(labels)
    return tuple(
        Evaluated(
            label=label if count[label] == 1 else f"{label} ({side.run})",
            side=side,
            metrics=side.header,
            maker=find_maker(workspace, str(side.header["model"]["name"])),
            suite=_load_suite(workspace / "runs" / side.run, unread),
        )
        for side, label in zip(sides, labels, strict=True)
    )


def _describe_system(header: Mapping[str, Any]) -> str:
    system = header.get("system_constitution")
    return f" under {system['name']}" if system else ""


def _load_suite(folder: Path, unread: list[str]) -> Suite | None:
    try:
        return load_suite(folder / FOLDER / SUITE)
    except (CaiError, OSError) as error:
        unread.append(str(error))
        return None


def _find_ancestors(workspace: Path, sides: Sequence[Evaluated]) -> list[Ancestor]:
    """The evaluations, the runs that made their models, and all that those came from."""
    found: dict[str, Ancestor] = {}
    for one in sides:
        own, *before = find_lineage(workspace, one.run)
        parents = own.parents
        if one.maker is not None and one.maker not in parents:
            parents = (*parents, one.maker)
            before += find_lineage(workspace, one.maker)
        told = Ancestor(run=own.run, kind=own.kind, state=own.state, parents=parents)
        for ancestor in (told, *before):
            found.setdefault(ancestor.run, ancestor)
    runs = [one.run for one in sides]
    return [found[run] for run in runs] + [one for run, one in found.items() if run not in runs]


def _read_recipes(
    workspace: Path, ancestors: Iterable[Ancestor]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in ancestors:
        if one.kind is not None:
            yield one.run, open_run(workspace / "runs" / one.run).recipe


def _describe_run(
    workspace: Path,
    one: Ancestor,
    recipe: Mapping[str, Any] | None,
    sides: Sequence[Evaluated],
    models: Mapping[str, MadeModel],
) -> LineageRun:
    asked = {side.run: side.metrics["model"].get("weights_hash") for side in sides}
    made = models.get(one.run)
    return LineageRun(
        run=one.run,
        kind=one.kind or "",
        state=one.state.value if one.state is not None else "",
        parents=one.parents,
        recipe_hash=None if recipe is None else content_hash(recipe),
        weights_hash=made.weights_hash if made is not None else asked.get(one.run),
        usage=load_usage(workspace / "runs" / one.run),
    )


def _load_constitutions(
    workspace: Path, ancestors: Iterable[Ancestor], unread: list[str]
) -> tuple[UsedConstitution, ...]:
    found: dict[str, tuple[Constitution, list[str]]] = {}
    for one in ancestors:
        for name in (CONSTITUTION, SYSTEM):
            path = workspace / "runs" / one.run / FOLDER / name
            if not path.is_file():
                continue
            try:
                constitution = load_constitution(path)
            except CaiError as error:
                unread.append(str(error))
                continue
            runs = found.setdefault(constitution.hash, (constitution, []))[1]
            if one.run not in runs:
                runs.append(one.run)
    return tuple(
        UsedConstitution(constitution=constitution, runs=tuple(runs))
        for constitution, runs in found.values()
    )


def _load_labels(
    workspace: Path, ancestors: Iterable[Ancestor], unread: list[str]
) -> tuple[dict[str, LabelQuality], dict[tuple[str, str], Agreement]]:
    """What the labels are like that the models were trained on, and what people say of them."""
    folders = [workspace / "runs" / one.run for one in ancestors]
    humans = list_human_files(list_label_runs(workspace))
    qualities: dict[str, LabelQuality] = {}
    examined: dict[str, Sequence[ExaminedLabel]] = {}
    for folder in folders:
        if (folder / "outputs" / LABELS).is_file():
            try:
                study = load_study(folder, humans)
            except (CaiError, OSError) as error:
                unread.append(str(error))
                continue
            qualities[folder.name], examined[folder.name] = study.quality, study.examined
            unread += study.unread
    agreements = {}
    for queue in list_queues(workspace)[0]:
        votes = read_votes(workspace, queue.queue_id) if queue.run in examined else ()
        if votes:
            agreements[(queue.name, queue.run)] = measure_agreement(votes, examined[queue.run])
    return qualities, agreements


def _load_calibrations(
    workspace: Path, sides: Iterable[Evaluated]
) -> dict[str, tuple[CalibratedJudge, ...]]:
    """Each judge of the evaluations, with what people say of its judgements."""
    found = {}
    for one in sides:
        judge = get_judge(one.metrics)
        if judge is not None:
            found[shorten_model(judge.name)] = study_calibration(workspace, judge)
    return found


def _list_cards(
    sides: Iterable[Evaluated],
    ancestors: Iterable[Ancestor],
    models: Mapping[str, MadeModel],
    *,
    synthetic: bool,
) -> Iterator[Card]:
    for one in ancestors:
        made = models.get(one.run)
        if made is not None and made.card:
            yield Card(title=f"Model of {one.run}", text=made.card)
    if synthetic and (text := _read_text(DEMO_FOLDER / "README.md")):
        yield Card(title="The demo model", text=text)
    suites = {
        name
        for one in sides
        for name in str(one.metrics["suite"]["name"]).split(" + ")
        if (SHIPPED / f"{name}.jsonl").is_file()
    }
    if suites and (text := _read_text(SHIPPED / "README.md")):
        yield Card(title=f"Suites: {', '.join(sorted(suites))}", text=text)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""
