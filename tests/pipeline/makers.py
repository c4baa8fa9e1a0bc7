"""Constitutions, prompts and setups for tests."""

from __future__ import annotations

from typing import Any

from cai_core.constitution.model import with_hash
from cai_core.pipeline.critique_revision import ChainSetup, prepare
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Constitution, Message, Principle, Prompt
from tests.pipeline.engines import HashEngine


def make_constitution(principles: int = 5) -> Constitution:
    return with_hash(
        Constitution(
            name="manners",
            description="For tests.",
            principles=tuple(
                Principle(
                    id=f"p{n}",
                    text=f"Be kind in way {n}.",
                    critique_request=f"Is it kind in way {n}?",
                    revision_request=f"Make it kind in way {n}.",
                )
                for n in range(principles)
            ),
        )
    )


def make_prompts(count: int = 4) -> tuple[Prompt, ...]:
    return tuple(
        build_prompt((Message("user", f"How do I do thing {n}?"),), number=n + 1)
        for n in range(count)
    )


async def make_setup(
    engine: HashEngine, critic: HashEngine | None = None, **changes: Any
) -> ChainSetup:
    constitution = changes.pop("constitution", make_constitution())
    few_shot = changes.pop("few_shot", ())
    run_id = changes.pop("run_id", "run")
    recipe = ChainRecipe(**{"revisions": 2, "seed": 7, **changes})
    return await prepare(recipe, constitution, engine, critic, few_shot=few_shot, run_id=run_id)
