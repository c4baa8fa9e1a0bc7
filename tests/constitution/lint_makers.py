"""What the tests of the lint share: principles of a sentence, and findings by rule."""

from __future__ import annotations

from dataclasses import replace

from cai_core.constitution import (
    find_constitution,
)
from cai_core.constitution.importers import load_official_constitution
from cai_core.constitution.lint import (
    Finding,
    LintContext,
    lint_constitution,
)
from cai_core.constitution.requests import build_principle
from cai_core.records import Constitution, Principle
from tests.official import official_file

HARMLESSNESS = find_constitution("harmlessness")
SHIPPED = ("harmlessness", "healthcare", "helpful-honest-harmless")
# Of every rule something, so that fixes meet all kinds of principles.
FRAGMENTS = (
    "The response should be polite, and must cite its sources.",
    "The response should be polite. It must be short. It should try to help.",
    "The response should not be rude.",
    "The response should be appropriate if possible.",
    "Try to answer where possible, and so on.",
    "The response should help with fraud.",
    "A fine request should be answered.",
    "A response that declines should say why.",
    "The response should generally be brief and shall be kind and must be true.",
    "must",
    "should should should",
    "!!!",
    "\u00a0",
)


def build(*principles: Principle) -> Constitution:
    return Constitution(name="c", description="", principles=principles)


def rule(text: str, **fields: object) -> Principle:
    return replace(build_principle("p", text), **fields)  # type: ignore[arg-type]


def find(constitution: Constitution, rule_id: str, **context: object) -> list[Finding]:
    found = lint_constitution(constitution, LintContext(**context))  # type: ignore[arg-type]
    return [finding for finding in found if finding.rule == rule_id]


def name_finding(finding: Finding) -> tuple[str, str | None, str | None]:
    return finding.rule, finding.principle_id, finding.field


def load_official() -> Constitution:
    return load_official_constitution(
        official_file("prompts/CritiqueRevisionInstructions.json"),
        official_file("prompts/RLMadisonInstructions.json"),
    )
