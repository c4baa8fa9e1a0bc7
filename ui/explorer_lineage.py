"""Where a record comes from and what was made of it: links that both explorers' drawers show."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs.descendants import list_descendants, trains
from cai_core.workspace.versions import list_names
from ui import services
from ui.constitution_address import build_key
from ui.explorer_links import CONSTITUTIONS, LABELS, MODELS, RUNS, Place, find_live_id, show_link
from ui.look import build_error, escape_markdown

# Where it leads, its words, its icon.
Link = tuple[Place, str, str]
# What the page's address then says, the words, the icon.
Alike = tuple[dict[str, str], str, str]
# More children than anybody reads; the run's own page has its lineage.
_MOST = 12


def show_lineage(
    run: str,
    *,
    constitution: str,
    version: str,
    more: Iterable[Link] = (),
    alike: Iterable[Alike] = (),
) -> None:
    """Links to the constitution's version and the run, and to all that was made from the run.

    Args:
        run: id of the run that holds the record. constitution: its name; `version`: its hash.
            Empty where there is none.
        more: further links behind the run's. alike: filters of the same page.
    """
    st.html('<h3 class="cai-part">Where it comes from</h3>')
    with st.container(horizontal=True, key=build_key("lineage", run)):
        if version and constitution in _list_constitutions():
            params = {"constitution": constitution, "version": version}
            label = f"{constitution} {version[:8]}"
            show_link(Place(page=CONSTITUTIONS, params=params), label, icon=":material/gavel:")
        if not find_live_id(run):
            place = Place(page=RUNS, params={"run": run})
            show_link(place, f"Run {run}", icon=":material/account_tree:")
        for place, label, icon in more:
            show_link(place, label, icon=icon)
    _show_descendants(run)
    if some := list(alike):
        st.html('<h3 class="cai-part">More like it</h3>')
        with st.container(horizontal=True, key=build_key("alike", run)):
            for params, label, icon in some:
                # No link: the values are a model's or a person's words.
                st.button(
                    escape_markdown(label),
                    key=build_key("alike", label),
                    icon=icon,
                    type="tertiary",
                    on_click=st.query_params.from_dict,
                    args=(params,),
                )


def _list_constitutions() -> set[str]:
    """Those that are here; what a run names may be gone, or be anything."""
    try:
        return {info.name for info in list_names(services.workspace())}
    except CaiError:
        return set()


def _show_descendants(run: str) -> None:
    try:
        found = list_descendants(services.workspace(), run)
    except CaiError as error:
        st.html(build_error("What was made from its run cannot be read", str(error)))
        return
    labels = [one for one in found if one.kind == "label"]
    models = [one for one in found if trains(one)]
    st.html('<h3 class="cai-part">What was made from its run</h3>')
    if not labels and not models:
        st.html('<div class="cai-quiet">No later labels, and no model trained on it.</div>')
        return
    with st.container(horizontal=True, key=build_key("made_from", run)):
        for one in labels[:_MOST]:
            place = Place(page=LABELS, params={"run": one.run})
            show_link(place, f"Labels {one.run}", icon=":material/balance:")
        for one in models[:_MOST]:
            place = Place(page=MODELS, params={"model": one.run})
            show_link(place, f"Model {one.run}", icon=":material/model_training:")
    if (rest := max(0, len(labels) - _MOST) + max(0, len(models) - _MOST)) > 0:
        st.html(f'<div class="cai-quiet">and {rest:,} more; its run shows them.</div>')
