"""Constitutions: read them, edit a draft, save it as a version, see what each version changed."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.records import Constitution
from cai_core.workspace.drafts import (
    Draft,
    DraftPrinciple,
    DraftProblem,
    check_draft,
    list_drafts,
    load_draft,
)
from cai_core.workspace.versions import list_names, load_version
from ui import services
from ui.constitution_address import Address, can_edit, describe_save, read_address, show_message
from ui.constitution_edit import (
    check_name,
    constitution_fields,
    edit_bar,
    is_changed,
    principle_fields,
    principle_list,
    retry_faults,
    show_faults,
    show_gone,
)
from ui.constitution_list import constitution_list, draft_list, show_nothing
from ui.constitution_review import show_review
from ui.constitution_view import show_constitution
from ui.look import build_card, build_error, escape, show_title


def read_page(address: Address) -> None:
    """The list of constitutions, and the chosen one."""
    workspace = services.workspace()
    names = list_names(workspace)
    drafts, damaged = list_drafts(workspace)
    chosen = next((info for info in names if info.name == address.constitution), None)
    missing = bool(address.constitution) and chosen is None
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
        if chosen is None:
            show_nothing()
        elif chosen.head is None:
            st.html(build_error("This constitution cannot be read", chosen.error or ""))
        else:
            show_constitution(chosen.name, "" if missing else address.version, drafts)


def edit_page(address: Address) -> None:
    """A draft: its fields, or the review before it is saved."""
    if not can_edit():
        words = "Drafts are for editors. Ask an admin for that role."
        st.html(build_card("note", "You may read here, not edit", escape(words)))
        return
    retry_faults(address.draft)
    try:
        draft = load_draft(services.workspace(), address.draft)
    except CaiError as error:
        show_gone(str(error))
        return
    names = {info.name: info for info in list_names(services.workspace())}
    problems = check_draft(draft) + check_name(draft, list(names))
    head = names[draft.name].head if draft.name in names else None
    base = None
    if draft.base_hash is not None:
        try:
            base = load_version(services.workspace(), draft.name, draft.base_hash)
        except CaiError as error:
            st.html(build_error("What this draft was begun from cannot be read", str(error)))
    if address.review:
        show_review(draft, base, head, problems)
        return
    if head is not None and draft.base_hash not in (None, head.hash):
        words = f"{describe_save(head)} since you began. You will see the difference first."
        st.html(build_card("note", "Somebody saved meanwhile", escape(words)))
    show_fields(draft, draft.principle(address.principle), base, problems)


def show_fields(
    draft: Draft,
    chosen: DraftPrinciple | None,
    base: Constitution | None,
    problems: tuple[DraftProblem, ...],
) -> None:
    """The draft's parts on the left, the fields of the chosen one on the right."""
    show_message()
    show_faults(draft)
    edit_bar(draft, problems, changed=is_changed(draft, base))
    left, right = st.columns([0.3, 0.7], gap="medium")
    with left:
        principle_list(draft, chosen, problems)
    with right, st.container(key="cn_fields"):
        if chosen is None:
            constitution_fields(draft, problems)
        else:
            principle_fields(draft, chosen, problems)


with st.container(key="constitutions"):
    show_title("Constitutions", "The principles by which a model critiques and revises itself.")
    address = read_address()
    if address.draft:
        edit_page(address)
    else:
        read_page(address)
