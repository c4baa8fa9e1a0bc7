"""Preferences: find comparisons of any run, and read each with its label, its reasons and votes."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.records import AccessRole
from cai_core.workspace.index.comparison_views import ComparisonFilter
from ui import services
from ui.explorer_export import show_export
from ui.explorer_links import COMPARISON, OF
from ui.explorer_parts import AFTER, PAGE_SIZE, STYLE, show_paging, show_total
from ui.harm import show_harmful_toggle
from ui.import_panel import import_button, is_importing, show_import
from ui.labels_words import STYLE as LABELS_STYLE
from ui.look import build_error, show_title
from ui.pictures_preferences import show_pictures
from ui.pictures_switch import show_switch
from ui.preferences_drawer import show_comparison
from ui.preferences_filter import EXPLORER, filter_fields, find_run_view, parse_filter
from ui.preferences_list import show_comparisons, show_no_comparisons, show_ways
from ui.saved_views import show_saved_views

st.html(LABELS_STYLE + STYLE)
show_title(
    "Preferences",
    "Every comparison of two responses: which one is preferred, by whom, and why.",
)
if is_importing():
    show_import()
    st.stop()
try:
    index = services.index()
    chosen = parse_filter(st.query_params)
    after = st.query_params.get(AFTER)
    page = index.list_comparisons(chosen, after=after, limit=PAGE_SIZE)
    if not page.total and chosen == ComparisonFilter():
        index.ingest()  # a server that has just started may not have looked yet
        page = index.list_comparisons(chosen, limit=PAGE_SIZE)
except CaiError as error:
    st.html(build_error("The comparisons cannot be listed", str(error)))
    st.stop()

filter_fields(chosen, page.facets)
with st.container(horizontal=True, vertical_alignment="center", key="list_head"):
    show_total(
        EXPLORER, page, lambda: services.index().list_comparisons(chosen, limit=1, facets=False)
    )
    wants_pictures = show_switch("preferences_view")
    show_harmful = show_harmful_toggle()
    show_saved_views(EXPLORER, chosen)
    show_export(EXPLORER, chosen, page)
    show_ways(
        find_run_view(chosen, page.facets),
        may_review=services.actor().role.includes(AccessRole.REVIEWER),
    )
    if page.total:
        import_button("preferences_import")
if wants_pictures and (page.comparisons or chosen != ComparisonFilter()):
    show_pictures(chosen)
elif page.comparisons:
    show_comparisons(page, show_harmful=show_harmful)
    show_paging(EXPLORER, page, after)
else:
    show_no_comparisons(filtered=chosen != ComparisonFilter())
if opened := st.query_params.get(COMPARISON):
    show_comparison(st.query_params.get(OF, ""), opened)
