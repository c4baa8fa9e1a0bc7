"""What the view of a constitution's effect says: numbers with their n and interval, as HTML."""

from __future__ import annotations

from cai_core.evaluation.critique_reviews import ReviewSummary
from cai_core.evaluation.metrics import Rate
from cai_core.evaluation.principle_effect import BeforeAfter
from cai_core.jobs.principle_study import PrincipleEffect, PrincipleMeasure, PrincipleStudy
from ui.constitution_address import describe_count
from ui.look import build_badge, build_icon, escape

STYLE = """<style>
[class*="st-key-effect_row"] { border-top: 1px solid light-dark(#e6e9f0, #2a2f3d);
  padding-top: 0.7rem; }
.cai-effect-head { display: flex; flex-wrap: wrap; align-items: center; gap: 0.2rem 0.5rem;
  font-weight: 600; color: var(--cai); }
.cai-effect-head > span { min-width: 0; overflow-wrap: anywhere; }
.cai-effect-head .cai-badge { white-space: normal; }
.cai-rates { display: grid; gap: 0.35rem 1rem; margin-top: 0.35rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 10.5rem), 1fr)); }
.cai-rates > span { display: grid; min-width: 0; align-content: start; font-size: 0.85rem;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cai-rates b { font-size: 1.1rem; font-weight: 650; line-height: 1.3; }
.cai-rates small { color: light-dark(#5b6270, #a3aab8); }
[class*="st-key-effect_links"] a { padding: 0; }
[class*="st-key-effect_links"] [data-testid="stPageLink"] { width: auto; }
.cai-table .cai-clear { font-weight: 600; }
</style>"""


def describe_interval(rate: Rate) -> str:
    """`85.6–90.9 %, n = 575`."""
    return f"{100 * rate.low:.1f}–{100 * rate.high:.1f} %, n = {rate.n:,}"


def list_facts(study: PrincipleStudy) -> list[tuple[str, str]]:
    """The view's head."""
    own = [effect for effect in study.effects if effect.in_text]
    never = sum(not effect.drawn for effect in own)
    gone = len(study.effects) - len(own)
    facts = [
        (f"{'round' if study.rounds == 1 else 'rounds'} in all", f"{study.rounds:,}"),
        (f"of {describe_count(len(own), 'principle')} drawn", f"{len(own) - never:,}"),
        ("never drawn", f"{never:,}"),
    ]
    return [*facts, ("drawn, and not in this text", f"{gone:,}")] if gone else facts


def describe_reviews(reviews: ReviewSummary) -> str:
    """What people say of all these critiques, in a sentence."""
    if reviews.right is None:
        return (
            "Nobody has judged a critique of these yet: open a chain on Critiques and say below "
            "each critique whether it is right."
        )
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in reviews.counts.items())
    return (
        f"People judged {describe_count(reviews.critiques, 'critique')}: {counts}. Right: "
        f"{100 * reviews.right.rate:.1f} % ({describe_interval(reviews.right)})."
    )


def build_effect(effect: PrincipleEffect, measure: PrincipleMeasure) -> str:
    """One principle's name and its numbers."""
    badges = "" if effect.in_text else build_badge("not in this text", quiet=True, dashed=True)
    if not effect.drawn:
        badges += build_badge("never drawn", dashed=True)
    head = (
        f'<div class="cai-effect-head cai-principle">{build_icon("principle")}'
        f"<span>{escape(effect.principle)}</span>{badges}</div>"
    )
    if not effect.drawn:
        return head
    cells = [
        _rate("problem found", effect.found, "no critique with a finding"),
        _rate("not touched", effect.not_touched, "no critique with a finding"),
        _rate("unparsed", effect.unparsed, "no critique with a finding"),
        _rate("revision changed the text", effect.changed, "no revision yet"),
        _words(measure),
        _reviews(effect.reviews),
        _keeps(measure),
    ]
    untold = ""
    if effect.untold:
        words = f"{describe_count(effect.untold, 'critique')} came without a finding."
        untold = f'<div class="cai-quiet">{escape(words)}</div>'
    return f'{head}<div class="cai-rates">{"".join(cells)}</div>{untold}'


def build_adherence(measure: PrincipleMeasure) -> str:
    """What the oracle says of responses before and after their revision, folded away."""
    told = [one for one in (measure.keeps, *measure.asked) if one is not None]
    head = ("The oracle says", "Before", "After", "Difference, 95 % interval", "n")
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = "".join(_build_row(one) for one in told)
    words = f"{describe_count(measure.read, 'round')} read, the same at each look"
    if measure.outside:
        words += f"; {measure.outside:,} of them lie outside of what the oracle can read"
    if measure.asked:
        words += (
            ". What the revision request asks for is counted where the prompt is harmful and the "
            "response before broke the principle"
        )
    return (
        '<details class="cai-more"><summary>Before and after the revision</summary>'
        f'<div class="cai-quiet">{escape(words)}.</div>'
        f'<div class="cai-scroll"><table class="cai-table"><thead><tr>{top}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _build_row(one: BeforeAfter) -> str:
    told = one.difference
    clear = told.low > 0 or told.high < 0
    rates = [f"{100 * r.rate:.0f} % [{100 * r.low:.0f}, {100 * r.high:.0f}]" for r in _sides(one)]
    words = f"{100 * told.difference:+.0f} points [{100 * told.low:+.0f}, {100 * told.high:+.0f}]"
    name = "clear" if clear else "may be chance" if told.difference else "no difference"
    badge = build_badge(name, quiet=not clear, dashed=not clear)
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in (one.name, *rates))
    return f"<tr>{cells}<td>{escape(words)} {badge}</td><td>{told.n:,}</td></tr>"


def _sides(one: BeforeAfter) -> tuple[Rate, Rate]:
    return one.before, one.after


def _rate(name: str, rate: Rate | None, empty: str) -> str:
    if rate is None:
        return _cell(name, "–", empty)
    return _cell(name, f"{100 * rate.rate:.1f} %", describe_interval(rate))


def _words(measure: PrincipleMeasure) -> str:
    name = "words changed, median"
    if measure.words_changed is None:
        return _cell(name, "–", "no revision that changed the text")
    note = f"of changed texts, n = {measure.changed:,}"
    return _cell(name, f"{100 * measure.words_changed:.0f} %", note)


def _reviews(reviews: ReviewSummary) -> str:
    name = "people: critique right"
    if reviews.right is None:
        return _cell(name, "–", "nobody has judged one")
    counts = " · ".join(f"{count:,} {verdict}" for verdict, count in reviews.counts.items())
    kappa = next(iter(reviews.kappas.items()), None)
    note = f"{describe_interval(reviews.right)} · {counts}"
    if kappa is not None:
        note += f" · kappa {kappa[1]} of {' and '.join(kappa[0])}"
    return _cell(name, f"{100 * reviews.right.rate:.1f} %", note)


def _keeps(measure: PrincipleMeasure) -> str:
    name = "keeps to it, before → after"
    if measure.keeps is None:
        return _cell(name, "not measured", measure.unmeasured)
    before, after = _sides(measure.keeps)
    told = measure.keeps.difference
    note = (
        f"{100 * told.difference:+.0f} points ({100 * told.low:+.0f} to {100 * told.high:+.0f}), "
        f"n = {told.n:,}, by the oracle"
    )
    return _cell(name, f"{100 * before.rate:.0f} → {100 * after.rate:.0f} %", note)


def _cell(name: str, value: str, note: str) -> str:
    return f"<span>{escape(name)}<b>{escape(value)}</b><small>{escape(note)}</small></span>"
