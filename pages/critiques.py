"""Critiques: find rounds of critique and revision, and read the chains they belong to."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.workspace.index.views import RoundFilter
from ui import services
from ui.chain_drawer import show_drawer
from ui.explorer_export import show_export
from ui.explorer_filter import EXPLORER, filter_fields, parse_filter
from ui.explorer_links import CHAIN
from ui.explorer_list import show_no_rounds, show_queue_link, show_rounds
from ui.explorer_parts import AFTER, PAGE_SIZE, STYLE, show_paging, show_total
from ui.harm import show_harmful_toggle
from ui.import_panel import import_button, is_importing, show_import
from ui.look import build_error, show_title
from ui.pictures_critiques import show_pictures
from ui.pictures_switch import show_switch
from ui.saved_views import show_saved_views

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
    after = st.query_params.get(AFTER)
    page = index.list_rounds(chosen, after=after, limit=PAGE_SIZE)
    if not page.total and chosen == RoundFilter():
        index.ingest()  # a server that has just started may not have looked yet
        page = index.list_rounds(chosen, limit=PAGE_SIZE)
except CaiError as error:
    st.html(build_error("The chains cannot be listed", str(error)))
    st.stop()

filter_fields(chosen, page.facets)
with st.container(horizontal=True, vertical_alignment="center", key="list_head"):
    show_total(EXPLORER, page, lambda: services.index().list_rounds(chosen, limit=1, facets=False))
    wants_pictures = show_switch("critiques_view")
    show_harmful = show_harmful_toggle()
    show_saved_views(EXPLORER, chosen)
    show_export(EXPLORER, chosen, page)
    show_queue_link(chosen)
    import_button("critiques_import")
if wants_pictures and (page.rounds or chosen != RoundFilter()):
    show_pictures(chosen)
elif page.rounds:
    show_rounds(page, show_harmful=show_harmful)
    show_paging(EXPLORER, page, after)
else:
    show_no_rounds(filtered=chosen != RoundFilter())
if chain := st.query_params.get(CHAIN):
    show_drawer(chain)
