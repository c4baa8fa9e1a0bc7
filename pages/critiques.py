"""Critiques: find rounds of critique and revision, and read the chains they belong to."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.workspace.index.views import RoundFilter
from ui import services
from ui.chain_drawer import show_drawer
from ui.explorer_filter import filter_fields, parse_filter
from ui.explorer_links import CHAIN
from ui.explorer_list import (
    PAGE_SIZE,
    STYLE,
    show_no_rounds,
    show_paging,
    show_rounds,
    show_total,
)
from ui.harm import show_harmful_toggle
from ui.import_panel import import_button, is_importing, show_import
from ui.look import build_error, show_title

st.html(STYLE)
show_title(
    "Critiques",
    "Every round of critique and revision: find the ones that matter, and read their chains.",
)
if is_importing():
    show_import()
    st.stop()
try:
    index = services.index()
    chosen = parse_filter(st.query_params)
    after = st.query_params.get("after")
    page = index.list_rounds(chosen, after=after, limit=PAGE_SIZE)
    if not page.total and chosen == RoundFilter():
        index.ingest()  # a server that has just started may not have looked yet
        page = index.list_rounds(chosen, limit=PAGE_SIZE)
except CaiError as error:
    st.html(build_error("The chains cannot be listed", str(error)))
    st.stop()

filter_fields(chosen, page.facets)
with st.container(horizontal=True, vertical_alignment="center", key="list_head"):
    show_total(chosen, page)
    show_harmful = show_harmful_toggle()
    import_button("critiques_import")
if page.rounds:
    show_rounds(page, show_harmful=show_harmful)
    show_paging(page, after)
else:
    show_no_rounds(filtered=chosen != RoundFilter())
if chain := st.query_params.get(CHAIN):
    show_drawer(chain)
