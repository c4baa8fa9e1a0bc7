"""Whether a critique is right, in people's words: four buttons below it, and who said what."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.actions.reviews import review_critique, undo_review
from cai_core.errors import CaiError
from cai_core.records import AccessRole, CritiqueVerdict
from cai_core.workspace.index.reviews import CritiqueReview
from cai_core.workspace.review_critiques import CritiqueVote
from cai_core.workspace.review_fields import MAX_REASON
from cai_core.workspace.review_votes import list_revisions
from ui import services
from ui.constitution_address import describe_time
from ui.look import build_badge, build_card, build_error, escape

VERDICTS = {
    CritiqueVerdict.RIGHT: "Right",
    CritiqueVerdict.PARTLY: "Partly",
    CritiqueVerdict.WRONG: "Wrong",
    CritiqueVerdict.NOT_NEEDED: "Not needed",
}
VERDICT_HELP = {
    CritiqueVerdict.RIGHT: "It says what is so: a problem that is there, or that there is none.",
    CritiqueVerdict.PARTLY: "Some of it is so; some is not, or is missing.",
    CritiqueVerdict.WRONG: "It misses a problem, makes one up, or names another.",
    CritiqueVerdict.NOT_NEEDED: "Nothing here was for this principle to criticise.",
}
_FAILED, _REASON = "review_failed", "review_reason_{place}"
STYLE = """<style>
[class*="st-key-review_box_"] { border-left: 3px solid light-dark(#3b6fd4, #8ab4f8);
  padding-left: 0.8rem; }
[class*="st-key-review_row_"] > :first-child { flex: 1 1 15rem; min-width: 0; }
[class*="st-key-review_row_"] button { min-height: 2.25rem; }
.cai-review { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.2rem 0.5rem;
  font-size: 0.9rem; margin: 0; }
.cai-review > span, .cai-review b { min-width: 0; overflow-wrap: anywhere; }
.cai-review b, .cai-review .cai-icon { color: light-dark(#2f5db8, #8ab4f8); }
.cai-review .cai-icon { align-self: center; }
.cai-review .cai-why { flex: 1 1 100%; white-space: pre-wrap; max-width: 75ch; }
</style>"""


def find_focus(rounds: Sequence[int], said: Sequence[CritiqueReview]) -> int | None:
    """The round whose critique the keys 1 to 4 are for: the first that this person has not judged.

    Args:
        rounds: of the chain's critiques, in order. said: what everybody says of the chain.
    """
    done = {review.round for review in said if review.reviewer == services.actor().name}
    return next((round_ for round_ in rounds if round_ not in done), None)


def find_latest(said: Sequence[CritiqueReview]) -> str | None:
    """Id of this person's newest review of a chain, which the key U takes back."""
    own = [review for review in said if review.reviewer == services.actor().name]
    return max(own, key=lambda review: review.place).review if own else None


def review_fields(
    chain: str,
    run: str,
    round_: int,
    said: Sequence[CritiqueReview],
    *,
    with_keys: bool,
    latest: str | None,
) -> None:
    """Render what is said of one critique, and the buttons by which to say it.

    Args:
        chain: row id of the chain's initial response; `run` is the run that holds it.
        said: of this critique.
        with_keys: whether the keys 1 to 4 are this critique's.
        latest: see `find_latest`.
    """
    may = services.actor().role.includes(AccessRole.REVIEWER)
    revisions = list_revisions(services.workspace(), chain)
    texts = [one for one in revisions if one.round == round_]
    if not said and not texts and not may:
        return
    place = f"{chain}_{round_}"
    own = next((one for one in said if one.reviewer == services.actor().name), None)
    with st.container(key=f"review_box_{place}", gap="xsmall"):
        if said:
            st.html("".join(build_review(one) for one in said))
        for own_text in texts:
            st.html(_build_revision(own_text))
        if may:
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"review_row_{place}"
            ):
                _buttons(chain, run, round_, own, with_keys=with_keys)
                if own is not None:
                    _undo_button(chain, run, round_, own, with_key=own.review == latest)
        failed = st.session_state.get(_FAILED)
        if failed is not None and failed[0] == place:
            del st.session_state[_FAILED]
            st.html(build_error("Not kept", failed[1]))


def build_review(review: CritiqueReview) -> str:
    """Who says what of a critique, and why, as HTML."""
    badges = build_badge("blind", quiet=True) if review.blind else ""
    why = f'<span class="cai-why">{escape(review.reason)}</span>' if review.reason else ""
    return (
        '<div class="cai-review"><span class="cai-icon" aria-hidden="true">how_to_reg</span>'
        f"<b>{escape(VERDICTS[review.verdict])}</b><span>{escape(review.reviewer)}</span>{badges}"
        f'<span class="cai-quiet">{escape(describe_time(review.at))}</span>{why}</div>'
    )


def _build_revision(vote: CritiqueVote) -> str:
    """What a person would have the revision say, as HTML."""
    badge = f'<span class="cai-quiet">{escape(vote.reviewer)}</span>'
    return build_card("revision", "A person’s revision", escape(vote.revision), badges=badge)


def _buttons(
    chain: str, run: str, round_: int, own: CritiqueReview | None, *, with_keys: bool
) -> None:
    place = f"{chain}_{round_}"
    st.text_input(
        f"Reason for your verdict on critique {round_}",
        key=_REASON.format(place=place),
        max_chars=MAX_REASON,
        placeholder="Is this critique right? A reason, if you like",
        label_visibility="collapsed",
    )
    for number, (verdict, label) in enumerate(VERDICTS.items(), start=1):
        chosen = own is not None and own.verdict is verdict
        st.button(
            label,
            key=f"review_{verdict.name.lower()}_{place}",
            type="primary" if chosen else "secondary",
            shortcut=str(number) if with_keys else None,
            help=VERDICT_HELP[verdict],
            on_click=_review,
            args=(chain, run, round_, verdict, own.review if own else None),
        )


def _undo_button(chain: str, run: str, round_: int, own: CritiqueReview, *, with_key: bool) -> None:
    st.button(
        "Undo",
        # With the key it is one button that moves, so that a fast U is never an older one's.
        key=f"review_undo_{chain}_{'latest' if with_key else round_}",
        type="tertiary",
        icon=":material/undo:",
        shortcut="U" if with_key else None,
        help="Take your verdict back; one that you gave before it counts again.",
        on_click=_undo,
        args=(chain, run, own.review),
        kwargs={"latest": with_key},
    )


def _review(chain: str, run: str, round_: int, verdict: CritiqueVerdict, seen: str | None) -> None:
    """Keep a verdict.

    Args:
        seen: id of the person's review that the page showed when they pressed. Where there is a
            newer one, the press came too fast for the page: it was meant for what comes next, or
            was a double click, and does nothing.
    """
    place = f"{chain}_{round_}"
    try:
        standing = {one.review for one in _list_own(chain) if one.round == round_}
        if standing != ({seen} if seen else set()):
            return
        review_critique(
            services.actor(),
            services.workspace(),
            chain=chain,
            run=run,
            round=round_,
            verdict=verdict,
            reason=st.session_state.get(_REASON.format(place=place)) or "",
        )
        services.index().ingest()
    except CaiError as error:
        st.session_state[_FAILED] = (place, str(error))
        return
    st.session_state[_REASON.format(place=place)] = ""


def _undo(chain: str, run: str, review: str, *, latest: bool) -> None:
    """Take a review back: the newest of the chain where `latest`, though the page shows another.

    One that is gone already was pressed twice.
    """
    place = ""
    try:
        own = {one.review: one for one in _list_own(chain)}
        if review not in own:
            return
        taken = max(own.values(), key=lambda one: one.place) if latest else own[review]
        place = f"{chain}_{taken.round}"
        undo_review(
            services.actor(),
            services.workspace(),
            chain=chain,
            run=run,
            round=taken.round,
            review=taken.review,
        )
        services.index().ingest()
    except CaiError as error:
        st.session_state[_FAILED] = (place, str(error))


def _list_own(chain: str) -> list[CritiqueReview]:
    name = services.actor().name
    return [one for one in services.index().list_reviews(chain) if one.reviewer == name]
