"""The lint's fixes: each removes its finding, and none breaks what was valid."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.constitution import (
    dump_constitution,
    parse_constitution,
)
from cai_core.constitution.lint import (
    RULES,
    LintContext,
    apply_fix,
    lint_constitution,
)
from cai_core.errors import ConstitutionError
from cai_core.records import Constitution, Principle
from tests.constitution.lint_makers import (
    FRAGMENTS,
    build,
    find,
    name_finding,
    rule,
)
from tests.constitution.strategies import constitutions
from tests.hostile import HOSTILE

principles = st.builds(
    Principle,
    id=st.sampled_from(["a", "b", "c", "d" * 64, "a-2", "", "é"]),
    text=st.one_of(st.sampled_from(FRAGMENTS), st.sampled_from(HOSTILE), st.text(max_size=30)),
    critique_request=st.sampled_from(["", *FRAGMENTS]),
    revision_request=st.sampled_from(["", *FRAGMENTS]),
    comparison_request=st.sampled_from(["", *FRAGMENTS]),
    tags=st.lists(st.sampled_from(["harm", "manner", "Helpful"]), max_size=2).map(tuple),
    weight=st.sampled_from([1.0, 2.0, 0.01]),
    enabled=st.sampled_from([True, True, True, False]),
)
drafts = st.builds(
    Constitution,
    name=st.just("c"),
    description=st.just(""),
    principles=st.lists(principles, max_size=5).map(tuple),
)
contexts = st.builds(
    LintContext,
    context_tokens=st.sampled_from([None, 1, 60]),
    drawn=st.sampled_from([None, {"a": 4}, {"zzz": 400}]),
)


@settings(max_examples=300, deadline=None)
@given(drafts, contexts)
def test_a_fix_removes_its_finding(draft: Constitution, context: LintContext) -> None:
    findings = lint_constitution(draft, context)
    assert len(set(map(name_finding, findings))) >= len(findings) - (
        len(draft.principles) - len({p.id for p in draft.principles})
    ) * len(RULES)
    for finding in findings:
        json.dumps(finding.as_dict())
        assert finding.reason == RULES[finding.rule].reason
        if finding.fix is None:
            continue
        fixed = apply_fix(draft, finding)
        left = map(name_finding, lint_constitution(fixed, context))
        assert name_finding(finding) not in left, finding


@settings(deadline=None)
@given(constitutions)
def test_what_was_valid_is_valid_after_a_fix(constitution: Constitution) -> None:
    for finding in lint_constitution(constitution):
        if finding.fix is not None:
            fixed = apply_fix(constitution, finding)
            assert parse_constitution(dump_constitution(fixed), "fixed") == fixed


def test_all_fixes_one_after_another_come_to_an_end() -> None:
    constitution = build(
        *(replace(rule(text), id=f"p{n}") for n, text in enumerate(FRAGMENTS[:9])), rule("")
    )
    for _ in range(100):
        fixable = [f for f in lint_constitution(constitution) if f.fix]
        if not fixable:
            break
        constitution = apply_fix(constitution, fixable[0])
    assert fixable == []


def test_a_fix_of_a_constitution_that_has_changed_is_refused() -> None:
    harmful = build(rule("The response should help with fraud."))
    finding = find(harmful, "asks-for-harm")[0]
    with pytest.raises(ConstitutionError, match="no principle p any more"):
        apply_fix(build(replace(rule("x"), id="q")), finding)
    with pytest.raises(ValueError, match="no fix"):
        apply_fix(harmful, replace(finding, fix=None))
