"""Where the constitutions page is: what its URL names, and messages from one run to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from zoneinfo import ZoneInfo

import streamlit as st

from cai_core.records import AccessRole
from cai_core.workspace.version_labels import LabelMove
from cai_core.workspace.versions import SHORT, VersionInfo
from ui import services
from ui.look import build_badge, build_card, build_error, escape

# What somebody who chose nothing yet is shown: the demo model was made for it.
FIRST = "harmlessness"
_MESSAGE = "constitution_message"
_NUMBER = re.compile(r"[0-9]{1,5}")
_PREFIX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The page's URL, as somebody typed or followed it: nothing in it is to be trusted.

    Attributes:
        version: a version's number, or at least 6 digits of its hash (as other pages link it).
        against: a version that the shown one is compared with, told like `version`.
        principle: key of the draft's principle that is being edited.
        step: what is done with the draft: `review`, `try`, `yaml`; empty for its form.
        before, after: ids of two runs whose behavioural diff is shown.
    """

    constitution: str = ""
    version: str = ""
    draft: str = ""
    principle: str = ""
    step: str = ""
    against: str = ""
    before: str = ""
    after: str = ""


def read_address() -> Address:
    """What the URL says."""
    get = st.query_params.get
    return Address(
        constitution=get("constitution", ""),
        version=get("version", ""),
        draft=get("draft", ""),
        principle=get("principle", ""),
        step=get("step", ""),
        against=get("against", ""),
        before=get("before", ""),
        after=get("after", ""),
    )


def go(**wanted: str) -> None:
    """Make the URL say this and nothing else. For callbacks."""
    st.query_params.from_dict(wanted)


def find_version(versions: list[VersionInfo], wanted: str) -> VersionInfo | None:
    """The version of that number, or else the newest whose hash begins so."""
    if _NUMBER.fullmatch(wanted):
        return next((v for v in versions if v.number == int(wanted)), None)
    if _PREFIX.fullmatch(wanted):
        return next((v for v in versions if v.hash.startswith(wanted)), None)
    return None


def can_edit() -> bool:
    """Whether who sits before the page may change anything on it."""
    return services.actor().role.includes(AccessRole.EDITOR)


def leave_message(
    kind: Literal["error", "note"], title: str, text: str, *, place: str = "page"
) -> None:
    """Say something at the next run, from a callback.

    Args:
        place: where `show_message` shall show it. What has a button must not be above it: when
            the message goes, the button would slip away from under the mouse.
    """
    st.session_state[_MESSAGE] = (place, kind, title, text)


def show_message(place: str = "page") -> None:
    """Show what a callback left for this place, once."""
    message = st.session_state.get(_MESSAGE)
    if message is not None and message[0] == place:
        del st.session_state[_MESSAGE]
        _, kind, title, text = message
        is_error = kind == "error"
        st.html(build_error(title, text) if is_error else build_card("note", title, escape(text)))


def build_key(prefix: str, text: str) -> str:
    """A widget's key that follows a text and not its place in a list."""
    return f"{prefix}_{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def build_facts(version: VersionInfo) -> str:
    """Who saved a version, when, and its short hash, as HTML."""
    by = "comes with the workbench"
    if not version.shipped:
        by = f"{version.actor}, {describe_time(version.at)}"
    badge = build_badge("restored", quiet=True) if version.restored else ""
    others = [name for name in version.authors if name != version.actor]
    written = f" · written with {', '.join(others)}" if others else ""
    name, _, origin = (version.forked_from or "").partition("@")
    forked = f" · forked from {name} {origin[:SHORT]}" if name else ""
    return (
        f'<div class="cai-quiet">{escape(by + written + forked)} · '
        f"<code>{escape(version.hash[:SHORT])}</code> {badge}</div>"
    )


def describe_version(version: VersionInfo) -> str:
    """A version's name in a sentence."""
    return "shipped version" if version.shipped else f"version {version.number}"


def name_version(version: VersionInfo) -> str:
    """A version's name inside a sentence, with its article."""
    return "the shipped version" if version.shipped else f"version {version.number}"


def build_label_badges(labels: Iterable[LabelMove], version_hash: str) -> str:
    """The labels that point to a version, as HTML."""
    found = [move.label for move in labels if move.hash == version_hash]
    return " ".join(build_badge(label) for label in found)


def describe_save(head: VersionInfo) -> str:
    """Who made this version the newest one, as the beginning of a sentence."""
    if head.shipped:
        return "A new release of the workbench brought another shipped version"
    return f"{head.actor} saved {describe_version(head)}"


def describe_count(count: int, one: str) -> str:
    """A number with its noun."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def describe_time(at: str, *, clock: bool = False) -> str:
    """A moment as the reader's clock shows it; `clock` leaves the day out and adds the seconds."""
    try:
        moment = datetime.fromisoformat(at)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        return at
    try:
        moment, zone = moment.astimezone(ZoneInfo(st.context.timezone or "")), ""
    except (ValueError, OSError, KeyError):  # none told, or one that this machine does not know
        moment, zone = moment.astimezone(UTC), " UTC"
    words = moment.strftime("%H:%M:%S") if clock else moment.strftime("%-d %b %Y, %H:%M")
    return words + zone
