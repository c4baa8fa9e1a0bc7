"""Constitutions: read them, edit a draft, try it, save it as a version, label it, compare two."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.records import AccessRole
from cai_core.workspace.draft_check import DraftProblem, check_draft
from cai_core.workspace.drafts import Draft, DraftPrinciple, list_drafts, load_draft
from cai_core.workspace.versions import list_names, load_version
from ui import services
from ui.constitution_address import (
    FIRST,
    Address,
    can_edit,
    describe_save,
    read_address,
    show_message,
)
from ui.constitution_edit import (
    check_name,
    edit_bar,
    is_changed,
    retry_faults,
    show_faults,
    show_gone,
)
from ui.constitution_fields import constitution_fields, principle_fields
from ui.constitution_import import import_form
from ui.constitution_keep import keep_missed
from ui.constitution_lint import read_findings
from ui.constitution_list import constitution_list, draft_list, show_nothing
from ui.constitution_parts import principle_list
from ui.constitution_review import show_review
from ui.constitution_side import show_side
from ui.constitution_study import show_study_page
from ui.constitution_style import STYLE
from ui.constitution_try_page import show_draft_try
from ui.constitution_view import show_constitution
from ui.constitution_yaml import yaml_field
from ui.look import build_card, build_error, escape, show_title
from ui.runs_words import STYLE as RUNS_STYLE


def read_page(address: Address) -> None:
    """The list of constitutions, and the chosen one."""
    workspace = services.workspace()
    names = list_names(workspace)
    drafts, damaged = list_drafts(workspace)
    chosen = next((info for info in names if info.name == address.constitution), None)
    missing = bool(address.constitution) and chosen is None
    chosen = chosen or next((info for info in names if info.name == FIRST), None)
    chosen = chosen or next(iter(names), None)
    left, right = st.columns([0.28, 0.72], gap="medium")
    with left:
        constitution_list(names, chosen.name if chosen else None)
        draft_list(drafts, damaged)
    with right:
        show_message()
        if missing:
            words = "The address names a constitution that this workspace does not hold."
            st.html(build_card("note", "No such constitution", escape(words)))
            address = Address()
        if chosen is None:
            show_nothing()
        elif chosen.head is None:
            st.html(build_error("This constitution cannot be read", chosen.error or ""))
        else:
            show_constitution(chosen.name, address, drafts)


def edit_page(address: Address) -> None:
    """A draft: its fields, a try of it, or the review before it is saved."""
    if not can_edit():
        words = f"Drafts are for editors. {services.explain(AccessRole.EDITOR)}"
        st.html(build_card("note", "You may read here, not edit", escape(words)))
        return
    keep_missed()
    retry_faults(address.draft)
    try:
        draft = load_draft(services.workspace(), address.draft)
    except CaiError as error:
        show_gone(str(error))
        return
    names = {info.name: info for info in list_names(services.workspace())}
    problems = check_draft(draft) + check_name(draft, list(names))
    head = names[draft.name].head if draft.name in names else None
    if address.step == "try":
        show_draft_try(draft, address, head, problems)
        return
    base = None
    if draft.base_hash is not None:
        try:
            base = load_version(services.workspace(), draft.name, draft.base_hash)
        except CaiError as error:
            st.html(build_error("What this draft was begun from cannot be read", str(error)))
    if address.step == "review":
        show_review(draft, base, head, problems)
        return
    if head is not None and draft.base_hash not in (None, head.hash):
        words = f"{describe_save(head)} since you began. You will see the difference first."
        st.html(build_card("note", "Somebody saved meanwhile", escape(words)))
    show_message()
    show_faults(draft)
    edit_bar(draft, problems, changed=is_changed(draft, base), step=address.step)
    if address.step == "yaml":
        yaml_field(draft)
    else:
        show_panes(draft, draft.principle(address.principle), problems)


def show_panes(
    draft: Draft, chosen: DraftPrinciple | None, problems: tuple[DraftProblem, ...]
) -> None:
    """The draft's parts, the fields of the chosen one, and what the model makes of it."""
    findings = read_findings(draft)
    with st.container(key="cn_panes"):
        left, middle, right = st.columns([0.24, 0.42, 0.34], gap="medium")
    with left:
        principle_list(draft, chosen, problems, findings.counts)
    with middle, st.container(key="cn_fields"):
        if chosen is None:
            constitution_fields(draft, problems)
        else:
            principle_fields(draft, chosen, problems)
    with right:
        show_side(draft, chosen, findings)


st.html(RUNS_STYLE + STYLE)
with st.container(key="constitutions"):
    show_title("Constitutions", "The principles by which a model critiques and revises itself.")
    address = read_address()
    if address.draft:
        edit_page(address)
    elif address.before and address.after:
        show_study_page(address)
    elif address.step == "import" and can_edit():
        import_form(list_names(services.workspace()))
    else:
        read_page(address)
