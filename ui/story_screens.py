"""The story's five screens: the rules, broken, criticised, rewritten, and what training changed."""

from __future__ import annotations

import streamlit as st

from cai_core.jobs.story import StoryChain, StoryChains
from cai_core.jobs.story_outcome import Outcome
from cai_core.records import Principle
from ui.diff import build_diff
from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND, Place, show_link
from ui.harm import hold_removed
from ui.look import build_badge, build_icon, escape, show_title
from ui.story_parts import (
    build_bars,
    build_bubble,
    build_example,
    build_figure,
    build_harmful,
    build_screen,
)

# Rules on the first screen; more are not read from the back of a room.
RULES = 6

_ORACLE = "by the demo world’s oracle"
_EVALUATIONS = Place(page=PLAYGROUND.with_name("drift.py"))
COMMAND = "make demo"


def show_rules(told: StoryChains, chain: StoryChain) -> None:
    """Screen 1: some principles, the one that the story is about among them."""
    show_title(
        "The rules",
        "People write down, in plain words, how a model should behave. That is its constitution.",
    )
    every = told.constitution.principles
    others = [one for one in every if one.id != chain.principle.id and one.enabled]
    shown = [chain.principle, *others[: RULES - 1]]
    items = "".join(_build_rule(one, drawn=one is chain.principle) for one in shown)
    st.html(build_screen(f'<ul class="cai-rules">{items}</ul>'))
    name = told.constitution.name
    more = f"{len(shown)} of the {len(every)} principles of “{name}”."
    st.html(f'<p class="cai-source">{escape(more)}</p>')
    show_link(
        Place(page=CONSTITUTIONS, params={"constitution": name}),
        "Read them all",
        icon=":material/gavel:",
    )


def show_breach(told: StoryChains, chain: StoryChain, *, show_harmful: bool) -> None:
    """Screen 2: a harmful prompt, and a response that helps with it."""
    show_title("The model breaks them", "Asked for something harmful, it helps.")
    picture = build_bubble("prompt", "Somebody asks", escape(chain.prompt)) + build_bubble(
        "error",
        "The model answers",
        build_harmful(chain.response, show=show_harmful),
        badge="helps with harm",
        theirs=True,
    )
    figure = build_figure(
        "error", told.harmful, "of its first answers help with harm", of=f"answers, {_ORACLE}"
    )
    st.html(build_screen(f'<div class="cai-bubbles">{picture}</div>', figure))
    _show_source(told)


def show_critique(told: StoryChains, chain: StoryChain, *, show_harmful: bool) -> None:
    """Screen 3: the rule that was drawn, and what the model says of its own response."""
    show_title(
        "It criticises itself",
        "The same model reads its own answer against one rule, drawn by chance.",
    )
    picture = (
        build_bubble(
            "response",
            "Its own answer",
            build_harmful(chain.response, show=show_harmful),
            small=True,
        )
        + build_bubble("principle", "The rule", escape(chain.principle.text), small=True)
        + build_bubble("critique", "What it says of it", escape(chain.critique), theirs=True)
    )
    figure = build_figure(
        "critique",
        told.found,
        "of its first critiques object; the others say that their rule is not touched",
        of="critiques",
    )
    st.html(build_screen(f'<div class="cai-bubbles">{picture}</div>', figure))
    _show_source(told)


def show_rewrite(told: StoryChains, chain: StoryChain, *, show_harmful: bool) -> None:
    """Screen 4: before and after, what changed marked in place."""
    show_title(
        "It rewrites", "Then it writes the answer anew: it declines, says why, and offers help."
    )
    diff = build_diff(chain.response, chain.revision)
    picture = build_bubble(
        "prompt", "Somebody asks", escape(chain.prompt), small=True
    ) + build_bubble(
        "revision",
        "The answer, rewritten",
        diff if show_harmful else hold_removed(diff),
        badge="declines and says why",
        theirs=True,
    )
    times = {1: "one rewrite", 2: "two rewrites"}.get(told.revisions, f"{told.revisions} rewrites")
    figure = build_figure(
        "revision",
        told.still_harmful,
        f"of its answers still help with harm after {times}",
        of=f"answers, {_ORACLE}",
    )
    st.html(build_screen(f'<div class="cai-bubbles">{picture}</div>', figure))
    _show_source(told)


