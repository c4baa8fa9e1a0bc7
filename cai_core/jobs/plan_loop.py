"""The whole loop as a plan, from few choices: SL-CAI, labels, RL or DPO, and answers. Pure.

    chains, fine → sl → samples → labels ┐
    chains → refuser → refused + fine → labels-helpful ┴→ rm → rl, and dpo; each model's answers

With the demo model in its usual size it is data/recipes/demo.yaml; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cai_core.jobs.plan import FORMAT
from cai_core.jobs.plan_loop_choices import COUNTS, Counts, LoopChoices
from cai_core.jobs.plan_yaml import dump_value

TRAIN, HELD_OUT = "split:train", "split:held-out"
# Helpfulness comparisons are about something else than harm.
_HELPFUL_CONSTITUTION, _HELPFUL_PRINCIPLES = "helpful-honest-harmless", ("helpful",)
_HEAD = (
    "The whole of Constitutional AI: SL-CAI, comparisons, labels by a feedback model, {how}, and "
    "each model's answers to held-out prompts."
)
_COMMENTS: Mapping[str, str] = {
    "chains": "SL-CAI: self-critique and revision, then fine-tuning with answers to helpful "
    "prompts mixed in.",
    "samples": "Comparisons: two samples a prompt, and each first response against its last "
    "revision.",
    "refuser": "Helpfulness comparisons: answers to fine prompts against those of a model that "
    "learned refusals alone. Without them a policy learns to refuse everything.",
    "rm": "The reward model, and RL against it.",
    "dpo": "The same labels without a reward model.",
    "base-redteam": "What each model answers to prompts that nothing was trained on.",
}
_WIDTH = 62


def build_loop(choices: LoopChoices) -> str:
    """The plan's text, with a comment before each part."""
    how = " and ".join(
        {"rl": "RL against a reward model", "dpo": "DPO"}[one] for one in choices.training
    )
    lines = [f"# {line}\n" for line in _wrap(_HEAD.format(how=how))]
    lines.append(f"format: {FORMAT}\nname: {dump_value(choices.name)}\nruns:\n")
    for entry in _list_runs(choices):
        lines += _write_run(entry, _COMMENTS.get(entry["name"], ""))
    return "".join(lines)


def _list_runs(choices: LoopChoices) -> Iterator[dict[str, Any]]:
    counts = COUNTS[choices.in_demo_world, choices.size]
    red, fine, base = choices.red_team, choices.helpful, choices.base
    yield _revise(
        choices,
        "chains",
        red,
        base,
        counts.chains,
        revisions=2 if choices.in_demo_world else 4,
        seed=1,
    )
    yield _revise(choices, "fine", fine, base, counts.fine, revisions=0, seed=2)
    mixed: list[dict[str, Any]] = [
        {"run": "chains", "use": "final"},
        {"run": "fine", "use": "initial", "share": 0.6},
    ]
    yield _sft(choices, "sl", mixed, counts.epochs)
    yield _revise(choices, "samples", red, "run:sl", counts.samples, revisions=0, samples=2, seed=3)
    yield {
        "name": "labels",
        "kind": "label",
        "sources": [{"run": "samples"}, {"run": "chains", "pairs": "revision", "share": 0.4}],
        "feedback_model": choices.feedback_model,
        "constitution": choices.constitution,
    }
    yield _sft(choices, "refuser", [{"run": "chains", "use": "final"}], counts.refuser_epochs)
    yield _revise(choices, "refused", fine, "run:refuser", counts.refused, revisions=0, seed=4)
    yield {
        "name": "labels-helpful",
        "kind": "label",
        "sources": [{"run": "fine", "against": "refused"}],
        "feedback_model": choices.feedback_model,
        "constitution": _HELPFUL_CONSTITUTION,
        "principles": list(_HELPFUL_PRINCIPLES),
    }
    if "rl" in choices.training:
        yield _reward(choices)
        yield _rl(choices, counts.steps)
    if "dpo" in choices.training:
        yield _dpo(choices)
    made = {"base": base, "sl": "run:sl", **{name: f"run:{name}" for name in ("rl", "dpo")}}
    for name, model in made.items():
        if name in ("base", "sl", *choices.training):
            for kind, prompts in (("redteam", red), ("fine", fine)):
                yield _answers(choices, f"{name}-{kind}", prompts, model, counts)


def _revise(
    choices: LoopChoices, name: str, prompts: str, model: str, limit: int | None, **chain: int
) -> dict[str, Any]:
    where: dict[str, Any] = {"tags": [TRAIN]}
    if limit is not None:
        where["limit"] = limit
    return _build_revise(choices, name, prompts, model, where, chain)


