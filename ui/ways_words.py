"""The playground's comparison of ways: names, sentences and style."""

from __future__ import annotations

from cai_core.pipeline.ways_recipe import Way, WaysRecipe
from ui.chain_settings import name_model

NAMES: dict[Way, str] = {
    Way.PLAIN: "Plain",
    Way.SYSTEM_PROMPT: "Constitution as system prompt",
    Way.BEST_OF_N: "Best of n",
    Way.OTHER_MODEL: "Another model",
}
# Measured: of 120 answers to held-out harmful prompts none was of the demo world any more.
DEMO_SYSTEM_PROMPT = (
    "The demo model was never trained with a system prompt. Its chat template takes one, and its "
    "answers then fall apart: they are words without sense, neither safer nor more helpful. Choose "
    "a model that follows system prompts to see what one does."
)
STYLE = """<style>
.st-key-ways [role="toolbar"] { flex-wrap: wrap; overflow: visible; }
.cai-ways-cost { color: light-dark(#5b6270, #a3aab8); font-size: 0.85rem; margin-top: 0.5rem; }
.cai-remarks { display: flex; flex-wrap: wrap; gap: 0.3rem; }
.cai-remark-bad { color: light-dark(#b42318, #fda29b); }
.cai-remark-good { color: light-dark(#136c34, #6ee7a0); }
.cai-remark-plain { color: light-dark(#5b6270, #a3aab8); }
.cai-remarks .cai-badge { white-space: normal; overflow-wrap: anywhere; }
.cai-ways-more { margin-top: 0.5rem; font-size: 0.9rem; }
.cai-ways-more > summary { cursor: pointer; color: light-dark(#5b6270, #a3aab8); }
.cai-ways-more > div { margin-top: 0.4rem; }
.cai-ways-one { border-left: 2px solid light-dark(#d5d9e2, #3a4150); padding-left: 0.75rem;
  margin: 0.5rem 0; white-space: normal; }
.cai-ways-one .cai-ways-said { white-space: pre-wrap; overflow-wrap: anywhere; }
.cai-ways-match { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr);
  gap: 0.1rem 0.8rem; margin: 0.35rem 0; white-space: normal; overflow-wrap: anywhere; }
</style>"""


def name_way(way: Way, recipe: WaysRecipe) -> str:
    """The head of a way's column."""
    if way is Way.BEST_OF_N:
        return f"Best of {recipe.n}"
    if way is Way.OTHER_MODEL:
        return name_model(recipe.other_model or "")
    return NAMES[way]


def describe_way(way: Way, recipe: WaysRecipe) -> str:
    """What the way is, in a line under its name."""
    model = name_model(recipe.model)
    match way:
        case Way.PLAIN:
            return f"{model}, as it is"
        case Way.SYSTEM_PROMPT:
            return f"{model} under {recipe.constitution}"
        case Way.BEST_OF_N if recipe.n == 1:
            return f"{model}; with one sample nobody is asked"
        case Way.BEST_OF_N:
            judge = name_model(recipe.feedback_model or "")
            return f"{model}; {judge} chooses by {recipe.constitution}"
        case Way.OTHER_MODEL:
            return "another model, as it is"
