"""The later parts of a report: doubts, lineage, rules, labels, costs, cards, provenance. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cai_core.evaluation.label_quality import LabelQuality
from cai_core.evaluation.review_agreement import Agreement
from cai_core.reports.blocks import (
    Block,
    Fold,
    Heading,
    Items,
    Picture,
    Quote,
    Section,
    Table,
    Words,
)
from cai_core.reports.figures import (
    NONE,
    list_figures,
    tell_figure,
    tell_hash,
    tell_kappa,
    tell_large,
    tell_percent,
    tell_rate,
    tell_seconds,
)
from cai_core.reports.lineage_chart import draw_lineage
from cai_core.reports.report import Report, UsedConstitution

_NARROW = (
    "The figures are of these prompts, this sampling and these readers; they promise nothing about "
    "other prompts, longer conversations or people who try to get round the model."
)
_COARSE = (
    "The gate is made for large losses: at the usual size of a suite a loss of 3 points is often "
    "not seen."
)
_PICKED = "Flipped answers are examples, not a sample of everything that changed."
_LIMITS = (_NARROW, _COARSE, _PICKED)
_SYNTHETIC = (
    "The demo model has a part in this. It lives in a small synthetic world and was taught to "
    "critique and revise: it shows that the method’s machinery works, not that Constitutional AI "
    "emerges in small models. Nothing here carries over to models of other sizes or to real harms."
)
_UNCHECKED = (
    "No judgement was compared with a truth here: how far the judge can be believed is unknown."
)
_OWN_JUDGE = "The judge is a model too: its verdicts are checked below where a truth is known."


def build_doubts(report: Report) -> Section:
    """Cautions of the evaluations, warnings of the comparisons, limits of them all."""
    told = [
        f"{one.label}: {caution['text']}"
        for one in report.sides
        for caution in one.metrics.get("cautions", ())
    ]
    told += [warning for drift in report.drifts for warning in drift.warnings]
    if report.synthetic:
        told.insert(0, _SYNTHETIC)
    judged = any(one.metrics.get("judge") for one in report.sides)
    checked = list(_list_agreement(report))
    if judged:
        told.append(_OWN_JUDGE if checked else _UNCHECKED)
    told += _LIMITS
    told += [f"Left out, because it cannot be read: {text}" for text in report.unread]
    blocks: list[Block] = [Items(tuple(dict.fromkeys(told)))]
    if checked:
        header = ("Model", "Measure", "n", "Same word", "Judge alone", "Truth alone", "Bias")
        caption = "The judge against the truth, on the same answers; bias is the judge’s rate less "
        blocks.append(Table(f"{caption}the truth’s", header, tuple(checked)))
    if report.calibrations:
        blocks += _show_calibrations(report)
    return Section("limits", "Cautions and limits", tuple(blocks))


def build_lineage(report: Report) -> Section:
    """The picture, and each run with its hashes."""
    told = "; ".join(
        f"{one.run} from {', '.join(one.parents)}" for one in report.lineage if one.parents
    )
    return Section(
        "lineage",
        "Lineage",
        (
            Picture(
                f"From left to right, what the evaluations rest on: {told or 'no other runs'}",
                draw_lineage(report.lineage),
            ),
            Table(
                "Runs; hashes are SHA-256",
                ("Run", "Kind", "State", "Made from", "Recipe", "Weights"),
                tuple(
                    (
                        one.run,
                        one.kind or "not here any more",
                        one.state or NONE,
                        ", ".join(one.parents) or NONE,
                        one.recipe_hash or NONE,
                        one.weights_hash or NONE,
                    )
                    for one in report.lineage
                ),
            ),
        ),
    )


def build_constitutions(report: Report) -> Section:
    """Every version that was used, with its principles."""
    blocks = [block for one in report.constitutions for block in _show_constitution(one)]
    return Section(
        "constitution",
        "Constitution",
        tuple(blocks) or (Words("No run of this lineage went by a constitution."),),
    )


def build_labels(report: Report) -> Section:
    """What the preference labels are like, and how far people agree with them."""
    blocks: list[Block] = []
    if report.labels:
        rows = [(run, *row) for run, one in report.labels.items() for row in _list_quality(one)]
        blocks.append(Table("Preference labels", ("Run", "What", "Figure"), tuple(rows)))
    else:
        blocks.append(Words("No preference labels are in this lineage."))
    blocks.append(Heading("People’s agreement"))
    votes = [
        (name, run, *row)
        for (name, run), one in report.agreements.items()
        for row in _list_agreements(one)
    ]
    if votes:
        header = ("Queue", "Run", "What", "Figure")
        blocks.append(Table("People’s votes and the AI labels", header, tuple(votes)))
    else:
        blocks.append(Words("Nobody has voted on these labels."))
    return Section("labels", "Label quality and people’s agreement", tuple(blocks))


def build_costs(report: Report) -> Section:
    """What each run took, as it was measured."""
    rows = []
    for one in report.lineage:
        usage, work = one.usage, one.usage.work
        starts = str(usage.starts) + (f", {usage.killed} killed" if usage.killed else "")
        rows.append(
            (
                one.run,
                tell_seconds(usage.seconds) if usage.starts > usage.killed else NONE,
                starts if usage.starts else NONE,
                tell_large(work.get("prompt_tokens")),
                tell_large(work.get("completion_tokens", work.get("trained_tokens"))),
                tell_large(usage.memory, "B"),
                tell_large(usage.disk, "B"),
                usage.machine or NONE,
            )
        )
    known = [one.usage.seconds for one in report.lineage if one.usage.starts > one.usage.killed]
    header = ("Run", "Time", "Starts", "Tokens read", "Written or trained on", "Memory", "Disk")
    return Section(
        "costs",
        "What it took",
        (
            Words(
                f"{tell_seconds(sum(known))} together, of the {len(known)} of {len(report.lineage)}"
                " runs that told. Memory is the worker’s alone. Prices are not kept with runs."
            ),
            Table("Measured by the runs themselves", (*header, "Machine"), tuple(rows)),
        ),
    )


def build_cards(report: Report) -> Section:
    """The suites' facts, and what was written about models and data."""
    suites = {one.suite.hash: one.suite for one in report.sides if one.suite is not None}
    facts = tuple(
        (
            suite.name,
            str(suite.version),
            tell_hash(suite.hash),
            str(len(suite.prompts)),
            ", ".join(f"{kind.value} {count}" for kind, count in suite.count_kinds().items()),
            "yes" if suite.held_out else "no",
        )
        for suite in suites.values()
    )
    blocks: list[Block] = []
    if facts:
        header = ("Suite", "Version", "Hash", "Prompts", "Kinds", "Held out")
        blocks.append(Table("What was asked", header, facts))
    blocks += [Fold(card.title, (Quote("Card", card.text),)) for card in report.cards]
    return Section("cards", "Model and data cards", tuple(blocks) or (Words("There are none."),))


