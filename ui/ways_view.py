"""The live view of a comparison: one prompt's answers side by side, filled in as they come."""

from __future__ import annotations

import streamlit as st

from cai_core.demo_world import load_oracle
from cai_core.demo_world.ways_truth import describe_answer, is_harmful_request, is_harmless
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.system_prompt import preview_system_prompt
from cai_core.pipeline.ways_answers import Answer, read_text
from cai_core.pipeline.ways_live import LiveWays, WaysRequest, WaysSnapshot
from cai_core.pipeline.ways_recipe import Way
from cai_core.records import PromptKind
from ui.chain_settings import is_demo
from ui.harm import hold_back, show_harmful_toggle
from ui.look import build_badge, build_card, build_error, build_icon, escape
from ui.reasoning import build_reasoning
from ui.ways_best import build_matches, build_samples, describe_stage
from ui.ways_words import DEMO_SYSTEM_PROMPT, describe_way, name_way

TICK_SECONDS = 0.3
_SIGNS = {"bad": "✕ ", "good": "✓ ", "plain": ""}


def show_ways(ways: LiveWays, *, live: bool) -> None:
    """Render the comparison, and keep rendering it until it has ended.

    Args:
        live: whether the rest of the page is drawn for one that may still grow.
    """
    show_harmful = show_harmful_toggle()

    def answers() -> None:
        snapshot = ways.snapshot()
        _show_status(ways, snapshot)
        st.html(build_card("prompt", "Prompt", escape(ways.request.prompt.text)))
        if snapshot.error is not None:
            st.html(build_error("No way brought an answer", snapshot.error))
        asked = ways.request.recipe.ways
        plain = snapshot.read(ways.request, ways.run_id, Way.PLAIN).text
        for start in range(0, len(asked), 2):
            for way, column in zip(asked[start : start + 2], st.columns(2), strict=False):
                with column:
                    for piece in build_way(ways, snapshot, way, plain, show_harmful=show_harmful):
                        st.html(piece)
        if live and not snapshot.state.is_live:
            st.rerun()  # the whole page: this ends the ticking and frees the button

    st.fragment(answers, run_every=TICK_SECONDS if live else None)()


def show_no_ways(*, forgotten: bool) -> None:
    """What stands where a comparison will be; `forgotten`: the address names one not here."""
    if forgotten:
        words = (
            "The address names a comparison that this workspace does not hold. Check that the "
            "address is whole, or run the prompt again."
        )
        st.html(build_card("note", "No such comparison here", words))
    rows = (
        ("response", "The model answers as it is."),
        ("principle", "The model answers under the constitution, rendered as a system prompt."),
        ("critique", "The feedback model chooses the best of several samples."),
        ("revision", "Another model answers, one that you trained for example."),
    )
    steps = "".join(
        f'<li class="cai-{thing}" style="color:var(--cai)">{build_icon(thing)}'
        f'<span style="color:light-dark(#1b2030,#e7e9f0)">{escape(text)}</span></li>'
        for thing, text in rows
    )
    head = "One prompt, answered in up to four ways, side by side."
    st.html(f'<div class="cai-empty"><b>{head}</b><ol>{steps}</ol></div>')


def build_way(
    ways: LiveWays, snapshot: WaysSnapshot, way: Way, plain: str | None, *, show_harmful: bool
) -> list[str]:
    """One way's column: its name, its answer, what the answer cost, and how it was chosen.

    Args:
        plain: the plain answer, to say where another way's is the very same.
    """
    request = ways.request
    answer = snapshot.read(request, ways.run_id, way)
    head = (
        f'<h2 class="cai-side">{escape(name_way(way, request.recipe))}</h2>'
        f'<div class="cai-quiet">{escape(describe_way(way, request.recipe))}</div>'
    )
    pieces = [head]
    if (fault := snapshot.faults.get(way)) is not None:
        pieces.append(build_error("This way brought no answer", fault))
    elif answer.error is not None:
        pieces.append(build_error("This way brought no answer", answer.error))
    else:
        pieces.append(_answer_card(request, snapshot, answer, plain, show_harmful))
    more = _build_more(request, answer, snapshot, show_harmful)
    if way is Way.SYSTEM_PROMPT and is_demo(request.recipe.model):
        more = f'<div class="cai-quiet" role="note">{DEMO_SYSTEM_PROMPT}</div>' + more
    return [*pieces, more] if more else pieces


def build_ways_status(request: WaysRequest, snapshot: WaysSnapshot) -> str:
    """Where the comparison is. It holds no clock: screen readers say it whenever it changes."""
    total = len(request.recipe.ways)
    done = len(snapshot.ended) - len(snapshot.faults)
    match snapshot.state:
        case ChainState.STARTING:
            words, more = "Waiting for the models", ""
        case ChainState.RUNNING:
            words, more = "Answering", f"{done} of {total} ways done"
        case ChainState.FINISHED:
            failed = len(snapshot.faults)
            words, more = "Finished", f"{total - failed} of {total} ways" if failed else ""
        case ChainState.STOPPED:
            words, more = "Stopped", "what was finished is kept"
        case ChainState.FAILED:
            words, more = "Failed", ""
    mark = {"finished": "✓", "stopped": "■", "failed": "✕"}.get(snapshot.state, "●")
    return (
        f'<div role="status"><b><span aria-hidden="true">{mark}</span> {escape(words)}</b> '
        f'<span class="cai-quiet">{escape(more)}</span></div>'
    )


