"""The frame around every page: title, shared style, navigation. Runs at every page view."""

from pathlib import Path

import streamlit as st

from cai_core.workspace.read_only import is_read_only
from ui.look import build_read_only, build_style

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent / "pages"

st.set_page_config(
    page_title="CAI Workbench",
    # A picture of our own: Streamlit fetches a named icon for the tab from a host elsewhere.
    page_icon=str(HERE / "assets" / "icon.png"),
    layout="wide",
    menu_items={"Get help": None, "Report a bug": None, "About": None},
)
st.html(build_style(theme=st.context.theme.type))
if is_read_only():
    st.html(build_read_only())

overview = st.Page(
    PAGES / "overview.py",
    title="Overview",
    icon=":material/space_dashboard:",
    url_path="overview",
)
constitutions = st.Page(
    PAGES / "constitutions.py",
    title="Constitutions",
    icon=":material/gavel:",
    url_path="constitutions",
)
prompts = st.Page(
    PAGES / "prompts.py",
    title="Prompts",
    icon=":material/person:",
    url_path="prompts",
)
playground = st.Page(
    PAGES / "playground.py",
    title="Playground",
    icon=":material/play_circle:",
    url_path="playground",
)
critiques = st.Page(
    PAGES / "critiques.py",
    title="Critiques",
    icon=":material/rate_review:",
    url_path="critiques",
)
preferences = st.Page(
    PAGES / "preferences.py",
    title="Preferences",
    icon=":material/compare_arrows:",
    url_path="preferences",
)
compare = st.Page(
    PAGES / "compare.py",
    title="Side by side",
    icon=":material/view_column_2:",
    url_path="compare",
)
labels = st.Page(
    PAGES / "labels.py",
    title="Labels",
    icon=":material/balance:",
    url_path="labels",
)
review = st.Page(
    PAGES / "review.py",
    title="Review",
    icon=":material/how_to_reg:",
    url_path="review",
)
drift = st.Page(
    PAGES / "drift.py",
    title="Drift",
    icon=":material/trending_up:",
    url_path="drift",
)
evidence = st.Page(
    PAGES / "evidence.py",
    title="Evidence",
    icon=":material/fact_check:",
    url_path="evidence",
)
runs = st.Page(
    PAGES / "runs.py",
    title="Runs",
    icon=":material/model_training:",
    url_path="runs",
)
models = st.Page(
    PAGES / "models.py",
    title="Models",
    icon=":material/dns:",
    url_path="models",
)


story = st.Page(
    PAGES / "story.py",
    title="Story",
    icon=":material/auto_stories:",
    url_path="story",
    # Elsewhere the overview leads to it.
    visibility="visible" if is_read_only() else "hidden",
)


def home() -> None:
    """The bare address leads to the overview, in a demo to the story; with a chain to its page."""
    first = story if is_read_only() else overview
    page = playground if {"run", "ways"} & st.query_params.keys() else first
    st.switch_page(page, query_params=st.query_params.to_dict())


# Streamlit's default page answers only at the bare address: under its own name the page stays
# inert. So no real page is the default one.
st.navigation(
    [
        st.Page(home, default=True, visibility="hidden"),
        story,
        overview,
        constitutions,
        prompts,
        playground,
        runs,
        models,
        critiques,
        labels,
        review,
        drift,
        # A window of usual width has these behind “more”; the pages before them lead there too.
        preferences,
        evidence,
        compare,
    ],
    position="top",
).run()