def build_provenance(report: Report) -> Section:
    """What is needed to tell whether another report is of the same things; and every figure."""
    rows: list[tuple[str, str]] = [
        ("Report made", report.made),
        ("CAI Workbench", report.version),
    ]
    for number, one in enumerate(report.sides):
        rows.append(("Baseline" if number == 0 else "Candidate", f"{one.label}, run {one.run}"))
        rows += [(f"{one.label}: {what}", told) for what, told in _list_origins(one.metrics)]
    folds = [
        Fold(
            f"Every figure of {one.label}",
            (
                Table(
                    f"metrics.json of {one.run}",
                    ("Where", "Figure"),
                    tuple(list_figures(one.metrics)),
                ),
            ),
        )
        for one in report.sides
    ]
    return Section(
        "provenance",
        "Provenance",
        (Table("Where the figures come from", ("What", "Value"), tuple(rows)), *folds),
    )


def _show_calibrations(report: Report) -> Iterator[Block]:
    """The judges against people, or that nobody has read their judgements."""
    yield Heading("The judge against people")
    rows = [
        (
            name,
            one.question,
            f"{one.calibration.n}, {100 * one.blind:.0f} % blind",
            tell_rate(one.calibration.agreement),
            tell_kappa(one.calibration.kappa),
            tell_rate(one.calibration.found),
            tell_rate(one.calibration.false_alarms),
        )
        for name, found in report.calibrations.items()
        for one in found
    ]
    if rows:
        header = ("Judge", "Question", "n", "Same word", "Kappa", "Found", "False alarms")
        caption = "Judges and people on the same answers, comparisons and critiques"
        yield Table(caption, header, tuple(rows))
    for name, found in report.calibrations.items():
        if not found:
            yield Words(
                f"{name} is not calibrated against people yet: nobody has read what it judged."
            )


