"""The name of each field beside a plan's text, and its help: one line, in the field's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ui.look import escape_markdown

_LONGEST_NAME = 40
# Dotted key, without the numbers of sources and rewards → label, help. `kind:key` comes before
# `key`, where one means another thing in that kind.
_WORDS: Mapping[str, tuple[str, str]] = {
    "prompts": ("Prompt set", "Its newest version, or NAME@HASH for one version."),
    "rl:prompts": (
        "Prompt sets",
        "What the policy answers in training: red-team and helpful ones.",
    ),
    "constitution": ("Constitution", "Its newest version, or NAME@HASH for one version."),
    "label:constitution": (
        "Constitution",
        "Its comparison requests are what the feedback model is asked by.",
    ),
    "rl:constitution": ("Constitution of judges", "Read where a judge is a reward (direct RLAIF)."),
    "model": ("Model", "Answers and revises; left out, the role “policy” of the page Models."),
    "critic_model": ("Critic", "Writes the critiques, where that is to be another model."),
    "where.limit": ("Number of prompts", "The first so many of the set; left out, all of them."),
    "chain.revisions": (
        "Revisions",
        "Critique and revision, so many times; 0 keeps the initial response alone.",
    ),
    "chain.seed": ("Seed", "The same seed draws the same texts; another seed other ones."),
    "chain.samples": ("Samples a prompt", "Chains a prompt; comparisons need two or more."),
    "chain.principles": (
        "Principles",
        "How each round gets its principle: drawn at random, in order, or these ids in turn.",
    ),
    "chain.critique": ("With critiques", "Off revises directly, without a critique before it."),
    "chain.template": ("Template", "`chat` for instruct models, `paper` for plain continuation."),
    "chain.policy_sampling.temperature": (
        "Temperature of responses",
        "1 samples the model itself; 0 is greedy.",
    ),
    "chain.policy_sampling.max_tokens": (
        "Max tokens of responses",
        "The most that an initial response or a revision may have.",
    ),
    "chain.critic_sampling.temperature": (
        "Temperature of critiques",
        "1 samples the model itself; 0 is greedy.",
    ),
    "chain.critic_sampling.max_tokens": (
        "Max tokens of critiques",
        "The most that a critique may have.",
    ),
    "where.kinds": ("Kinds of prompts", "Prompts of these kinds alone; left out, every kind."),
    "few_shot": (
        "Few-shot examples",
        "A file of examples. A page takes one that ships with the workbench, the command line any.",
    ),
    "human": (
        "What people say",
        "A review queue’s votes, or a file of people’s labels; kept with the run as they stand.",
    ),
    "use_human": (
        "People’s verdict is the label",
        "Where more than half of them agree; needs “What people say”.",
    ),
    "drop_disputed": (
        "Leave out disputed comparisons",
        "Where people disagree, or see it otherwise than the label; needs “What people say”.",
    ),
    "base": ("Model to train", "`demo`, `run:NAME` of a run that makes one, or a hub id."),
    "dpo:base": (
        "Model to train",
        "The policy at first, and the reference model: an SL-CAI model.",
    ),
    "rl:base": ("Model to train", "The policy at first, and the reference model: an SL-CAI model."),
    "reward:base": (
        "Model to train",
        "Becomes the reward model; as a rule the SL-CAI model that is trained with it.",
    ),
    "method": ("Method", "`full` trains every weight; `lora` a small adapter, in less memory."),
    "learning_rate": ("Learning rate", "At its highest. Small models want more, RL and DPO less."),
    "epochs": ("Epochs", "Passes over the examples; more than one overfits a reward model."),
    "batch_size": ("Batch size", "Examples or pairs an optimizer step."),
    "micro_batch": ("Of them at once", "In memory; the batch size is a multiple of it."),
    "rl:micro_batch": (
        "Completions at once",
        "In memory in the optimizer’s part; prompts a step × completions is a multiple of it.",
    ),
    "max_length": ("Max length (tokens)", "Longer examples are left out and counted, never cut."),
    "seed": ("Seed", "Order of the examples and what is drawn; another seed is another run."),
    "label:seed": ("Seed", "Draws each comparison’s principle, shares, and chains of thought."),
    "packing": ("Packing", "Several examples in one row of max length, for speed on a GPU."),
    "lora_rank": ("LoRA rank", "Size of the adapter; read where the method is `lora`."),
    "lora_alpha": ("LoRA alpha", "Weight of the adapter, as a rule twice the rank."),
    "precision": ("Precision", "`auto` takes bf16 where the GPU can, else fp32."),
    "gradient_checkpointing": (
        "Gradient checkpointing",
        "Less memory for about a third more time.",
    ),
    "warmup": ("Warm-up", "Share of the steps over which the learning rate rises."),
    "weight_decay": ("Weight decay", "Pulls weights towards 0; 0 leaves it out."),
    "max_grad_norm": ("Max gradient norm", "Longer gradients are cut to this length."),
    "log_steps": ("Steps between log lines", "How finely the charts are drawn."),
    "save_steps": ("Steps between checkpoints", "At most this much is done again after a stop."),
    "sample_steps": (
        "Steps between samples",
        "Answers to fixed prompts, to look at; 0 samples before and after alone.",
    ),
    "sample_prompts": ("Sampled prompts", "How many fixed prompts are answered; 0 samples none."),
    "sft:sources.use": (
        "Texts of {run}",
        "All revisions, the final one alone, or the initial response.",
    ),
    "sources.use": ("Labels of {run}", "All of them, or those of one label source alone."),
    "sources.kinds": (
        "Kinds of prompts of {run}",
        "Comparisons about prompts of these kinds alone; left out, every kind.",
    ),
    "sources.pairs": (
        "Comparisons of {run}",
        "Two samples a prompt, all pairs of them, or each initial response and its last revision.",
    ),
    "sources.share": (
        "Share of {run}",
        "Of all that is trained on or compared, in (0, 1); left out, every one is taken.",
    ),
    "feedback_model": (
        "Feedback model",
        "Labels the comparisons; left out, the role “feedback” of the page Models.",
    ),
    "principles": (
        "Principles",
        "One drawn for each comparison (random), in order, or these ids in turn.",
    ),
    "principles_per_comparison": (
        "Principles a comparison",
        "Each is asked for itself; their labels are averaged.",
    ),
    "orders": (
        "Orders",
        "`both` shows each response first once and averages: position bias cancels out.",
    ),
    "reasoned": (
        "Chain of thought",
        "The feedback model reasons first, then its verdict is scored; slower, and clamped.",
    ),
    "thoughts": ("Chains of thought", "So many are drawn for each question and averaged."),
    "clamp": (
        "Clamp, lower bound",
        "Of chain-of-thought labels alone, which saturate: 0.4 keeps them in [0.4, 0.6].",
    ),
    "sampling.temperature": (
        "Temperature of thoughts",
        "Read where several chains of thought are drawn; one is greedy.",
    ),
    "sampling.max_tokens": ("Max tokens of thoughts", "The most that a chain of thought may have."),
    "template": ("Template", "`chat` for instruct models, `paper` for plain continuation."),
    "tie_margin": ("Tie margin", "A label so near to an even one is a tie."),
    "least_mass": (
        "Least probability of the options",
        "An answer that gives A, B and their like less than this together is unparsed.",
    ),
    "max_unparsed": ("Most unparsed", "The run stops where a larger share cannot be read."),
    "similarity": ("Near-identical from", "Responses so alike are dropped and counted."),
    "soft": (
        "Soft labels",
        "Trains on the labels’ probabilities; off: on who won alone, without ties.",
    ),
    "eval_share": (
        "Share held out",
        "Of the prompts: their pairs are evaluated on, not trained on.",
    ),
    "center": (
        "Centre rewards",
        "Weight of the term that keeps rewards around 0; 0 leaves it out.",
    ),
    "shuffled": (
        "Shuffled (a control)",
        "A coin says whose side each label takes: nothing can be learned then.",
    ),
    "dpo:beta": ("Beta", "How dear it is to leave the reference model; 0.1 is the paper’s."),
    "rl:beta": ("KL weight (beta)", "How dear it is to leave the reference model, in the reward."),
    "rewards.model": (
        "Reward: {kind}",
        "`run:NAME` of the run that makes the reward model, or the judge’s endpoint.",
    ),
    "rewards.weight": ("Weight of {kind}", "Rewards are added by weight; below 0 is a penalty."),
    "rewards.per_tokens": ("Tokens that count as 1", "The unit of the reward for length."),
    "algorithm": (
        "Algorithm",
        "`rloo` and `grpo` differ in what a completion is measured against.",
    ),
    "steps": ("Steps", "Batches of prompts, each answered by the policy of that moment."),
    "prompts_per_step": ("Prompts a step", "So many are answered before the policy changes."),
    "generations": ("Completions a prompt", "Each is measured against the others of its prompt."),
    "red_team_share": (
        "Share of red-team prompts",
        "Of each step’s prompts; the others are fine ones, which keep the policy helpful.",
    ),
    "rl:where.limit": ("Prompts of each set", "The first so many; left out, all of them."),
    "max_tokens": ("Max tokens of a completion", "Longer ones are cut there."),
    "temperature": ("Temperature", "Of sampling completions; 1 samples the policy itself."),
    "iterations": ("Iterations", "Optimizer steps on one batch; 1 keeps it on-policy."),
    "epsilon": (
        "Clipping (epsilon)",
        "How far a probability ratio may move; from 2 iterations on.",
    ),
    "rollouts": ("Rollouts", "`auto` generates with vLLM where there are a GPU and vLLM."),
    "probe_steps": (
        "Steps between probes",
        "How often the alarms look at answers to fixed prompts.",
    ),
    "probe_prompts": ("Probe prompts", "Of each kind; they are not trained on. 0: no probe."),
    "alarms.over_refusal": (
        "Alarm: over-refusal",
        "Share of fine prompts refused at which the run stops; `null` in the text turns it off.",
    ),
    "alarms.compliance": (
        "Alarm: compliance",
        "Share of red-team prompts answered without a refusal that stops a run which began lower.",
    ),
    "alarms.evasive": (
        "Alarm: evasiveness",
        "Share of refusals without reason or way out; `null` in the text turns it off.",
    ),
    "alarms.goodhart": (
        "Alarm: Goodhart",
        "How far judged quality may fall while the reward rises; `null` in the text turns it off.",
    ),
    "alarms.longer": (
        "Alarm: longer answers",
        "Mean words as a ratio to the start; `null` in the text turns it off.",
    ),
    "alarms.shorter": (
        "Alarm: shorter answers",
        "Mean words as a ratio to the start; `null` in the text turns it off.",
    ),
    "alarms.repetition": (
        "Alarm: repetition",
        "Share of answers that loop; `null` in the text turns it off.",
    ),
    "alarms.kl": (
        "Alarm: KL",
        "Nats a token from the reference model; `null` in the text turns it off.",
    ),
    "alarms.warn_only": (
        "Alarms that only warn",
        "These are shown and stop nothing; every other one stops the run.",
    ),
}
# What a field shows where neither the text nor the recipe gives a value.
_LEFT_OUT = {
    "share": "every one",
    "limit": "all",
    "model": "as the roles say",
    "critic_model": "the model itself",
    "feedback_model": "as the roles say",
    "red_team_share": "as they come",
    "constitution": "none",
    "human": "nobody",
    "few_shot": "none",
    "kinds": "every kind",
}


def get_words(kind: str, key: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Label and help of a field, as Markdown; what a person wrote is made inert.

    Args:
        values: of the run, which tell the source or reward that is meant.
    """
    plain = ".".join(step for step in key.split(".") if not step.isdecimal())
    label, told = _WORDS.get(f"{kind}:{plain}") or _WORDS[plain]
    if "{" in label:
        place = key.rpartition(".")[0]
        run, against = (values.get(f"{place}.{name}") for name in ("run", "against"))
        name = f"{run} against {against}" if against else str(run)
        entry = str(values.get(f"{place}.kind", "")).replace("-", " ")
        label = label.format(run=_show(name), kind=_show(entry))
    return label, told


def describe_default(key: str, default: Any) -> str:
    """What a field's placeholder says: the recipe's own default, or what leaving it out means."""
    if default is None or default == ():
        return _LEFT_OUT.get(key.rpartition(".")[2], "not named")
    if isinstance(default, tuple):
        # Bounds are a number and its mirror; names stand for themselves.
        return ", ".join(default) if isinstance(default[0], str) else f"{default[0]}"
    return f"{default:g}" if isinstance(default, float) else f"{default}"


def _show(name: str) -> str:
    return escape_markdown(name[:_LONGEST_NAME])
