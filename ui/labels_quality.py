"""The labels page's first view: numbers and charts, each of which leads to its examples."""

from __future__ import annotations

import streamlit as st

from cai_core.evaluation.label_quality import LabelQuality, PrincipleQuality
from cai_core.evaluation.label_traits import LabelFilter, select_labels
from cai_core.jobs.label_study import LabelStudy
from ui.constitution_address import build_key
from ui.labels_address import show_examples
from ui.labels_charts import show_charts
from ui.labels_votes import show_votes
from ui.labels_words import Figure, build_figure, describe_rate, list_figures
from ui.look import build_card, escape, escape_markdown
from ui.runs_words import build_table

# More principles, or pairs of them, than anybody reads down; the filter has them all.
_MOST_PRINCIPLES, _MOST_PAIRS = 40, 40
# A share with its interval.
_WIDE = ' class="cai-wide"'


def show_quality(study: LabelStudy, *, beside: str) -> None:
    """Render the view.

    Args:
        beside: id of the run that it is compared with, or empty.
    """
    for words in study.unread:
        st.html(build_card("note", "Left out", escape(words)))
    listed, study = study, show_votes(study)
    # The list of comparisons goes by the truths that the page came with.
    led = study is listed
    quality = study.quality
    several = any(one.by_principle for one in study.examined)
    with st.container(horizontal=True, key="label_figures"):
        for figure in list_figures(quality, beside=bool(beside), several=several):
            _show_figure(study, figure, led=led)
    show_charts(quality, study.run.run_id)
    _show_principles(study, quality, led=led)
    if quality.principle_kappas:
        _show_kappas(quality)


def _show_figure(study: LabelStudy, figure: Figure, *, led: bool) -> None:
    with st.container(gap=None, key=f"figure_{figure.key}"):
        st.html(build_figure(figure))
        if figure.chosen is None:
            return
        count = len(select_labels(study.examined, figure.chosen))
        words = f"Show the {count:,}"
        if figure.chosen.only == ("wrong",):
            words = f"Show the {count:,} that disagree"
        elif "differ" in "".join(figure.chosen.only):
            words = f"Show the {count:,} that differ"
        st.button(
            words if count else "No examples",
            key=f"examples_{figure.key}",
            type="tertiary",
            disabled=not count or ("wrong" in figure.chosen.only and not led),
            on_click=show_examples,
            args=(figure.chosen,),
        )


def _show_principles(study: LabelStudy, quality: LabelQuality, *, led: bool) -> None:
    if not quality.principles:
        return
    st.html('<h2 class="cai-part">By principle</h2>')
    texts = {principle.id: principle.text for principle in study.constitution.principles}
    with st.container(key="labels_principles", gap="xsmall"):
        for one in quality.principles[:_MOST_PRINCIPLES]:
            with st.container(horizontal=True, key=build_key("principle_row", one.principle)):
                st.button(
                    escape_markdown(one.principle),
                    key=build_key("principle", one.principle),
                    type="tertiary",
                    icon=":material/gavel:",
                    help=escape_markdown(texts.get(one.principle, "")) or None,
                    on_click=show_examples,
                    args=(LabelFilter(principle=one.principle),),
                )
                st.html(_build_principle(one))
                chosen = LabelFilter(principle=one.principle, only=("wrong",))
                wrong = len(select_labels(study.examined, chosen))
                st.button(
                    f"{wrong:,} disagree",
                    key=build_key("principle_wrong", one.principle),
                    type="tertiary",
                    disabled=not (wrong and led),
                    on_click=show_examples,
                    args=(chosen,),
                )
    if (more := len(quality.principles) - _MOST_PRINCIPLES) > 0:
        st.html(f'<div class="cai-quiet">and {more} more; choose one in the list’s filter</div>')


def _build_principle(one: PrincipleQuality) -> str:
    sure = "–" if one.confidence is None else f"{0.5 + one.confidence:.2f}"
    cells = {
        "labels": f"{one.n:,}",
        "agrees with the truth": describe_rate(one.accuracy),
        "ties": describe_rate(one.ties),
        "unparsed": f"{one.unparsed:,}",
        "confidence": sure,
    }
    told = "".join(
        f"<span{_WIDE if '(' in value else ''}><small>{escape(name)}</small><br>"
        f"{escape(value)}</span>"
        for name, value in cells.items()
    )
    return f'<div class="cai-cells">{told}</div>'


def _show_kappas(quality: LabelQuality) -> None:
    st.html('<h2 class="cai-part">Agreement between principles (Cohen’s kappa)</h2>')
    ranked = sorted(quality.principle_kappas.items(), key=lambda one: one[1].kappa)
    rows = [
        [*two, f"{kappa.kappa:.2f} ({kappa.low:.2f} to {kappa.high:.2f})", f"{kappa.n:,}"]
        for two, kappa in ranked[:_MOST_PAIRS]
    ]
    st.html(build_table(["principle", "and", "kappa", "n"], rows))
    if len(ranked) > _MOST_PAIRS:
        words = f"The {_MOST_PAIRS} that agree least, of {len(ranked):,} pairs."
        st.html(f'<div class="cai-quiet">{words}</div>')
