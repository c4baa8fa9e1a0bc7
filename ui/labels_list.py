"""The labels page's second view: the comparisons that a filter asks for, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import streamlit as st

from cai_core.evaluation.label_traits import TRAITS, ExaminedLabel, LabelFilter, select_labels
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import PromptKind
from ui.constitution_address import describe_count
from ui.explorer_filter import MAX_VALUE
from ui.explorer_list import EXCERPT
from ui.harm import hold_back, show_harmful_toggle
from ui.labels_address import LABEL, PAGE, WORDS, go_to, read_page, show_examples
from ui.labels_export import show_export
from ui.labels_words import build_verdict
from ui.look import build_badge, build_icon, escape

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
    if not found:
        st.html('<div class="cai-empty"><b>No label matches these filters.</b></div>')
        _show_clear("labels_empty", primary=True)
    for one in some:
        with st.container(horizontal=True, wrap=False, key=f"round_label_{one.place}"):
            st.html(build_row(one, show_harmful=show_harmful))
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


def build_row(one: ExaminedLabel, *, show_harmful: bool) -> str:
    """One comparison as HTML: what was asked, both responses, and what is preferred."""
    label = one.label
    prompt = escape(_shorten(label.conversation[-1].content, 300))
    blurred = is_held(one) and not show_harmful
    return (
        f'<div role="article" aria-label="Comparison: {prompt}">'
        f'<div class="cai-round-head cai-prompt">{build_icon("prompt")}'
        f'<span class="cai-line">{prompt}</span></div>'
        f'<div class="cai-round-meta">{build_facts(one)}</div><div class="cai-round-texts">'
        + "".join(
            _excerpt(f"Response {name}", text, blurred=blurred)
            for name, text in (("A", label.response_a), ("B", label.response_b))
        )
        + "</div></div>"
    )


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
    principles = ", ".join(label.principle_ids)
    if principles:
        badges.append(
            f'<span class="cai-principle">{build_icon("principle")}'
            f"<span>{escape(principles)}</span></span>"
        )
    return "".join(badges)


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


def _excerpt(title: str, text: str, *, blurred: bool) -> str:
    body = f'<div class="cai-clamp">{escape(_shorten(text, EXCERPT))}</div>'
    return (
        f'<div class="cai-excerpt cai-response"><b>{build_icon("response")}{title}</b>'
        f"{hold_back(body) if blurred else body}</div>"
    )


def _shorten(text: str, length: int) -> str:
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length else f"{line[:length]}…"