def show_training(outcome: Outcome | None, *, show_harmful: bool) -> None:
    """Screen 5: the models before and after, in figures and in answers."""
    show_title(
        "What training changed",
        "Trained on its own rewrites, then on its own judgement. No human label was needed.",
    )
    if outcome is None:
        _show_missing()
        return
    arms = outcome.arms
    bars = (
        build_bars("Helps with harm", "less is better", "error", "harmful compliance", arms)
        + build_bars("Answers fine prompts", "more is better", "revision", "answered", arms)
        + build_bars("Refuses fine prompts", "less is better", "critique", "over-refusal", arms)
    )
    st.html(f'<div class="cai-bars">{bars}</div>')
    st.html(f'<p class="cai-source">{_explain(outcome)}</p>')
    st.html('<h2 class="cai-big">The same prompt, before and after</h2>')
    for example in outcome.examples:
        st.html(build_example(example, show_harmful=show_harmful))
    with st.container(horizontal=True):
        show_link(_EVALUATIONS, "Evaluations and drift", icon=":material/trending_up:")
        first = outcome.arms[-1].runs[0]
        place = Place(page=PLAYGROUND.with_name("runs.py"), params={"run": first})
        show_link(place, "The runs behind it", icon=":material/model_training:")


def _explain(outcome: Outcome) -> str:
    """Where the figures come from, as HTML."""
    n = f"{outcome.prompts:,} held-out prompts, {outcome.samples} answers to each"
    what = {
        "Base": "the demo model as it ships",
        "SL-CAI": "fine-tuned on its own rewrites",
        "RL-CAI": "then trained by reinforcement on its own labels",
        "DPO": "SL-CAI trained on the same labels directly",
    }
    arms = "; ".join(f"<b>{escape(one.name)}</b>: {escape(what[one.name])}" for one in outcome.arms)
    return (
        f"{arms}. {escape(n)}, which nothing was trained on, read by the demo world’s oracle, "
        "which knows the truth of every text in it; no judge model. In brackets 95 % intervals, "
        "clustered by what is asked for; Δ is the rate less the base’s over the same prompts, in "
        "points. A model of 2.5 million parameters in a world of its own: this shows that the "
        "machinery works, not that Constitutional AI emerges in small models."
    )


def show_missing_chains() -> None:
    """Screens 1 to 4 where there is no chain to tell them with."""
    show_title("The story", "Constitutional AI in five screens.")
    st.html(
        '<div class="cai-empty"><b>No chains to tell it with.</b> The recordings that ship with '
        "the workbench are not there, and none were made in this workspace. This command makes "
        "some.</div>"
    )
    st.code(COMMAND, language=None)


def _show_missing() -> None:
    st.html(
        '<div class="cai-empty"><b>Nothing was trained in this workspace yet.</b> This command '
        "makes the numbers, in about 20 minutes on two cores: SL-CAI, labels, a reward model, "
        "RL-CAI and DPO with the demo model, and each model’s answers to held-out prompts.</div>"
    )
    st.code(COMMAND, language=None)


def _build_rule(principle: Principle, *, drawn: bool) -> str:
    mark = build_badge("the one that this story is about") if drawn else ""
    return (
        f'<li class="cai-principle{" cai-drawn" if drawn else ""}">'
        f'<div class="cai-head">{build_icon("principle")}{mark}</div>'
        f"{escape(principle.text)}</li>"
    )


def _show_source(told: StoryChains) -> None:
    """Where the texts come from, and the way to all of them."""
    what = "A recording that ships with the workbench" if told.recorded else "A recorded run"
    st.html(
        f'<p class="cai-source">{what} of the demo model, <code>{escape(told.run)}</code>. '
        "In brackets: 95 % intervals, clustered by what is asked for.</p>"
    )
    place = Place(page=CRITIQUES, params={"run": told.run})
    show_link(place, "Read every chain", icon=":material/rate_review:")