def _answers(
    choices: LoopChoices, name: str, prompts: str, model: str, counts: Counts
) -> dict[str, Any]:
    where: dict[str, Any] = {"tags": [HELD_OUT]}
    if counts.held_out is not None:
        where["limit"] = counts.held_out
    chain = {"revisions": 0, "samples": counts.answers, "seed": 7}
    return _build_revise(choices, name, prompts, model, where, chain)


def _build_revise(
    choices: LoopChoices,
    name: str,
    prompts: str,
    model: str,
    where: Mapping[str, Any],
    chain: Mapping[str, int],
) -> dict[str, Any]:
    # The demo model's context is short.
    sampling = {"max_tokens": 128 if choices.in_demo_world else 512}
    return {
        "name": name,
        "kind": "revise",
        "prompts": prompts,
        "where": dict(where),
        "constitution": choices.constitution,
        "model": model,
        "chain": {**chain, "policy_sampling": sampling, "critic_sampling": dict(sampling)},
    }


def _train(choices: LoopChoices, *, demo_rate: float, rate: float, micro: int) -> dict[str, Any]:
    """How anything is trained: a small model in full, others by LoRA."""
    if choices.in_demo_world:
        return {"method": "full", "learning_rate": demo_rate, "batch_size": 32, "micro_batch": 32}
    return {"method": "lora", "learning_rate": rate, "batch_size": 32, "micro_batch": micro}


def _fit(choices: LoopChoices) -> dict[str, Any]:
    """What memory and precision ask for."""
    if choices.in_demo_world:
        return {"max_length": 384, "precision": "fp32"}
    return {"max_length": 2048, "precision": "auto", "gradient_checkpointing": True}


def _sft(
    choices: LoopChoices, name: str, sources: list[dict[str, Any]], epochs: int
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "sft",
        "base": choices.base,
        "sources": sources,
        **_train(choices, demo_rate=1e-3, rate=1e-4, micro=4),
        "epochs": epochs,
        **_fit(choices),
    }


def _list_pairs() -> list[dict[str, Any]]:
    return [{"run": "labels"}, {"run": "labels-helpful", "share": 0.5}]


def _reward(choices: LoopChoices) -> dict[str, Any]:
    return {
        "name": "rm",
        "kind": "reward",
        "base": "run:sl",
        "sources": _list_pairs(),
        **_train(choices, demo_rate=1e-3, rate=1e-4, micro=4),
        "epochs": 2 if choices.in_demo_world else 1,
        **_fit(choices),
    }


def _rl(choices: LoopChoices, steps: int) -> dict[str, Any]:
    demo = choices.in_demo_world
    algorithm = {} if choices.algorithm == "rloo" else {"algorithm": choices.algorithm}
    return {
        "name": "rl",
        "kind": "rl",
        "base": "run:sl",
        "prompts": [choices.red_team, choices.helpful],
        "where": {"tags": [TRAIN]},
        "red_team_share": 0.25,
        "rewards": [{"kind": "reward-model", "model": "run:rm"}],
        **algorithm,
        "steps": steps,
        "prompts_per_step": 16 if demo else 32,
        "generations": 4,
        "micro_batch": 64 if demo else 8,
        "max_tokens": 96 if demo else 512,
        "learning_rate": 1e-4 if demo else 1e-5,
        # Chosen on prompts that were trained on: at TRL's 0.05 one of two reward models made the
        # demo model refuse 6.8 % of fine prompts, at 0.1 both stayed below 4 %.
        **({"beta": 0.1} if demo else {}),
        "method": "full" if demo else "lora",
        "precision": "fp32" if demo else "auto",
        **({} if demo else {"gradient_checkpointing": True}),
    }


def _dpo(choices: LoopChoices) -> dict[str, Any]:
    return {
        "name": "dpo",
        "kind": "dpo",
        "base": "run:sl",
        "sources": _list_pairs(),
        **_train(choices, demo_rate=3e-5, rate=5e-6, micro=2),
        "epochs": 1,
        **_fit(choices),
    }


def _write_run(entry: Mapping[str, Any], comment: str) -> Iterator[str]:
    """A run as people write it: a line a key, a line a source."""
    yield from (f"  # {line}\n" for line in _wrap(comment))
    for place, (key, value) in enumerate(entry.items()):
        lead = "    " if place else "  - "
        if key == "sources" and len(value) > 1:
            yield f"{lead}{key}:\n"
            yield from (f"      - {dump_value(source)}\n" for source in value)
        else:
            yield f"{lead}{key}: {dump_value(value)}\n"


def _wrap(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    if line:
        yield line
