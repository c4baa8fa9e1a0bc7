"""docs/constitutions.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from cai_core.constitution import list_constitutions, parse_constitution
from cai_core.constitution.exports import FORMATS
from cai_core.constitution.imports import KINDS
from cai_core.constitution.lint import RULES
from cai_core.constitution.lint_whole import LIKE_REQUESTS, LIKE_RULES
from cai_core.constitution.lint_words import MOST_GRADE

DOCS = (Path(__file__).resolve().parents[2] / "docs/constitutions.md").read_text(encoding="utf-8")


def test_every_rule_stands_in_the_table_with_its_severity() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .*? \| (\w+)[^|]*\| [^|]*\|$", DOCS, re.MULTILINE))
    assert rows == {rule.id: rule.severity for rule in RULES.values()}
    assert f"rules {LIKE_RULES} % alike, or both requests {LIKE_REQUESTS} %" in DOCS
    assert f"grade above {MOST_GRADE:.0f}" in DOCS


def test_the_example_can_be_read() -> None:
    example = re.search(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert example is not None
    (principle,) = parse_constitution(example[1], "docs").principles
    assert (principle.weight, principle.enabled) == (2.0, False)


def test_kinds_formats_and_shipped_constitutions_are_named() -> None:
    assert "|".join(FORMATS) in DOCS
    assert all(f"`{kind}`" in DOCS for kind in KINDS if kind != "auto")
    assert all(f"`{summary.name}`" in DOCS for summary in list_constitutions())
