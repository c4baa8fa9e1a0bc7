"""The labels page's words and style."""

from __future__ import annotations

from dataclasses import dataclass

from cai_core.evaluation.kappa import Kappa
from cai_core.evaluation.label_quality import LabelQuality
from cai_core.evaluation.label_traits import NEAR_TIE, LabelFilter
from cai_core.evaluation.metrics import Rate
from cai_core.records import Verdict
from ui.constitution_address import describe_count
from ui.look import build_badge, escape

STYLE = """<style>
.cai-label { --cai: light-dark(#6d28d9, #c4b5fd); }
.st-key-label_figures { display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.5rem), 1fr)); }
.st-key-label_figures > * { min-width: 0; }
.cai-round-meta .cai-badge { display: inline-block; }
[class*="st-key-figure_"] { border: 1px solid light-dark(#d6dae3, #343948); border-radius: 0.5rem;
  padding: 0.6rem 0.9rem 0.4rem; background: light-dark(#ffffff, #171a23); }
[class*="st-key-figure_"] button { min-height: 1.75rem; padding: 0; }
[class*="st-key-figure_"] button, [class*="st-key-figure_"] button *,
.st-key-labels_principles button, .st-key-labels_principles button * {
  justify-content: flex-start; text-align: left; overflow-wrap: anywhere; }
.cai-figure { display: grid; gap: 0.1rem; }
.cai-figure b { font-size: 1.5rem; line-height: 1.2; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.cai-figure span { font-weight: 600; font-size: 0.875rem; }
.cai-figure small { color: light-dark(#5b6270, #a3aab8); font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.st-key-labels_runs > :not(:last-child),
.st-key-labels_selects > * { flex: 1 1 11rem; min-width: 0; }
.st-key-labels_charts > * { flex: 1 1 19rem; min-width: 0; }
.st-key-labels_principles button { min-height: 1.6rem; padding: 0; }
[class*="st-key-principle_row"] { border-bottom: 1px solid light-dark(#e6e9f0, #2a2f3d);
  padding-bottom: 0.2rem; }
[class*="st-key-principle_row"] > :first-child { flex: 1 1 12rem; min-width: 0; }
[class*="st-key-principle_row"] > :nth-child(2) { flex: 3 1 20rem; min-width: 0; }
[class*="st-key-principle_row"] > :nth-child(3) { flex: 0 1 8rem; min-width: 0; }
.cai-cells { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 0.9rem;
  font-variant-numeric: tabular-nums; }
.cai-cells > span { flex: 1 1 4.5rem; min-width: 0; }
.cai-cells > .cai-wide { flex: 2 1 10.5rem; }
.cai-cells small { color: light-dark(#5b6270, #a3aab8); }
.cai-pair { display: grid; gap: 0.75rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.cai-pair > * { min-width: 0; }
h2.cai-part { font-size: 1.05rem; font-weight: 600; margin: 0.75rem 0 0; padding: 0; }
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that matters.

    Attributes:
        key: of its box. note: interval and n, small below it.
        chosen: the labels that it is about; None where it has no examples.
        count: how many those are.
    """

    key: str
    name: str
    value: str
    note: str
    chosen: LabelFilter | None = None
    count: int = 0


def list_figures(quality: LabelQuality, *, beside: bool, several: bool) -> list[Figure]:
    """The page's head, without the counts of examples.

    Args:
        beside: whether another run is compared with.
        several: whether several principles were asked about the same comparisons.
    """
    q, verdicts = quality, quality.verdicts
    told = f"A {verdicts[Verdict.A]:,} · B {verdicts[Verdict.B]:,} · tie {verdicts[Verdict.TIE]:,}"
    no_truth = "no person’s label of these comparisons, and outside the demo world"
    by = {"person": "people", "oracle": "the oracle"}
    truths = " · ".join(f"{count:,} by {by[one]}" for one, count in sorted(q.truths.items()))
    truths = f"by {by[next(iter(q.truths))]}" if len(q.truths) == 1 else truths
    figures = [
        _figure("labels", "Labels", f"{q.n:,}", told, LabelFilter()),
        _rate("unparsed", "Unparsed", q.unparsed, LabelFilter(verdict=Verdict.UNPARSED.value)),
        _rate(
            "accuracy",
            "Agrees with the truth",
            q.accuracy,
            LabelFilter(only=("wrong",)),
            more=truths,
            empty=no_truth,
        ),
        _rate("decided", "… where the truth is A or B", q.accuracy_decided, None),
        _rate("ties", "… where the truth is a tie", q.accuracy_ties, None),
        _rate(
            "position",
            "Same position in both orders",
            q.same_position,
            LabelFilter(only=("same-position",)),
            empty="no label is decided in both orders",
        ),
        _figure(
            "bias",
            "Mean position bias",
            "–" if q.position_bias is None else f"{q.position_bias:+.3f}",
            f"n = {q.both_orders:,} in both orders; 0 is none, +1 always the first",
        ),
        _rate(
            "near",
            "Near-ties",
            q.near_ties,
            LabelFilter(only=("near-tie",)),
            more=f"|p − ½| below {NEAR_TIE}",
        ),
        _rate(
            "longer",
            "Longer response preferred",
            q.length.longer,
            LabelFilter(only=("longer",)),
            more=_describe_length(q),
        ),
    ]
    if several:
        least = min(q.principle_kappas.values(), key=lambda one: one.kappa, default=None)
        name = "Least kappa of two principles"
        figures.append(_kappa("principles", name, least, LabelFilter(only=("principles-differ",))))
    if beside:
        name = "Kappa with the other run"
        chosen = LabelFilter(only=("runs-differ",))
        figures.append(_kappa("runs", name, q.other_kappa, chosen))
    return figures


