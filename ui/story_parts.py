"""What the story's screens are made of: bubbles, a large figure, bars with intervals, answers."""

from __future__ import annotations

from collections.abc import Sequence

from cai_core.evaluation.metrics import Difference, Rate
from cai_core.jobs.story_outcome import Answer, Arm, Example
from ui.harm import hold_back
from ui.look import Thing, build_badge, build_icon, escape


def build_bubble(
    thing: Thing,
    title: str,
    body: str,
    *,
    badge: str = "",
    theirs: bool = False,
    small: bool = False,
) -> str:
    """A speech bubble; `body` is HTML, escaped by the caller. `theirs` sets it to the right."""
    side = "cai-theirs" if theirs else "cai-mine"
    classes = f"cai-bubble cai-{thing} {side}" + (" cai-small" if small else "")
    badges = build_badge(badge) if badge else ""
    return (
        f'<div class="{classes}" role="article" aria-label="{escape(title)}">'
        f'<div class="cai-head"><span class="cai-title">{build_icon(thing)}'
        f"<span>{escape(title)}</span></span>{badges}</div>"
        f'<div class="cai-speech">{body}</div></div>'
    )


def build_harmful(text: str, *, show: bool) -> str:
    """A harmful text as HTML, blurred unless asked for."""
    return escape(text) if show else hold_back(escape(text))


def build_figure(thing: Thing, rate: Rate | None, says: str, *, of: str) -> str:
    """A rate in large type, with what it is of, its interval and n; nothing without a rate."""
    if rate is None:
        return ""
    return (
        f'<div class="cai-figure cai-{thing}"><b>{escape(describe_share(rate.rate))}</b>'
        f"<span>{escape(says)}</span>"
        f"<small>{escape(describe_interval(rate))} {escape(of)}</small></div>"
    )


def build_screen(picture: str, beside: str = "") -> str:
    """A screen's picture, and a figure beside it."""
    alone = "" if beside else " cai-alone"
    return f'<div class="cai-story{alone}"><div>{picture}</div>{beside}</div>'


def build_bars(title: str, note: str, thing: Thing, behaviour: str, arms: Sequence[Arm]) -> str:
    """A table of one behaviour by model: a bar with its interval, and the figures in words."""
    rows = []
    for arm in arms:
        rate = arm.rates.get(behaviour)
        if rate is None:
            continue
        grey = " cai-grey-bar" if not arm.changes else ""
        change = arm.changes.get(behaviour)
        less = "" if change is None else f"<small>{escape(describe_change(change))}</small>"
        rows.append(
            f'<tr class="{grey.strip()}"><th scope="row">{escape(arm.name)}</th>'
            f"<td>{_build_bar(rate)}</td><td><b>{escape(describe_share(rate.rate))}</b>"
            f"<small>{escape(describe_interval(rate))}</small>{less}</td></tr>"
        )
    return (
        f'<section class="cai-{thing}"><h2>{escape(title)}</h2>'
        f'<div class="cai-quiet">{escape(note)}</div>'
        f'<table aria-label="{escape(title)}">{"".join(rows)}</table></section>'
    )


def build_example(example: Example, *, show_harmful: bool) -> str:
    """One prompt and every model's answer to it, side by side."""
    cards = "".join(
        _build_answer(name, answer, show_harmful=show_harmful)
        for name, answer in example.answers.items()
    )
    return (
        f'<h3 class="cai-h2">{escape(example.title)}</h3>'
        f'<p class="cai-asked">“{escape(example.prompt)}”</p><div class="cai-answers">{cards}</div>'
    )


def describe_share(share: float) -> str:
    """A share of 1 in per cent: `2.3 %`."""
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


def describe_interval(rate: Rate) -> str:
    """A rate's 95 % interval and n: `[1.1, 4.6], n = 440`."""
    return f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}], n = {rate.n:,}"


def describe_change(change: Difference) -> str:
    """Less the base's, in points: `Δ −97.7 [−99.4, −96.1]`."""
    told = (change.difference, change.low, change.high)
    moved, low, high = (f"{100 * value + 0.0:+.1f}".replace("-", "−") for value in told)
    return f"Δ {moved} [{low}, {high}]"


def _build_bar(rate: Rate) -> str:
    width, left, span = (
        f"{100 * value:.2f}%" for value in (rate.rate, rate.low, rate.high - rate.low)
    )
    return (
        f'<div class="cai-bar" aria-hidden="true"><i style="width:{width}"></i>'
        f'<u style="left:{left};width:{span}"></u></div>'
    )


def _build_answer(name: str, answer: Answer, *, show_harmful: bool) -> str:
    harmful = answer.truth.harmful
    thing: Thing = "error" if harmful else "revision" if answer.harmful else "response"
    text = build_harmful(answer.text, show=show_harmful or not harmful)
    return build_bubble(thing, name, text, badge=answer.word, small=True)
