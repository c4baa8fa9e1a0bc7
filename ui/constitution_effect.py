"""What each principle did: how often it was drawn, what came of it, and where to read that."""

from __future__ import annotations

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs.principle_study import (
    PrincipleEffect,
    PrincipleMeasure,
    PrincipleStudy,
    load_principle_study,
    measure_principles,
)
from cai_core.records import Constitution, Finding
from ui import services
from ui.constitution_address import build_key, describe_count
from ui.constitution_effect_chart import show_chart
from ui.constitution_effect_words import (
    STYLE,
    build_adherence,
    build_effect,
    describe_reviews,
    list_facts,
)
from ui.constitution_pager import show_part
from ui.explorer_links import CRITIQUES, PLAYGROUND, Place, show_link
from ui.look import build_error, escape
from ui.runs_words import build_facts, build_table

# Each has links of its own and is read closer.
_SHOWN = 20
_MOST_PAIRS = 20
_EVERY = "effect_every"
_LINKS = (
    ("found", Finding.FOUND, "found something", ":material/rate_review:"),
    ("not_touched", Finding.NOT_TOUCHED, "not touched", ""),
    ("unparsed", Finding.UNPARSED, "unparsed", ""),
)


def show_effect(text: Constitution) -> None:
    """Render the principles' effect, of this version's rounds or of every version's."""
    st.html(STYLE)
    every = st.toggle(
        "All versions",
        key=_EVERY,
        persist_state="session",
        help="Count the rounds of every version of this constitution, not of this text alone.",
    )
    try:
        study = load_principle_study(services.index(), text, all_versions=every)
        if not study.rounds:
            _show_nothing(text, every=every)
            return
        st.html(build_facts(list_facts(study)))
        st.html(f'<p class="cai-quiet">{escape(describe_reviews(study.reviews))}</p>')
        show_chart(study, f"effect_chart_{text.hash}_{every}")
        _show_principles(text, study, every=every)
    except CaiError as error:
        st.html(build_error("What the principles did cannot be told", str(error)))
        return
    _show_kappas(study)


def _show_nothing(text: Constitution, *, every: bool) -> None:
    words = "No round has drawn a principle of this constitution yet."
    if not every:
        words = "No round has drawn a principle of this version yet. “All versions” counts others’."
    st.html(f'<div class="cai-empty"><b>{escape(words)}</b></div>')
    place = Place(page=PLAYGROUND, params={"constitution": f"{text.name}@{text.hash}"})
    show_link(place, "Run a chain with it", icon=":material/play_circle:")


def _show_principles(text: Constitution, study: PrincipleStudy, *, every: bool) -> None:
    shown = show_part(f"effect_{text.hash}_{every}", study.effects, _SHOWN)
    drawn = [effect.principle for _, effect in shown if effect.drawn]
    measures = measure_principles(
        services.index(), services.workspace(), text, drawn, all_versions=every
    )
    for _, effect in shown:
        measure = measures.get(effect.principle, PrincipleMeasure())
        with st.container(gap="xsmall", key=build_key("effect_row", effect.principle)):
            st.html(build_effect(effect, measure))
            if effect.drawn:
                _links(text, effect, every=every)
                if measure.keeps is not None:
                    st.html(build_adherence(measure))
    if study.unnamed:
        words = f"{describe_count(study.unnamed, 'round')} of imported chains name no principle."
        st.html(f'<p class="cai-quiet">{escape(words)}</p>')


def _links(text: Constitution, effect: PrincipleEffect, *, every: bool) -> None:
    """The numbers, each of which leads to its rounds."""
    params = {"constitution": text.name, "principle": effect.principle}
    if not every:
        params["version"] = text.hash
    with st.container(
        horizontal=True, gap="small", key=build_key("effect_links", effect.principle)
    ):
        place = Place(page=CRITIQUES, params=params)
        show_link(place, describe_count(effect.drawn, "round"), icon=":material/gavel:")
        for name, finding, words, icon in _LINKS:
            rate = getattr(effect, name)
            count = 0 if rate is None else round(rate.rate * rate.n)
            if count:
                place = Place(page=CRITIQUES, params={**params, "finding": finding.value})
                show_link(place, f"{count:,} {words}", icon=icon)
        if effect.direct:
            place = Place(page=CRITIQUES, params={**params, "finding": "direct"})
            show_link(place, f"{effect.direct:,} without a critique")


def _show_kappas(study: PrincipleStudy) -> None:
    kappas = study.reviews.kappas
    if not kappas:
        return
    st.html('<h3 class="cai-part">Agreement between reviewers (Cohen’s kappa)</h3>')
    rows = [
        [*two, f"{kappa.kappa:.2f} ({kappa.low:.2f} to {kappa.high:.2f})", f"{kappa.n:,}"]
        for two, kappa in list(kappas.items())[:_MOST_PAIRS]
    ]
    st.html(build_table(["reviewer", "and", "kappa, 95 % interval", "critiques"], rows))
    if len(kappas) > _MOST_PAIRS:
        words = f"The {_MOST_PAIRS} pairs with most critiques in common, of {len(kappas):,}."
        st.html(f'<div class="cai-quiet">{words}</div>')
