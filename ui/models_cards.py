"""One model's card as HTML: what it is, how its server is, what a check found. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from cai_core.inference.capabilities import Capability
from cai_core.inference.endpoints import ROLES, EndpointBook, EndpointConfig
from cai_core.pipeline.model_look import ServerView
from cai_core.pipeline.model_service import CheckView
from ui.constitution_address import describe_time
from ui.look import build_badge, escape
from ui.models_words import (
    ICONS,
    KINDS,
    ROLE_NAMES,
    STATES,
    describe_model,
    describe_price,
    describe_seconds,
)

_SUPPORT = {"yes": ("✓", "yes", "good"), "no": ("✕", "no", "still")}


def build_head(
    config: EndpointConfig, book: EndpointBook, server: ServerView, check: CheckView | None
) -> str:
    """Name, kind, roles, and the state, which screen readers say whenever it changes."""
    roles = [ROLE_NAMES[role] for role in ROLES if book.roles[role] == config.name]
    badges = "".join(f'<span class="cai-role">{build_badge(role)}</span>' for role in roles)
    sign, words, tone = STATES[server.state]
    if config.kind == "url" and check is not None and check.state != "running":
        sign, words, tone = (
            ("●", "answers", "good") if check.state == "done" else ("✕", "check failed", "bad")
        )
    return (
        '<div class="cai-model"><span class="cai-title"><span class="cai-icon" aria-hidden="true">'
        f'{ICONS[config.kind]}</span><h2 class="cai-h2">{escape(config.name)}</h2></span>'
        f"{build_badge(KINDS[config.kind], quiet=True)}{badges}"
        f'<span role="status" class="cai-state cai-tone-{tone}">'
        f'<span aria-hidden="true">{sign}</span> {escape(words)}</span></div>'
    )


def build_facts(config: EndpointConfig, server: ServerView, now: float) -> str:
    """What is written down about an endpoint, and where its server is."""
    facts = [("Model", describe_model(config)), ("Where", _describe_place(server, now))]
    if config.kind == "url":
        facts.append(("Key", describe_key(config.key_env)))
    if config.options:
        facts.append(("Options", " ".join(config.options)))
    facts.append(("At once", f"up to {config.concurrency:,} requests"))
    if config.kind == "url" or config.price_prompt is not None:
        facts.append(("Price", describe_price(config)))
    return _build_list(facts)


def describe_key(variable: str | None) -> str:
    """Whether the key is there; never the key."""
    if variable is None:
        return "none asked for"
    there = bool(os.environ.get(variable, "").strip())
    return f"✓ {variable} is set" if there else f"✕ {variable} is not set where the app was started"


def build_trouble(server: ServerView) -> str:
    """What is to be said about the server: an alarm where it failed, else a quiet word."""
    if not server.reason:
        return ""
    if server.state == "failed":
        return _build_reason(server.reason)
    return f'<div class="cai-quiet cai-wrap">{escape(server.reason)}</div>'


def build_check(check: CheckView | None, now: float) -> str:
    """The latest check in a line or two; nothing where there was none."""
    if check is None:
        return ""
    if check.state == "running":
        # The clock stands outside of what screen readers say at every change.
        clock = f'<span class="cai-quiet cai-clock">{describe_seconds(now - check.begun)}</span>'
        sign = '<span aria-hidden="true">◌</span>'
        words = f'{sign} <span role="status">Checking</span> {clock}'
        return f'<div class="cai-state cai-tone-busy">{words}</div>'
    if check.result is None:
        return _build_reason(check.error)
    found, result = check.result.found, check.result
    engine = f"{found.engine} {found.engine_version}".strip()
    context = f"{found.context_length:,} tokens" if found.context_length else "not told"
    at = describe_time(datetime.fromtimestamp(result.at, UTC).isoformat())
    facts = [
        ("Engine", engine),
        ("Serves", found.model_id),
        ("Context", context),
        ("Scoring", f"by {found.scoring_way}" if found.scoring_way else "options cannot be scored"),
        ("Checked", f"{at}, in {result.seconds:.1f} s"),
    ]
    return _build_list(facts)


def build_abilities(abilities: Sequence[Capability]) -> str:
    """A table of what an endpoint can do, how that is known, and what is done without it."""
    rows = "".join(_build_ability(ability) for ability in abilities)
    return (
        '<table class="cai-able"><thead><tr><th>Ability</th><th>There</th><th>How it is known</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def count_abilities(abilities: Sequence[Capability]) -> str:
    """How many abilities are there, in words."""
    there = sum(ability.support == "yes" for ability in abilities)
    return f"What it can do: {there} of {len(abilities)} abilities"


def _build_ability(ability: Capability) -> str:
    sign, word, tone = _SUPPORT.get(ability.support, ("?", "unknown", "still"))
    more = escape(ability.evidence)
    if ability.fallback and ability.support != "yes":
        more += f'<div class="cai-quiet">{escape(f"Instead: {ability.fallback}")}</div>'
    return (
        f"<tr><td>{escape(ability.name.replace('_', ' '))}</td>"
        f'<td class="cai-tone-{tone}"><span aria-hidden="true">{sign}</span> {word}</td>'
        f"<td>{more}</td></tr>"
    )


def _build_list(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f'<dl class="cai-facts">{rows}</dl>'


def _build_reason(text: str) -> str:
    body = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
    return f'<div role="alert" class="cai-reason cai-tone-bad">{body}</div>'


def _describe_place(server: ServerView, now: float) -> str:
    words = [server.url or "on this machine, once started"]
    if server.pid is not None and server.runs:
        words.append(f"pid {server.pid}")
    if server.since is not None and server.runs:
        words.append(f"for {describe_seconds(now - server.since)}")
    return " · ".join(words)
