"""The pairs that a recipe trains on, from the `label` runs of a workspace and what people say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cai_core.errors import CaiError, RunMismatchError
from cai_core.pipeline.human_labels import People, load_people, people_hash
from cai_core.pipeline.inputs import FOLDER
from cai_core.pipeline.label_inputs import HUMAN
from cai_core.pipeline.label_records import read_labels
from cai_core.training.preference_recipe import PairRecipe
from cai_core.training.preferences import PreferenceDataset, build_preference_dataset
from cai_core.training.reviewed_labels import review_label
from cai_core.workspace.runs import Run


def build_run_dataset(
    recipe: PairRecipe, workspace: Path, people: People | None = None
) -> PreferenceDataset:
    """Read the labels of every source and build the pairs.

    Args:
        people: what they say of the comparisons, for a recipe that asks for it; None leaves the
            labels as they are.

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
        review=None
        if people is None
        else partial(
            review_label,
            people=people,
            use_human=recipe.use_human,
            drop_disputed=recipe.drop_disputed,
        ),
    )


def load_run_people(recipe: PairRecipe, run: Run) -> People | None:
    """What people say, as the run carries it in its inputs; None where it asks for none.

    Raises:
        RunMismatchError: the file is missing, damaged, or not the one that the recipe names.
    """
    if recipe.human_hash is None:
        return None
    path = run.path / FOLDER / HUMAN
    try:
        people = load_people(path)
    except (CaiError, OSError) as error:
        raise RunMismatchError(
            f"{path}: what people say cannot be read: {error} Or start a new run."
        ) from error
    if people_hash(people) != recipe.human_hash:
        raise RunMismatchError(
            f"{path}: its hash is {people_hash(people)!s:.12}, the recipe says "
            f"{recipe.human_hash:.12}. Bring the old file back from a backup, or start a new run."
        )
    return people
