"""Side by side: two runs, two critics or two constitutions, aligned by prompt."""

import streamlit as st

from cai_core.errors import CaiError
from ui import services
from ui.chain_drawer import show_drawer
from ui.explorer_links import CHAIN
from ui.explorer_list import STYLE as LIST_STYLE
from ui.labels_words import STYLE as LABEL_STYLE
from ui.look import build_error, show_title
from ui.side_address import AFTER, parse_side_filter
from ui.side_filter import side_fields
from ui.side_list import PAGE_SIZE, show_names, show_no_pairs, show_pairs, show_side_paging
from ui.side_pairs import STYLE, TWO_STYLE
from ui.side_pick import pick_runs, show_differences, show_no_pair

st.html(LIST_STYLE + LABEL_STYLE + TWO_STYLE + STYLE)
show_title(
    "Side by side",
    "Two runs, two critics or two constitutions on the same prompts: what differs, word by word.",
)
chosen = parse_side_filter(st.query_params)
after = st.query_params.get(AFTER)
try:
    index = services.index()
    runs = index.list_side_runs()
    if len(runs) < 2:
        index.ingest()  # a server that has just started may not have looked yet
        runs = index.list_side_runs()
    pick_runs(runs, chosen.left, chosen.right)
    if not (chosen.left and chosen.right):
        show_no_pair(runs, chosen.left)
        st.stop()
    page = index.compare_runs(chosen, after=after, limit=PAGE_SIZE)
except CaiError as error:
    st.html(build_error("These runs cannot be compared", str(error)))
    st.stop()

show_differences(page)
show_harmful = side_fields(chosen, page)
if page.pairs:
    show_names(page)
    show_pairs(page, show_harmful=show_harmful)
    show_side_paging(page, after)
else:
    show_no_pairs(chosen)
if chain := st.query_params.get(CHAIN):
    show_drawer(chain)
