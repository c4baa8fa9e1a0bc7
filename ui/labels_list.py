"""The labels page's second view: the comparisons that a filter asks for, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import streamlit as st

from cai_core.evaluation.label_traits import TRAITS, ExaminedLabel, LabelFilter, select_labels
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import PromptKind
from cai_core.workspace.index.prepare_labels import TRAITS as INDEXED
from ui.constitution_address import describe_count
from ui.explorer_fields import MAX_VALUE
from ui.explorer_links import PREFERENCES, Place, go_button
from ui.explorer_parts import build_excerpt, build_principle, build_row
from ui.harm import show_harmful_toggle
from ui.labels_address import (
    LABEL,
    PAGE,
    WORDS,
    build_label_params,
    go_to,
    read_page,
    show_examples,
)
from ui.labels_export import show_export
from ui.labels_words import build_verdict
from ui.look import build_badge, escape

PAGE_SIZE = 25
_SELECTS = {
    "verdict": "Verdict",
    "principle": "Principle",
    "source": "Labelled by",
    "kind": "Prompt kind",
}
# What the other badges say already, or the texts themselves.
_TOLD = ("truth", "wrong", "longer", "shorter")


def show_list(study: LabelStudy, chosen: LabelFilter) -> None:
    """Render the filter, what it finds, and the export of it."""
    _show_filter(study, chosen)
    found = select_labels(study.examined, chosen)
    pages = max(1, -(-len(found) // PAGE_SIZE))
    page = read_page(pages)
    first = (page - 1) * PAGE_SIZE
    some = found[first : first + PAGE_SIZE]
    with st.container(horizontal=True, vertical_alignment="center", key="labels_head"):
        where = f"{first + 1:,} to {first + len(some):,} of " if pages > 1 else ""
        words = f"{where}{describe_count(len(found), 'label')}"
        st.html(f'<div class="cai-quiet cai-total" role="status">{words}</div>')
        show_harmful = show_harmful_toggle()
        show_export(study, found, chosen)
        params = {"run": study.run.run_id, **build_shared_params(chosen)}
        place = Place(page=PREFERENCES, params=params)
        icon = ":material/compare_arrows:"
        go_button(place, "In Preferences", key="labels_in_preferences", icon=icon)
    if not found:
        st.html('<div class="cai-empty"><b>No label matches these filters.</b></div>')
        _show_clear("labels_empty", primary=True)
    for one in some:
        with st.container(horizontal=True, wrap=False, key=f"round_label_{one.place}"):
            st.html(build_label(one, show_harmful=show_harmful))
            st.button(
                "Open label",
                key=f"open_label_{one.place}",
                icon=":material/right_panel_open:",
                on_click=go_to,
                args=(LABEL, one.label.comparison_id),
            )
    if pages > 1:
        # A key for each page: the address says where it stands, whatever was pressed before.
        key = f"labels_page_{page}"
        st.pagination(pages, default=page, key=key, on_change=_turn, args=(key,))


def build_label(one: ExaminedLabel, *, show_harmful: bool) -> str:
    """One comparison as HTML: what was asked, both responses, and what is preferred."""
    label = one.label
    blurred = is_held(one) and not show_harmful
    texts = "".join(
        build_excerpt("response", f"Response {name}", text, blurred=blurred)
        for name, text in (("A", label.response_a), ("B", label.response_b))
    )
    return build_row("Comparison", label.conversation[-1].content, build_facts(one), texts)


def build_facts(one: ExaminedLabel) -> str:
    """Verdict, probability, truth, kind and principles as badges and words."""
    label = one.label
    badges = [f'<span class="cai-label">{build_verdict(label.verdict)}</span>']
    if label.prob_a is not None:
        badges.append(f"<span>P(A) {label.prob_a:.3f}</span>")
    if one.truth is not None:
        by = "a person" if one.truth.by == "person" else "the oracle"
        word = {"tie": "a tie"}.get(one.truth.verdict.value, one.truth.verdict.value)
        badge = build_badge(f"{by} says {word}", quiet="wrong" not in one.traits)
        thing = "error" if "wrong" in one.traits else "response"
        badges.append(f'<span class="cai-{thing}" style="color: var(--cai)">{badge}</span>')
    badges += [
        build_badge(trait.replace("-", " "), quiet=True)
        for trait in TRAITS
        if trait in one.traits and trait not in _TOLD
    ]
    badges.append(build_badge(WORDS["kind"][label.prompt_kind], quiet=True))
    if label.label_source != "feedback-model":
        badges.append(build_badge(WORDS["source"][label.label_source].lower()))
    return "".join(badges) + build_principle(", ".join(label.principle_ids))


def build_shared_params(chosen: LabelFilter) -> dict[str, str]:
    """The address of Preferences that asks for these labels, as far as it knows their traits."""
    known = tuple(trait for trait in chosen.only if trait in INDEXED)
    return build_label_params(replace(chosen, only=known))


def is_held(one: ExaminedLabel) -> bool:
    """Whether its responses stay blurred: what a red-team prompt drew."""
    return one.label.prompt_kind is PromptKind.RED_TEAM


def _show_filter(study: LabelStudy, chosen: LabelFilter) -> None:
    counts = _count(study.examined)
    with st.container(horizontal=True, vertical_alignment="bottom", key="filter_text_row"):
        st.text_input(
            "Search",
            key=_set("labels_text", chosen.text),
            max_chars=MAX_VALUE,
            icon=":material/search:",
            placeholder="Words in a prompt or a response",
            on_change=_apply,
            args=(chosen,),
        )
        _show_clear("labels_clear", disabled=chosen == LabelFilter())
    with st.container(horizontal=True, key="labels_selects"):
        for field, label in _SELECTS.items():
            value = getattr(chosen, field)
            options = dict(counts[field])
            if value:
                options.setdefault(value, 0)
            words = WORDS.get(field, {})
            st.selectbox(
                label,
                list(options),
                index=None,
                format_func=lambda one, options=options, words=words: (
                    f"{words.get(one, one)} ({options[one]:,})"
                ),
                key=_set(f"labels_{field}", value or None),
                placeholder="Any",
                filter_mode="contains",
                on_change=_apply,
                args=(chosen,),
            )
    traits = [one for one in TRAITS if counts["only"][one] or one in chosen.only]
    st.pills(
        "Only",
        traits,
        selection_mode="multi",
        format_func=lambda one: f"{WORDS['only'][one]} ({counts['only'][one]:,})",
        key=_set("labels_only", list(chosen.only)),
        on_change=_apply,
        args=(chosen,),
    )
    if chosen.confidence is not None or chosen.bias is not None:
        bins = LabelFilter(confidence=chosen.confidence, bias=chosen.bias)
        st.html(f'<div class="cai-quiet">From a chart: {escape(bins.describe())}.</div>')


def _count(examined: Iterable[ExaminedLabel]) -> Mapping[str, Counter[str]]:
    """Field → value → how many of the run's labels have it."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*_SELECTS, "only")}
    for one in examined:
        label = one.label
        counts["verdict"][label.verdict.value] += 1
        counts["source"][label.label_source] += 1
        counts["kind"][label.prompt_kind.value] += 1
        counts["principle"].update(set(label.principle_ids))
        counts["only"].update(one.traits)
    return {name: Counter(dict(told.most_common())) for name, told in counts.items()}


def _show_clear(key: str, *, primary: bool = False, disabled: bool = False) -> None:
    st.button(
        "Show all labels" if primary else "Clear filters",
        key=key,
        type="primary" if primary else "secondary",
        icon=":material/filter_alt_off:",
        disabled=disabled,
        on_click=show_examples,
        args=(LabelFilter(),),
    )


def _set(key: str, value: str | list[str] | None) -> str:
    st.session_state[key] = value
    return key


def _apply(before: LabelFilter) -> None:
    """A changed field goes into the address, and back to the first page."""
    state = st.session_state
    told = {field: state.get(f"labels_{field}") or "" for field in _SELECTS}
    show_examples(
        LabelFilter(
            **told,
            only=tuple(one for one in TRAITS if one in (state.get("labels_only") or ())),
            # A chart's bin has no field: it stays until the filters are cleared.
            confidence=before.confidence,
            bias=before.bias,
            text=(state.get("labels_text") or "").strip(),
        )
    )


def _turn(key: str) -> None:
    go_to(PAGE, str(st.session_state[key]))
