"""The overview's picture: from constitutions to models, with the counts of this workspace."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from cai_core.workspace.index.views import IndexReport
from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND, Place, show_link
from ui.look import Thing, build_icon, escape

STYLE = """<style>
/* A link covers its whole row or box: one target, and no reload of the app. */
[class*="st-key-over_"], [class*="st-key-flow_"] { position: relative; min-width: 0; }
:is([class*="st-key-over_"], [class*="st-key-flow_"]) a::after { content: ""; position: absolute;
  inset: 0; border-radius: 0.5rem; }
:is([class*="st-key-over_"], [class*="st-key-flow_"]) :is(a, :has(a)) { position: static; }
:is([class*="st-key-over_"], [class*="st-key-flow_"]) a { min-height: 0;
  padding: 0; background: none !important; }
:is([class*="st-key-over_"], [class*="st-key-flow_"]):has(a:focus-visible) {
  outline: 2px solid light-dark(#4f46e5, #a5b4fc); outline-offset: 1px; }
[class*="st-key-over_"] { padding: 0.4rem 0.6rem; border-radius: 0.5rem; }
:is([class*="st-key-over_"], [class*="st-key-flow_"]):has(a):hover {
  background: light-dark(#f0f1f5, #20242f); }
[class*="st-key-flow_"] { padding: 0.7rem 1rem 0.8rem; border-radius: 0.5rem;
  border: 1px solid light-dark(#d6dae3, #343948); background: light-dark(#ffffff, #171a23); }
.st-key-flow > * { flex: 1 1 8rem; min-width: 0; align-self: stretch; }
.st-key-flow > :has(.cai-arrow) { flex: 0 0 auto; align-self: center; }
[class*="st-key-flow_"] { height: 100%; }
:is([class*="st-key-over_"], [class*="st-key-flow_"]) a p { font-weight: 600; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
[class*="st-key-over_"] { margin: 0 -0.6rem; width: calc(100% + 1.2rem); }
.cai-flow-count { display: flex; align-items: center; gap: 0.5rem; font-size: 1.9rem;
  font-weight: 650; line-height: 1.15; color: var(--cai); font-variant-numeric: tabular-nums; }
.cai-flow-count .cai-icon { font-size: 1.5rem; width: 1.5rem; }
.cai-arrow { text-align: center; font-size: 1.3rem; color: light-dark(#5b6270, #a3aab8); }
@media (max-width: 640px) { .st-key-flow > * { flex-basis: 100%; }
  .st-key-flow > :has(.cai-arrow) { flex-basis: 100%; } .cai-arrow { rotate: 90deg; } }
.cai-row-name { font-size: 0.9rem; font-weight: 600; }
.cai-row { display: flex; flex-wrap: wrap; align-items: center; gap: 0.15rem 0.6rem;
  font-size: 0.85rem; color: light-dark(#5b6270, #a3aab8); }
.st-key-story_link a { padding-left: 0; }
.st-key-first_chain a { background: light-dark(#4f46e5, #6366f1) !important; padding: 0.4rem 0.9rem;
  border-radius: 0.5rem; }
.st-key-first_chain a * { color: #ffffff !important; }
.cai-row > span { min-width: 0; overflow-wrap: anywhere; }
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box of the flow."""

    thing: Thing
    name: str
    count: int
    says: str
    place: Place


def build_flow(*, constitutions: int, models: int, report: IndexReport) -> tuple[Box, ...]:
    """The flow of this workspace, from the rules to who is judged by them."""
    critiques = Place(page=CRITIQUES)
    return (
        Box(
            thing="principle",
            name="Constitutions" if constitutions != 1 else "Constitution",
            count=constitutions,
            says="The principles that texts are held against.",
            place=Place(page=CONSTITUTIONS),
        ),
        Box(
            thing="critique",
            name="Runs" if report.runs != 1 else "Run",
            count=report.runs,
            says="What was asked of a model, or trained, at one time.",
            place=Place(page=PLAYGROUND),
        ),
        Box(
            thing="revision",
            name="Chains" if report.chains != 1 else "Chain",
            count=report.chains,
            says="Response, critique, revision: to read and to mark.",
            place=critiques,
        ),
        Box(
            thing="response",
            name="Models" if models != 1 else "Model",
            count=models,
            says="They wrote these critiques and revisions.",
            place=critiques,
        ),
    )


def show_flow(boxes: tuple[Box, ...]) -> None:
    """The picture: boxes and the arrows between them."""
    with st.container(horizontal=True, gap="small", key="flow"):
        for number, box in enumerate(boxes):
            if number:
                st.html('<div class="cai-arrow" aria-hidden="true">→</div>', width="content")
            with st.container(key=f"flow_{number}", gap=None):
                st.html(
                    f'<div class="cai-flow-count cai-{box.thing}">{build_icon(box.thing)}'
                    f"<span>{box.count:,}</span></div>"
                )
                show_link(box.place, box.name)
                st.html(f'<div class="cai-quiet">{escape(box.says)}</div>')


def show_story_link() -> None:
    """The way to the story, for who does not write code."""
    with st.container(key="story_link"):
        show_link(
            Place(page=PLAYGROUND.with_name("story.py")),
            "Constitutional AI in five screens",
            icon=":material/auto_stories:",
        )


def show_first_chain(*, recorded: bool) -> None:
    """What a workspace without a run of its own shows: the one thing to do first."""
    shown = " The chains below are recordings that ship with it." if recorded else ""
    with st.container(key="first_chain"):
        st.html(
            '<div class="cai-empty"><b>Nothing has been run in this workspace yet.</b> Give the '
            f"model a prompt, and watch it critique and revise its own answer.{shown}</div>"
        )
        show_link(Place(page=PLAYGROUND), "Run a first chain", icon=":material/play_arrow:")