def is_held_back(request: WaysRequest, text: str, *, done: bool) -> bool:
    """Whether an answer stays blurred: it may do harm, and nobody who knows says that it does not.

    In the demo world the oracle knows; while a text is being written nobody does.
    """
    oracle, prompt = load_oracle(), request.prompt
    asks = prompt.kind is PromptKind.RED_TEAM or is_harmful_request(oracle, prompt.text)
    return bool(text) and asks and not (done and is_harmless(oracle, prompt.text, text))


def build_remarks(prompt: str, text: str) -> str:
    """The oracle's verdict as badges; nothing about a prompt outside the demo world."""
    oracle = load_oracle()
    if oracle.read_prompt(prompt) is None:
        return ""
    remarks = describe_answer(oracle, prompt, text)
    if remarks is None:
        return build_badge("outside the demo world: not judged", quiet=True, dashed=True)
    return "".join(
        f'<span class="cai-badge cai-remark-{remark.tone}">'
        f"{escape(_SIGNS[remark.tone] + remark.words)}</span>"
        for remark in remarks
    )


def _show_status(ways: LiveWays, snapshot: WaysSnapshot) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="chain_status"):
        st.html(build_ways_status(ways.request, snapshot), width="content")
        clock = f'<span class="cai-quiet cai-clock">{snapshot.seconds:.1f} s</span>'
        st.html(clock, width="stretch")
        if snapshot.state.is_live:
            st.button("Stop", key="stop_ways", icon=":material/stop_circle:", on_click=ways.stop)


def _answer_card(
    request: WaysRequest,
    snapshot: WaysSnapshot,
    answer: Answer,
    plain: str | None,
    show_harmful: bool,
) -> str:
    live = snapshot.is_live(answer.way)
    row, text = answer.chosen, answer.text
    if row is None or text is None:
        return _unfinished_card(request, snapshot, answer, live, show_harmful)
    held = not show_harmful and is_held_back(request, text, done=True)
    body = hold_back(escape(text)) if held else escape(text)
    remarks = build_remarks(request.prompt.text, text)
    if answer.way is not Way.PLAIN and text == plain and Way.PLAIN in request.recipe.ways:
        remarks += build_badge("the same as plain", quiet=True)
    if row.finish_reason == "length":
        remarks += build_badge("cut at the token limit", quiet=True, dashed=True)
    seconds = snapshot.ended.get(answer.way)
    cost = f'<div class="cai-ways-cost">{escape(describe_cost(answer, seconds))}</div>'
    return build_card(
        "response",
        "Answer" if answer.way is not Way.BEST_OF_N else f"Answer: sample {row.sample + 1}",
        build_reasoning(row.reasoning, held=held) + body + cost,
        badges=f'<span class="cai-remarks">{remarks}</span>' if remarks else "",
    )


def _unfinished_card(
    request: WaysRequest, snapshot: WaysSnapshot, answer: Answer, live: bool, show_harmful: bool
) -> str:
    partial = snapshot.list_partial(request.recipe, answer.way)
    if answer.way is Way.BEST_OF_N:
        return build_card("response", "Answer", escape(describe_stage(request, snapshot, answer)))
    text = partial.get(0, "")
    held = not show_harmful and is_held_back(request, text, done=False)
    body = hold_back(escape(text)) if held else escape(text)
    badges = ""
    if not live:
        words = "unfinished, not kept" if text else "not answered"
        badges = build_badge(words, quiet=True, dashed=True)
    return build_card("response", "Answer", body, badges=badges, writing=live)


def _build_more(
    request: WaysRequest, answer: Answer, snapshot: WaysSnapshot, show_harmful: bool
) -> str:
    if answer.way is Way.SYSTEM_PROMPT:
        prompt = preview_system_prompt(request.constitution)
        words = f"System prompt, {prompt.words} words ({prompt.version})"
        return _fold(words, f'<div class="cai-wrap">{escape(prompt.text)}</div>')
    if answer.way is not Way.BEST_OF_N:
        return ""

    def show(text: str) -> str:
        held = not show_harmful and is_held_back(request, text, done=True)
        return hold_back(escape(text)) if held else escape(text)

    texts = {s: read_text(row) for s, row in answer.samples.items() if row.error is None}
    remarks = {s: build_remarks(request.prompt.text, text) for s, text in texts.items()}
    shown = {sample: show(text) for sample, text in texts.items()}
    pieces = []
    if answer.samples:
        words = f"{len(answer.samples)} of {request.recipe.n} samples"
        pieces.append(_fold(words, build_samples(answer, shown, remarks)))
    if answer.matches:
        judged = sum(match.label is not None for match in answer.matches)
        words = f"{judged} of {len(answer.matches)} comparisons, each in both orders"
        if answer.best and answer.best.unparsed:
            words += f"; {answer.best.unparsed} could not be read and count for nobody"
        pieces.append(_fold(words, build_matches(answer)))
    return "".join(pieces)


def describe_cost(answer: Answer, seconds: float | None) -> str:
    """Tokens and requests of a way, and the seconds until it had its answer, where known."""
    told = [f"{answer.prompt_tokens} prompt + {answer.completion_tokens} written tokens"]
    if answer.way is Way.BEST_OF_N:
        samples = len(answer.samples)
        told.append(f"{samples} {'sample' if samples == 1 else 'samples'}")
        told.append(f"{answer.questions} questions")
    if seconds is not None:
        told.append(f"{seconds:.1f} s")
    return " · ".join(told)


def _fold(words: str, body: str) -> str:
    return (
        f'<details class="cai-ways-more"><summary>{escape(words)}</summary>'
        f"<div>{body}</div></details>"
    )
