"""The lint: what each rule says, of a principle alone and of a whole constitution."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from cai_core.constitution import (
    find_constitution,
)
from cai_core.constitution.lint import (
    RULES,
    LintContext,
    apply_fix,
    count_findings,
    lint_constitution,
)
from cai_core.constitution.lint_principle import lint_principle
from cai_core.constitution.lint_words import compute_grade, count_demands, split_demands
from cai_core.records import Principle
from tests.constitution.inverted import (
    invert,
)
from tests.constitution.lint_makers import (
    HARMLESSNESS,
    SHIPPED,
    build,
    find,
    load_official,
    name_finding,
    rule,
)
from tests.hostile import HOSTILE

FIELDS = ("finance", "legal", "education-children", "customer-support", "template")


@pytest.mark.parametrize("field", ["critique_request", "revision_request", "comparison_request"])
def test_a_missing_request_is_written_from_the_rule(field: str) -> None:
    bare = build(rule("The response should be polite.", **{field: " "}))
    (finding,) = find(bare, "missing-request")
    assert (finding.field, finding.principle_id) == (field, "p")
    assert finding.severity == ("warning" if field == "comparison_request" else "error")
    fixed = apply_fix(bare, finding)
    assert "The response should be polite." in getattr(fixed.principles[0], field)
    assert find(fixed, "missing-request") == []


def test_a_principle_without_a_rule_has_no_fix() -> None:
    (finding,) = find(build(rule("", critique_request="")), "missing-request")
    assert (finding.field, finding.fix) == ("text", None)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The response should be polite.", 1),
        ("The response should be polite, and must cite its sources.", 2),
        ("The response should be polite. It must be short.", 2),
        ("A response that must decline should say why.", 1),
        ("Be polite. Politeness costs nothing.", 1),
        ("Be polite. Be short. Be true.", 2),
        ("Politeness", 1),
        ("", 1),
    ],
)
def test_demands_are_counted(text: str, count: int) -> None:
    assert count_demands(text) == count


def test_a_rule_of_two_demands_is_split_in_two_principles() -> None:
    texts = ("The response should be polite.", "The response must cite its sources.")
    two = build(
        rule(
            "The response should be polite, and must cite its sources.",
            tags=("manner",),
            weight=2.0,
        ),
        replace(rule("Another rule entirely, about brevity."), id="p-2"),
    )
    assert split_demands(two.principles[0].text) == texts
    (finding,) = find(two, "several-demands")
    fixed = apply_fix(two, finding)
    assert [p.id for p in fixed.principles] == ["p", "p-2-2", "p-2"]
    assert tuple(p.text for p in fixed.principles[:2]) == texts
    new = fixed.principles[1]
    assert (new.tags, new.weight) == (("manner",), 2.0)
    assert "cite its sources" in new.critique_request
    assert find(fixed, "several-demands") == []


@pytest.mark.parametrize(
    ("text", "negative"),
    [
        ("The response should not be rude.", True),
        ("Never lie.", True),
        ("Don't preach.", True),
        ("The response should be kind and never rude.", False),
        ("The response should say why, and should not preach.", False),
        ("The response should never preach. Instead, it explains.", False),
        ("The response should be kind.", False),
    ],
)
def test_negative_framing_is_a_rule_that_only_forbids(text: str, negative: bool) -> None:
    assert bool(find(build(rule(text)), "negative-framing")) == negative


def test_vague_words_are_named_and_loopholes_can_go() -> None:
    vague = build(rule("The response should be appropriate.", revision_request="r"))
    finding = next(f for f in find(vague, "vague-words") if f.field == "text")
    assert '"appropriate"' in finding.message
    assert finding.fix is None
    loophole = build(rule("The response should try to say why, if possible.", revision_request="r"))
    finding = next(f for f in find(loophole, "vague-words") if f.field == "text")
    assert apply_fix(loophole, finding).principles[0].text == "The response should say why."
    assert find(build(rule("The response should give the year.")), "vague-words") == []


def test_where_the_revision_stands_for_the_rule_its_words_count_once() -> None:
    text = "Rewrite it to be brief if possible."
    imported = build(rule(text, revision_request=text))
    (finding,) = [f for f in find(imported, "vague-words") if f.field != "critique_request"][:1]
    fixed = apply_fix(imported, finding).principles[0]
    assert fixed.text == fixed.revision_request == "Rewrite it to be brief."


def test_reading_level_is_the_published_formula() -> None:
    # 13 words, 1 sentence, 41 letters.
    text = "The cat and the dog sat on the mat in the old hut."
    assert compute_grade(text) == pytest.approx(4.71 * 37 / 13 + 0.5 * 13 - 21.43)
    assert compute_grade("Too short to say.") is None
    long = (
        "Notwithstanding aforementioned considerations regarding institutional responsibilities, "
        "representatives disseminating documentation should acknowledge organisational "
        "interdependencies"
    )
    (finding,) = [f for f in find(build(rule(long)), "reading-level") if f.field == "text"]
    assert finding.severity == "hint"


# The whole


def test_exact_copies_and_near_copies_are_two_rules() -> None:
    one = rule("The response should say why it declines.")
    copy = replace(one, id="copy", tags=("manner",))
    near = replace(
        rule("The response should say, please, why it declines."), id="near", comparison_request=""
    )
    other = replace(rule("A joke lightens every conversation."), id="other")
    constitution = build(one, copy, near, other)
    (exact,) = find(constitution, "duplicate")
    (alike,) = find(constitution, "near-duplicate")
    assert (exact.principle_id, exact.severity) == ("copy", "error")
    assert (alike.principle_id, alike.severity) == ("near", "warning")
    fixed = apply_fix(constitution, exact)
    assert [p.id for p in fixed.principles] == ["p", "near", "other"]
    assert fixed.principles[0].tags == ("manner",)
    reordered = build(one, replace(one, id="q", text="Why it declines the response should say!"))
    assert find(reordered, "near-duplicate")


def test_missing_themes_are_told_and_added() -> None:
    bare = build(rule("The response should name its sources."))
    findings = [
        f for f in lint_constitution(bare) if f.rule in ("no-evasiveness", "no-helpfulness")
    ]
    assert [f.principle_id for f in findings] == [None, None]
    fixed = bare
    for finding in findings:
        fixed = apply_fix(fixed, finding)
    assert len(fixed.principles) == 3
    assert {f.rule for f in lint_constitution(fixed)} & {
        "no-evasiveness",
        "no-helpfulness",
    } == set()
    # What is added says nothing that the lint minds.
    added = build(*fixed.principles[1:])
    assert lint_constitution(added) == ()
    assert find(HARMLESSNESS, "no-evasiveness") == []


def test_length_is_counted_against_the_context() -> None:
    long = build(rule("Rule.", critique_request="word " * 100, revision_request="word " * 100))
    assert find(long, "length") == []
    assert find(long, "length", context_tokens=4000) == []
    (warned,) = find(long, "length", context_tokens=384)
    assert (warned.severity, warned.field) == ("warning", "revision_request")
    assert "about 250 of the model's 384 tokens" in warned.message

    def count_words(text: str) -> int:
        return len(text.split())

    (exact,) = find(long, "length", context_tokens=200, count_tokens=count_words)
    assert exact.severity == "error"
    assert "take 200 of" in exact.message
    compared = build(rule("Rule.", comparison_request="word " * 100))
    (finding,) = find(compared, "length", context_tokens=384, count_tokens=count_words)
    assert finding.field == "comparison_request"


def test_what_a_run_never_drew_is_told_with_how_likely_that_was() -> None:
    two = build(replace(rule("One rule."), id="a"), replace(rule("Quite another."), id="b"))
    assert find(two, "never-drawn") == []
    assert find(two, "never-drawn", drawn={}) == []
    (rare,) = find(two, "never-drawn", drawn={"a": 3})
    assert (rare.principle_id, rare.severity) == ("b", "hint")
    assert "12%" in rare.message
    (strange,) = find(two, "never-drawn", drawn={"a": 50, "b": 0})
    assert strange.severity == "warning"
    off = replace(two, principles=(two.principles[0], replace(two.principles[1], enabled=False)))
    assert find(off, "never-drawn", drawn={"a": 50}) == []


def test_principles_that_are_off_are_not_linted() -> None:
    off = build(
        rule("The response should say why it declines and be helpful."),
        replace(rule("The response should help with fraud."), id="q", enabled=False),
    )
    assert [f for f in lint_constitution(off) if f.principle_id == "q"] == []
    (finding,) = lint_constitution(build(rule("x", enabled=False)))
    assert (finding.rule, finding.severity) == ("nothing-on", "error")
    assert lint_constitution(build()) == ()


# Everything


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_constitutions_have_hints_at_most(name: str) -> None:
    findings = lint_constitution(find_constitution(name))
    assert count_findings(findings)["error"] == count_findings(findings)["warning"] == 0
    # Declining reads as a prohibition, and the demo world's words are what they are.
    known = {"negative-framing", "several-demands", "vague-words"}
    assert {f.rule for f in findings} <= known


@pytest.mark.parametrize("name", FIELDS)
def test_constitutions_of_fields_lint_clean(name: str) -> None:
    constitution = find_constitution(name)
    assert lint_constitution(constitution) == ()
    assert all(p.comparison_request and p.tags for p in constitution.principles)
    flagged = find(invert(constitution), "asks-for-harm")
    harmful = [p for p in constitution.principles if "not help with" in p.revision_request]
    assert {p.id for p in harmful} <= {f.principle_id for f in flagged}


def test_the_official_files_lint_as_a_reader_would() -> None:
    findings = lint_constitution(load_official())
    assert ("no-evasiveness", None, None) in map(name_finding, findings)
    # The first and the last of the sixteen differ in four words.
    assert ("near-duplicate", "harmful15", None) in map(name_finding, findings)
    assert count_findings(findings)["error"] == 0


def test_rules_are_explained() -> None:
    for key, known in RULES.items():
        assert key == known.id
        assert known.title and known.reason and known.example
    with pytest.raises(TypeError):
        RULES["more"] = RULES["duplicate"]  # type: ignore[index]


@pytest.mark.parametrize("text", [*HOSTILE, "a" * 300_000, "should " * 50_000, "(((" * 99_999])
def test_hostile_text_is_linted_in_time(text: str) -> None:
    hostile = build(
        Principle(id="p", text=text, critique_request=text, revision_request=text, tags=(text,)),
        replace(rule(text), id="q", comparison_request=text),
    )
    began = time.process_time()
    for finding in lint_constitution(hostile, LintContext(context_tokens=100)):
        assert len(finding.message) < 2000
    assert time.process_time() - began < 1


def test_five_hundred_principles_are_linted_at_once() -> None:
    many = build(
        *(
            replace(
                HARMLESSNESS.principles[n % 16],
                id=f"p{n}",
                text=f"{HARMLESSNESS.principles[n % 16].text} Case {n * n * 7919}.",
            )
            for n in range(500)
        )
    )
    lint_principle.cache_clear()
    began = time.process_time()
    lint_constitution(many)
    first = time.process_time() - began
    edited = replace(many.principles[3], text="The response should name its sources.")
    changed = replace(many, principles=(*many.principles[:3], edited, *many.principles[4:]))
    began = time.process_time()
    lint_constitution(changed)
    # Some 0.25 s and 0.1 s here; three times that on a slow day is still no quadratic Python.
    assert first < 0.9
    assert time.process_time() - began < 0.4
