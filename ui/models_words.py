"""The models page's words and style: kinds, states, roles, and how long something has lasted."""

from __future__ import annotations

from cai_core.inference.endpoints import EndpointConfig, EndpointKind, ModelRole
from cai_core.inference.model_folder import DEMO
from cai_core.pipeline.model_look import ServerState
from ui.look import make_showable

KINDS: dict[EndpointKind, str] = {
    "bundled": "Bundled server",
    "vllm": "vLLM on this machine",
    "url": "A server's URL",
}
ICONS: dict[EndpointKind, str] = {"bundled": "memory", "vllm": "developer_board", "url": "cloud"}
# A sign, words, and a tone of the style below; never colour alone.
STATES: dict[ServerState, tuple[str, str, str]] = {
    "unknown": ("…", "looking", "still"),
    "absent": ("○", "not running", "still"),
    "starting": ("◌", "starting", "busy"),
    "ready": ("●", "running", "good"),
    "restarting": ("◌", "restarting", "busy"),
    "failed": ("✕", "failed", "bad"),
    "stopping": ("◌", "stopping", "busy"),
    "elsewhere": ("○", "not checked yet", "still"),
}
ROLE_NAMES: dict[ModelRole, str] = {
    "policy": "Policy",
    "critic": "Critic",
    "feedback": "Feedback model",
    "judge": "Judge",
}
ROLE_LINES: dict[ModelRole, str] = {
    "policy": "Answers prompts and revises its answers; the model that is trained.",
    "critic": "Writes the critiques by which the policy revises.",
    "feedback": "Labels which of two answers is better. Its labels become training data.",
    "judge": "Evaluates what came out. Its verdicts never become training data.",
}

STYLE = """<style>
[class*="st-key-model_card_"] { border: 1px solid light-dark(#d6dae3, #343948);
  border-radius: 0.5rem; padding: 0.8rem 1rem 0.9rem; background: light-dark(#ffffff, #171a23); }
.cai-model { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 0.6rem; }
[class*="st-key-model_ways_"] button { min-height: 2rem; padding: 0.15rem 0.6rem; }
.cai-model .cai-icon { color: light-dark(#475569, #b3c0d3); }
.cai-state { font-size: 0.85rem; font-weight: 600; overflow-wrap: anywhere; }
.cai-tone-still { color: light-dark(#5b6270, #a3aab8); }
.cai-tone-busy { color: light-dark(#a04a06, #fbbf4d); }
.cai-tone-good { color: light-dark(#136c34, #6ee7a0); }
.cai-tone-bad { color: light-dark(#b42318, #fda29b); }
.cai-model .cai-badge { display: inline-block; vertical-align: middle; }
.cai-role { display: inline-flex; color: light-dark(#4f46e5, #a5b4fc); }
dl.cai-facts.cai-facts { padding: 0; }
.cai-facts { display: grid; grid-template-columns: minmax(4.2rem, max-content) minmax(0, 1fr);
  gap: 0.1rem 0.9rem; margin: 0.5rem 0 0; font-size: 0.9rem; }
.cai-facts dt { color: light-dark(#5b6270, #a3aab8); }
.cai-facts dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.cai-reason { margin-top: 0.5rem; font-size: 0.9rem; white-space: pre-wrap;
  overflow-wrap: anywhere; max-height: 12em; overflow-y: auto;
  border-left: 3px solid currentColor; padding-left: 0.7rem; }
.cai-able { width: 100%; border-collapse: collapse; font-size: 0.85rem; }
.cai-able th { text-align: left; font-weight: 600; padding: 0.2rem 0.8rem 0.2rem 0;
  color: light-dark(#5b6270, #a3aab8); }
.cai-able td { vertical-align: top; padding: 0.25rem 0.8rem 0.25rem 0; overflow-wrap: anywhere;
  border-top: 1px solid light-dark(#e6e8ee, #2a2f3c); }
.cai-able td:nth-child(2) { white-space: nowrap; font-weight: 600; }
.st-key-model_roles .cai-text { font-size: 0.9rem; line-height: 1.45; }
.st-key-model_form { max-width: 44rem; }
.st-key-model_hints button { min-height: 2rem; }
@media (max-width: 640px) { .cai-facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .cai-facts dd { margin-bottom: 0.35rem; } }
</style>"""


def describe_model(config: EndpointConfig) -> str:
    """Which model an endpoint is, for a line beside its name."""
    if (config.kind, config.model) == ("bundled", DEMO):
        return "the bundled demo model"
    return make_showable(config.model or config.urls[0])


def describe_price(config: EndpointConfig) -> str:
    """What tokens cost."""
    prices = (config.price_prompt, config.price_completion)
    if prices == (None, None):
        return "not given"
    told = [("?" if price is None else f"${price:,.2f}") for price in prices]
    return f"{told[0]} prompt, {told[1]} completion, for a million tokens"


def describe_seconds(seconds: float) -> str:
    """A length of time in its largest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