def _list_agreement(report: Report) -> Iterator[tuple[str, ...]]:
    for one in report.sides:
        for measure, told in one.metrics.get("agreement", {}).items():
            bias = told["bias"]
            yield (
                one.label,
                measure,
                str(told["n"]),
                tell_figure(told["agreement"]),
                str(told["judge_only"]),
                str(told["oracle_only"]),
                NONE if bias is None else f"{100 * bias:+.1f} points",
            )


def _show_constitution(one: UsedConstitution) -> Iterator[Block]:
    constitution = one.constitution
    yield Heading(constitution.name)
    yield Words(f"Version {constitution.hash}. Used by {', '.join(one.runs)}.", "quiet")
    if constitution.description:
        yield Words(constitution.description)
    yield Table(
        f"Principles of {constitution.name}",
        ("Id", "Principle", "Weight"),
        tuple(
            (
                principle.id,
                principle.text or principle.critique_request,
                f"{principle.weight:g}" if principle.enabled else "off",
            )
            for principle in constitution.principles
        ),
    )


def _list_quality(one: LabelQuality) -> Iterator[tuple[str, str]]:
    verdicts = ", ".join(f"{verdict.value} {count}" for verdict, count in one.verdicts.items())
    yield "labels", f"{one.n} ({verdicts})" if verdicts else str(one.n)
    yield "from", ", ".join(f"{who} {count}" for who, count in one.sources.items()) or NONE
    yield "right, where the truth is known", tell_rate(one.accuracy)
    yield "truth from", ", ".join(f"{who} {count}" for who, count in one.truths.items()) or NONE
    yield "could not be read", tell_rate(one.unparsed)
    yield "same place preferred in both orders", tell_rate(one.same_position)
    bias = one.position_bias
    told = NONE if bias is None else f"{bias:+.3f}, n = {one.both_orders}"
    yield "mean position bias, −1 to 1", told
    yield "nearly a tie", tell_rate(one.near_ties)
    yield "calibration error", tell_percent(one.calibration_error)
    yield "longer response preferred", tell_rate(one.length.longer)
    yield "longer response truly better", tell_rate(one.length.in_truth)


def _list_agreements(one: Agreement) -> Iterator[tuple[str, str]]:
    choices = ", ".join(f"{choice.value} {count}" for choice, count in one.choices.items())
    yield "votes", f"{one.choices.total()} on {one.comparisons} comparisons ({choices})"
    yield "same word as the AI label", tell_rate(one.rate)
    yield "kappa with the AI label", tell_kappa(one.kappa)
    for (first, second), (common, kappa) in one.pairs.items():
        yield f"kappa of {first} and {second}", f"{tell_kappa(kappa)} ({common} in common)"
    yield "comparisons in dispute", str(len(one.disputed))


def _list_origins(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    suite, model, judge = metrics["suite"], metrics["model"], metrics.get("judge")
    yield "suite", f"{suite['name']}@{suite['hash']}, {suite['prompts']} prompts"
    yield "model", _tell_model(model)
    yield "judge", NONE if judge is None else _tell_model(judge)
    if judge is not None:
        yield "rubric", f"{judge['rubric']}@{judge['rubric_hash']}, template {judge['template']}"
    sampling = ", ".join(f"{name} {value}" for name, value in metrics["sampling"].items())
    yield "sampling", f"{sampling}; {metrics['samples']} samples, seed {metrics['seed']}"
    for name in ("system_constitution", "constitution"):
        if told := metrics.get(name):
            yield name.replace("_", " "), f"{told['name']}@{told['hash']}"


def _tell_model(model: Mapping[str, Any]) -> str:
    engine = " ".join(str(model[key]) for key in ("engine", "engine_version") if model.get(key))
    told = f"{model['name']}, weights {model.get('weights_hash') or 'unknown'}"
    return f"{told}, {engine}" if engine else told
