"""The prompt sets page's words and style: counts, kinds, tags, and a prompt's row as HTML. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cai_core.records import Prompt, PromptKind
from cai_core.workspace.prompt_sets import SHORT, PromptSetVersion
from ui.constitution_address import describe_count, describe_time
from ui.explorer_filter import WORDS
from ui.harm import hold_back
from ui.look import build_badge, build_icon, escape

MOST_TAGS, MOST_TEXT = 8, 1200

STYLE = """<style>
.st-key-prompts { max-width: 80rem; }
[class*="st-key-set_card_"] { border: 1px solid light-dark(#d6dae3, #343948);
  border-radius: 0.5rem; padding: 0.8rem 1rem 0.9rem; background: light-dark(#ffffff, #171a23); }
.cai-set { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 0.6rem; }
.cai-set code { font-size: 0.85rem; color: light-dark(#5b6270, #a3aab8); }
.cai-counts { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; margin-top: 0.4rem;
  font-size: 0.9rem; }
.cai-counts b { font-variant-numeric: tabular-nums; }
.cai-tags { display: flex; flex-wrap: wrap; gap: 0.3rem; margin-top: 0.45rem; }
.cai-tags .cai-badge { white-space: normal; overflow-wrap: anywhere; }
.cai-prow { display: grid; grid-template-columns: 3.6rem minmax(0, 1fr); gap: 0.1rem 0.8rem;
  padding: 0.55rem 0; border-top: 1px solid light-dark(#e6e8ee, #2a2f3c); }
.cai-prow .cai-line-no { color: light-dark(#5b6270, #a3aab8); font-size: 0.85rem;
  font-variant-numeric: tabular-nums; text-align: right; }
.cai-prow .cai-wrap { margin: 0; max-width: 90ch; max-height: 12em; overflow-y: auto; }
.cai-prow .cai-turn { color: light-dark(#5b6270, #a3aab8); font-size: 0.8rem; font-weight: 600; }
.cai-rejects { border-collapse: collapse; font-size: 0.9rem; width: 100%; }
.cai-rejects th, .cai-rejects td { text-align: left; vertical-align: top; padding: 0.25rem 0.8rem
  0.25rem 0; border-bottom: 1px solid light-dark(#e6e8ee, #2a2f3c); overflow-wrap: anywhere; }
.cai-rejects td:first-child { width: 4rem; font-variant-numeric: tabular-nums; }
@media (max-width: 640px) { .cai-prow { grid-template-columns: minmax(0, 1fr); }
  .cai-prow .cai-line-no { text-align: left; } }
</style>"""


def build_set_head(version: PromptSetVersion, versions: int) -> str:
    """A set's name, its newest hash, and where it comes from."""
    name = f'<h2 class="cai-h2">{escape(version.name)}</h2>'
    badges = build_badge("comes with the workbench", quiet=True) if not version.number else ""
    if versions > 1:
        badges += build_badge(f"{versions} versions", quiet=True)
    return (
        f'<div class="cai-set"><span class="cai-title cai-prompt" style="color: var(--cai)">'
        f"{build_icon('prompt')}</span>{name}<code>{escape(version.hash[:SHORT])}</code>{badges}"
        f'</div><div class="cai-quiet">{escape(describe_origin(version))}</div>'
    )


def build_counts(
    prompts: int,
    rejected: int,
    kinds: Mapping[str, int],
    splits: Mapping[str, int],
    tags: Mapping[str, int],
) -> str:
    """How many prompts, of which kinds, on which side of the split, with which tags."""
    facts = [(f"{prompts:,}", "prompt" if prompts == 1 else "prompts")]
    facts += [(f"{count:,}", WORDS["kind"].get(kind, kind)) for kind, count in kinds.items()]
    facts += [(f"{count:,}", f"split {name}") for name, count in splits.items()]
    if rejected:
        facts.append((f"{rejected:,}", "line rejected" if rejected == 1 else "lines rejected"))
    shown = "".join(f"<span><b>{count}</b> {escape(name)}</span>" for count, name in facts)
    return f'<div class="cai-counts">{shown}</div>{build_tags(tags)}'


def build_tags(tags: Mapping[str, int]) -> str:
    """The commonest tags with their counts; nothing where there are none."""
    if not tags:
        return ""
    common = sorted(tags.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [build_badge(f"{tag} {count:,}", quiet=True) for tag, count in common[:MOST_TAGS]]
    if len(common) > MOST_TAGS:
        shown.append(f'<span class="cai-quiet">and {len(common) - MOST_TAGS} more</span>')
    return f'<div class="cai-tags">{"".join(shown)}</div>'


def describe_origin(version: PromptSetVersion) -> str:
    """Where a version comes from, in a line."""
    if not version.number:
        return f"shipped file {version.source}"
    who = f"{version.actor}, {describe_time(version.at)}"
    return f"version {version.number} · from {version.source} · added by {who}"


def build_prompts(prompts: Sequence[Prompt], *, show_harmful: bool) -> str:
    """A row for each prompt; the texts of red-team prompts are blurred until asked for."""
    return "".join(_build_prompt(prompt, show_harmful) for prompt in prompts)


def build_rejected(lines: Sequence[tuple[int, str]], total: int) -> str:
    """A table of the lines that were no prompts, each with its reason."""
    rows = "".join(f"<tr><td>{line}</td><td>{escape(why)}</td></tr>" for line, why in lines)
    rest = total - len(lines)
    more = f'<div class="cai-quiet">and {rest:,} more in the download</div>' if rest > 0 else ""
    head = "<thead><tr><th>Line</th><th>Why it was rejected</th></tr></thead>"
    return f'<table class="cai-rejects">{head}<tbody>{rows}</tbody></table>{more}'


def describe_uses(runs: Sequence[str]) -> str:
    """How many runs work on a set."""
    return f"used by {describe_count(len(runs), 'run')}" if runs else "used by no run yet"


def _build_prompt(prompt: Prompt, show_harmful: bool) -> str:
    turns = []
    for turn in prompt.conversation:
        text = turn.content
        cut = f"{text[:MOST_TEXT]}… ({len(text):,} characters)" if len(text) > MOST_TEXT else text
        name = f'<div class="cai-turn">{turn.role}</div>' if len(prompt.conversation) > 1 else ""
        turns.append(f'{name}<div class="cai-wrap">{escape(cut)}</div>')
    body = "".join(turns)
    if prompt.kind is PromptKind.RED_TEAM and not show_harmful:
        body = hold_back(body)
    badges = build_badge(WORDS["kind"].get(prompt.kind.value, prompt.kind.value), quiet=True)
    badges += "".join(build_badge(tag, quiet=True) for tag in prompt.tags[:MOST_TAGS])
    return (
        f'<div class="cai-prow"><span class="cai-line-no">{prompt.line}</span><div>{body}'
        f'<div class="cai-tags">{badges}</div></div></div>'
    )
