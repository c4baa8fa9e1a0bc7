"""The registry's words and style: a made model as HTML, its card, two models' numbers. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from cai_core.jobs.registry import MadeModel
from ui.constitution_address import describe_time
from ui.look import build_badge, build_card, escape
from ui.runs_words import KINDS

SHORT = 12
_METHODS = {"lora": "LoRA", "full": "all weights"}
# Fine-tuning's loss is of a token, those of preferences of a pair; RL's is no measure of anything.
_UNITS = {"sft": "nats a token", "dpo": "nats a pair", "reward": "nats a pair"}
# Metric → its name; what a reader wants first.
METRICS = {
    "loss": "loss at last",
    "loss_first": "loss at first",
    "mean_token_accuracy": "tokens right, share",
    "num_tokens": "tokens",
    "grad_norm": "gradient norm",
}
_CODE, _BOLD = re.compile(r"`([^`\n]+)`"), re.compile(r"\*\*([^*\n]+)\*\*")

STYLE = """<style>
[class*="st-key-made_"] { border: 1px solid light-dark(#d6dae3, #343948);
  border-radius: 0.5rem; padding: 0.8rem 1rem 0.9rem; background: light-dark(#ffffff, #171a23); }
.cai-made { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 0.6rem; }
.cai-grid { border-collapse: collapse; font-size: 0.9rem; max-width: 100%; }
.cai-grid th, .cai-grid td { text-align: left; vertical-align: top; padding: 0.25rem 1.2rem
  0.25rem 0; border-bottom: 1px solid light-dark(#e6e8ee, #2a2f3c); overflow-wrap: anywhere; }
.cai-grid th { font-weight: 600; color: light-dark(#5b6270, #a3aab8); }
.cai-grid td { font-variant-numeric: tabular-nums; }
.cai-modelcard { max-width: 80ch; line-height: 1.55; overflow-wrap: anywhere; }
.cai-modelcard h3, .cai-modelcard h4 { margin: 0.8rem 0 0.3rem; padding: 0; font-size: 1.05rem;
  font-weight: 600; }
.cai-modelcard p { margin: 0.3rem 0; }
.cai-modelcard ul { margin: 0.3rem 0; padding-left: 1.2rem; }
.cai-modelcard code { font-size: 0.9em; }
</style>"""


def build_made(model: MadeModel) -> str:
    """A made model's head and facts."""
    badges = build_badge(describe_how(model), quiet=True) if describe_how(model) else ""
    if model.adapter is not None:
        badges += build_badge("adapter kept", quiet=True)
    if model.state is not None and model.state.value != "succeeded":
        badges += build_badge(f"run {model.state.value}", quiet=True, dashed=True)
    head = (
        '<div class="cai-made"><span class="cai-icon" aria-hidden="true">model_training</span>'
        f'<h2 class="cai-h2">{escape(model.run)}</h2>{badges}</div>'
    )
    trouble = build_card("note", "Its files", escape(model.problem), slim=True)
    return f"{head}{trouble if model.problem else ''}{build_facts(list_facts(model))}"


def list_facts(model: MadeModel) -> list[tuple[str, str]]:
    """What is known of a model, name by name."""
    facts = [
        ("Base", _join(model.base, _short("weights", model.base_hash))),
        ("Constitution", ", ".join(model.constitutions) or "none is known"),
        ("Trained on", describe_size(model)),
        ("Loss", describe_loss(model)),
        ("Weights", (model.weights_hash or "")[:SHORT]),
        ("Made", describe_time(model.created) if model.created else ""),
        ("Made from", ", ".join(model.parents)),
        ("Used by", ", ".join(model.children) or "no other run"),
    ]
    return [(name, words) for name, words in facts if words]


def describe_how(model: MadeModel) -> str:
    """`Fine-tuning, LoRA`."""
    kind = KINDS.get(model.kind, model.kind)
    return _join(kind, _METHODS.get(model.method, model.method), sign=", ")


def describe_size(model: MadeModel) -> str:
    """Examples and steps."""
    examples = f"{model.examples:,} examples" if model.examples is not None else ""
    steps = f"{model.steps:,} steps" if model.steps is not None else ""
    return _join(examples, steps)


def describe_loss(model: MadeModel) -> str:
    """First and last loss."""
    first, last = model.metrics.get("loss_first"), model.metrics.get("loss")
    if first is None or last is None:
        return ""
    return f"{first:.3f} → {last:.3f} {_UNITS.get(model.kind, '')}".rstrip()


def build_facts(facts: Sequence[tuple[str, str]]) -> str:
    """A list of names and words, drawn as the endpoints' facts are."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts)
    return f'<dl class="cai-facts">{rows}</dl>'


def build_grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table; every cell is escaped."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<table class="cai-grid"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def compare_numbers(first: MadeModel, second: MadeModel) -> list[list[str]]:
    """Rows of a table: what, the first's, the second's."""
    rows = [
        ["base", first.base, second.base],
        ["base weights", *((one.base_hash or "")[:SHORT] for one in (first, second))],
        ["constitution", *(", ".join(one.constitutions) for one in (first, second))],
        ["weights", *((one.weights_hash or "")[:SHORT] for one in (first, second))],
        ["examples", _number(first.examples), _number(second.examples)],
        ["steps", _number(first.steps), _number(second.steps)],
    ]
    for key, name in name_metrics(first, second).items():
        rows.append([name, *(_number(one.metrics.get(key)) for one in (first, second))])
    return rows


def name_metrics(*models: MadeModel) -> dict[str, str]:
    """The metrics that one of the models has, each with its name; the well-known first."""
    there = dict.fromkeys(key for model in models for key in model.metrics if key != "step")
    known = [key for key in METRICS if key in there]
    return {key: METRICS.get(key, key.replace("_", " ")) for key in dict.fromkeys([*known, *there])}


def build_commands(model: MadeModel) -> str:
    """How to serve it, on the command line; empty where its files are not here, or give numbers."""
    if model.folder is None or not model.answers:
        return ""
    lines = [f"python -m cai_core vllm {shlex.quote(str(model.folder))}"]
    if model.adapter is not None and model.base_place:
        module = shlex.quote(f"{model.run}={model.adapter}")
        base = shlex.quote(model.base_place)
        lines += [
            "# or the adapter alone, beside its base model:",
            f"vllm serve {base} --enable-lora --lora-modules {module}",
        ]
    return "\n".join(lines)


def build_card_html(text: str) -> str:
    """A model card as HTML: headings, tables, lists, code and bold. All else stays text.

    Its Markdown holds names that people chose: no link, picture or tag of it may come to life.
    """
    blocks = [_build_block(block) for block in re.split(r"\n\s*\n|\n(?=#)|(?<=#)\n", text.strip())]
    return f'<div class="cai-modelcard">{"".join(blocks)}</div>'


def _build_block(block: str) -> str:
    lines = [line for line in block.split("\n") if line.strip()]
    if not lines:
        return ""
    if lines[0].startswith("#"):
        rest = _build_block("\n".join(lines[1:]))
        level = 3 if lines[0].startswith("# ") else 4
        return f"<h{level}>{_inline(lines[0].lstrip('# '))}</h{level}>{rest}"
    if all(line.startswith("|") for line in lines):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        rows = [row for row in cells if any(cell.strip("-: ") for cell in row)]
        body = "".join(
            f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        return f'<table class="cai-grid"><tbody>{body}</tbody></table>'
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    return _BOLD.sub(r"<b>\1</b>", _CODE.sub(r"<code>\1</code>", escape(text)))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def _short(name: str, digest: str | None) -> str:
    return f"{name} {digest[:SHORT]}" if digest else ""


def _join(*words: str, sign: str = " · ") -> str:
    return sign.join(word for word in words if word)
