"""The pairs that a recipe trains on, from the `label` runs of a workspace."""

from __future__ import annotations

from pathlib import Path

from cai_core.pipeline.label_records import read_labels
from cai_core.training.preference_recipe import PairRecipe
from cai_core.training.preferences import PreferenceDataset, build_preference_dataset


def build_run_dataset(recipe: PairRecipe, workspace: Path) -> PreferenceDataset:
    """Read the labels of every source and build the pairs.

    Raises:
        RecipeError: nothing is left to train on.
        WorkspaceError: a run has no labels, or a line is damaged.
    """
    sources = [(source, read_labels(workspace / "runs" / source.run)) for source in recipe.sources]
    return build_preference_dataset(
        sources,
        soft=recipe.soft,
        eval_share=recipe.eval_share,
        seed=recipe.seed,
        shuffled=recipe.shuffled,
    )