def build_figure(figure: Figure) -> str:
    """A number with its name above and its interval below, as HTML."""
    return (
        f'<div class="cai-figure"><span>{escape(figure.name)}</span><b>{escape(figure.value)}</b>'
        f"<small>{escape(figure.note)}</small></div>"
    )


def describe_rate(rate: Rate | None) -> str:
    """`88.5 % (85.6–90.9, n = 575)`; a dash where there is nothing to count."""
    if rate is None:
        return "–"
    return f"{_percent(rate.rate)} ({100 * rate.low:.1f}–{100 * rate.high:.1f}, n = {rate.n:,})"


def build_verdict(verdict: Verdict) -> str:
    """A verdict as a badge."""
    words = {
        Verdict.A: "A preferred",
        Verdict.B: "B preferred",
        Verdict.TIE: "tie",
        Verdict.UNPARSED: "unparsed",
    }
    quiet = verdict in (Verdict.TIE, Verdict.UNPARSED)
    return build_badge(words[verdict], quiet=quiet, dashed=verdict is Verdict.UNPARSED)


def summarize(quality: LabelQuality) -> str:
    """A run's labels in one line."""
    parts = [describe_count(quality.n, "label")]
    if quality.unparsed is not None:
        parts.append(f"{_percent(quality.unparsed.rate)} unparsed")
    if quality.same_position is not None:
        parts.append(f"{_percent(quality.same_position.rate)} prefer the same position")
    if quality.accuracy is not None:
        parts.append(f"agree with the truth: {describe_rate(quality.accuracy)}")
    else:
        parts.append("no truth to compare with")
    return ", ".join(parts)


def list_measured(quality: LabelQuality) -> list[tuple[str, object]]:
    """What a data card says of these labels beside their counts."""
    kappa = quality.other_kappa
    error = quality.calibration_error
    return [
        ("unparsed, of those asked of the feedback model", describe_rate(quality.unparsed)),
        (f"near-ties (probability within {NEAR_TIE} of even)", describe_rate(quality.near_ties)),
        ("agreement with the truth, where there is one", describe_rate(quality.accuracy)),
        ("calibration error", "–" if error is None else f"{error:.3f}"),
        ("longer response preferred", describe_rate(quality.length.longer)),
        *([("kappa with the other run", str(kappa))] if kappa else []),
    ]


def _describe_length(quality: LabelQuality) -> str:
    length = quality.length
    told = []
    if length.in_truth is not None:
        told.append(f"in truth {_percent(length.in_truth.rate)}")
    if length.correlation is not None:
        told.append(f"correlation {length.correlation:+.2f}")
    return " · ".join(told)


def _rate(
    key: str,
    name: str,
    rate: Rate | None,
    chosen: LabelFilter | None,
    *,
    more: str = "",
    empty: str = "nothing to count",
) -> Figure:
    if rate is None:
        return _figure(key, name, "–", empty)
    note = f"{100 * rate.low:.1f}–{100 * rate.high:.1f} %, n = {rate.n:,}"
    return _figure(key, name, _percent(rate.rate), f"{note} · {more}" if more else note, chosen)


def _kappa(key: str, name: str, kappa: Kappa | None, chosen: LabelFilter) -> Figure:
    if kappa is None:
        words = "no comparison in common, or all verdicts are one word"
        return _figure(key, name, "–", words)
    note = f"{kappa.low:.2f} to {kappa.high:.2f}, n = {kappa.n:,} · agreed {_percent(kappa.agreed)}"
    return _figure(key, name, f"{kappa.kappa:.2f}", note, chosen)


def _figure(
    key: str, name: str, value: str, note: str, chosen: LabelFilter | None = None
) -> Figure:
    return Figure(key=key, name=name, value=value, note=note, chosen=chosen)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
