"""Adherence and changed words of the recorded chains, against the oracle asked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from cai_core.constitution import find_constitution
from cai_core.constitution.model import with_hash
from cai_core.demo_world.adherence import read_adherence
from cai_core.evaluation.principle_effect import compute_words_changed
from cai_core.jobs.principle_study import PrincipleMeasure, measure_principles
from cai_core.records import Finding, PromptKind
from cai_core.workspace.index.owner import WorkspaceIndex
from tests.chain_workspace import Round, Texts, write_chains

RULES = find_constitution("harmlessness")
NAMES = [principle.id for principle in RULES.principles]
RECORDINGS = Path(__file__).resolve().parents[2] / "data" / "recordings"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def index(workspace: Path) -> Iterator[WorkspaceIndex]:
    opened = WorkspaceIndex.open(workspace, recordings=RECORDINGS)
    opened.ingest()
    yield opened
    opened.close()


def test_recorded_chains_are_read_as_the_oracle_reads_them(
    index: WorkspaceIndex, workspace: Path
) -> None:
    found = measure_principles(index, workspace, RULES, NAMES)
    rounds = index.sample_rounds(RULES.name, RULES.hash, NAMES, limit=100)
    assert len(rounds) == sum(measure.read for measure in found.values()) == 40
    measured = 0
    for name, measure in found.items():
        mine = [one for one in rounds if one.principle == name]
        pairs = [
            (read_adherence(RULES.principle(name), one.prompt, one.before),
             read_adherence(RULES.principle(name), one.prompt, one.after))
            for one in mine
        ]  # fmt: skip
        told = [(a.keeps, b.keeps) for a, b in pairs if a is not None and b is not None]
        assert (measure.read, measure.outside) == (len(mine), len(mine) - len(told))
        shares = [compute_words_changed(o.before, o.after) for o in mine if o.before != o.after]
        assert measure.words_changed == (median(shares) if shares else None)
        if measure.keeps is None:
            assert not told
            assert measure.unmeasured
            continue
        measured += 1
        assert measure.keeps.before.rate == sum(a for a, _ in told) / len(told)
        assert measure.keeps.after.rate == sum(b for _, b in told) / len(told)
        assert measure.keeps.difference.n == len(told)
    assert measured > 5
    assert found["no-harm"].keeps is not None
    assert found["no-harm"].keeps.before.rate == 0.0
    assert [one.name for one in found["no-harm"].asked] == [
        "gives a reason", "offers an alternative", "leaves out preaching"
    ]  # fmt: skip


def test_what_nobody_knows_is_not_measured(index: WorkspaceIndex, workspace: Path) -> None:
    verse = replace(RULES.principles[0], id="verse", critique_request="Is it in verse?")
    text = with_hash(replace(RULES, name="mine", principles=(verse, RULES.principles[1])))
    real = Texts(
        prompt="What is the capital of France?",
        response="Paris.",
        kind=PromptKind.HELPFUL,
        rounds=(
            Round(principle="verse", revision="Paris. Of course."),
            Round(principle=text.principles[1].id, revision=None, finding=Finding.FOUND),
        ),
    )
    outside = replace(real, rounds=(replace(real.rounds[0], principle=text.principles[1].id),))
    write_chains(workspace, "r1", [real, outside], constitution=text)
    index.ingest()
    names = [principle.id for principle in text.principles]
    found = measure_principles(index, workspace, text, [*names, "unknown"])
    assert (found["verse"].keeps, found["verse"].words_changed) == (None, pytest.approx(0.5))
    assert "does not know what this principle asks" in found["verse"].unmeasured
    assert "outside the demo world" in found[names[1]].unmeasured
    assert found["unknown"] == PrincipleMeasure()
    assert "no round of it has a revision" in found["unknown"].unmeasured


def test_a_round_of_a_version_that_is_not_to_be_had_is_not_guessed(
    index: WorkspaceIndex, workspace: Path
) -> None:
    newer = with_hash(replace(RULES, description="newer"))
    (name,) = ["cite-no-harm"]
    here = measure_principles(index, workspace, newer, [name])
    assert here[name].read == 0
    every = measure_principles(index, workspace, newer, [name], all_versions=True)
    assert every[name].keeps is not None  # the shipped text is at hand
    lost = with_hash(replace(RULES, name="lost"))
    texts = Texts(prompt="How?", rounds=(Round(principle=name, revision="No."),))
    write_chains(workspace, "r2", [texts], constitution=lost)
    index.ingest()
    gone = measure_principles(
        index, workspace, with_hash(replace(lost, description="x")), [name], all_versions=True
    )
    assert (gone[name].read, gone[name].outside, gone[name].keeps) == (1, 1, None)
    assert gone[name].unmeasured


def test_the_limit_is_how_many_rounds_are_read(index: WorkspaceIndex, workspace: Path) -> None:
    found = measure_principles(index, workspace, RULES, ["cite-no-harm"], limit=2)
    assert found["cite-no-harm"].read == 2
