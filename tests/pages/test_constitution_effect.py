"""The view Effect of the page Constitutions: numbers of real rows, and links to those rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.constitutions import save_constitution, save_draft
from cai_core.actions.reviews import review_critique
from cai_core.constitution import find_constitution
from cai_core.constitution.model import with_hash
from cai_core.records import LOCAL_ACTOR, CritiqueVerdict, Finding
from cai_core.workspace.drafts import as_constitution, build_draft
from cai_core.workspace.index.views import RoundFilter
from tests.chain_workspace import Round, Texts, write_chains
from tests.pages.constitution_page import OTHER, open_page, run, shown
from tests.pages.test_constitution_tools import open_view
from ui import services
from ui.explorer_filter import parse_filter

RULES = find_constitution("harmlessness")
RECORDINGS = Path(__file__).resolve().parents[2] / "data" / "recordings"
HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> <b>$d$</b>'


@pytest.fixture
def recorded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded chains that ship with the workbench."""
    monkeypatch.setenv("CAI_RECORDINGS", str(RECORDINGS))
    services.index().ingest()


def links(app: AppTest) -> list[tuple[str, RoundFilter]]:
    """Label and filter of every link to the rounds."""
    found = []
    for link in app.get("page_link"):
        params = {name: values[0] for name, values in parse_qs(link.proto.query_string).items()}
        if "principle" in params:
            found.append((link.proto.label.replace("\\", ""), parse_filter(params)))
    return found


def open_effect(name: str = "harmlessness", **address: str) -> AppTest:
    return open_view(open_page(constitution=name, **address), "Effect")


def test_every_number_leads_to_so_many_rounds(recorded: None) -> None:
    found = links(open_effect())
    assert len(found) > 20
    for label, chosen in found:
        total = services.index().list_rounds(chosen, facets=False).total
        assert label.split()[0] == str(total), (label, chosen)
        assert chosen.constitution_hash == RULES.hash
    assert sum(int(label.split()[0]) for label, _ in found if "round" in label) == 40


def test_rates_have_n_and_interval_and_never_drawn_ones_say_so(recorded: None) -> None:
    app = open_effect()
    text = shown(app)
    drawn = {chosen.principle for _, chosen in links(app)}
    assert 0 < len(drawn) < len(RULES.principles)
    assert text.count("never drawn</span>") == len(RULES.principles) - len(drawn)
    cite = text.split(">cite-no-harm<")[1].split("cai-effect-head")[0]
    assert "<b>40.0 %</b><small>10.3–79.5 %, n = 5</small>" in cite
    assert "<b>60 → 100 %</b>" in cite
    assert "by the oracle" in text
    assert "Nobody has judged a critique of these yet" in text
    assert "What critiques found, by principle" in text
    (chart,) = app.get("plotly_chart")
    assert "cite-no-harm: 2 found, 3 not touched, 0 unparsed" in chart.proto.alt


def test_what_people_say_is_counted_with_kappa(recorded: None, workspace: Path) -> None:
    asked = RoundFilter(constitution="harmlessness", principle="cite-no-harm")
    rounds = services.index().list_rounds(asked).rounds
    words = (CritiqueVerdict.RIGHT, CritiqueVerdict.WRONG, CritiqueVerdict.RIGHT)
    for actor in (LOCAL_ACTOR, OTHER):
        for one, verdict in zip(rounds, words, strict=False):
            where = {"chain": one.chain, "run": one.run, "round": one.round}
            review_critique(actor, workspace, **where, verdict=verdict)
    services.index().ingest()
    text = shown(open_effect())
    assert "People judged 3 critiques: 4 right, 0 partly, 2 wrong, 0 not needed." in text
    assert "Agreement between reviewers (Cohen’s kappa)" in text
    assert "<td>local</td><td>otto</td><td>1.00 (" in text
    assert "4 right · 0 partly · 2 wrong · 0 not needed · kappa 1.00" in text


def test_one_version_and_all_versions(workspace: Path, recorded: None) -> None:
    draft = build_draft(RULES, base_hash=RULES.hash)
    draft = save_draft(LOCAL_ACTOR, workspace, replace(draft, description="mine"))
    newer = with_hash(as_constitution(draft))
    save_constitution(LOCAL_ACTOR, workspace, draft, note="n", onto=RULES.hash)
    app = open_effect()
    assert "No round has drawn a principle of this version yet." in shown(app)
    assert links(app) == []
    app.toggle(key="effect_every").set_value(True)
    run(app)
    assert sum(int(label.split()[0]) for label, _ in links(app) if "round" in label) == 40
    assert all(chosen.constitution_hash == "" for _, chosen in links(app))
    texts = Texts(prompt="How?", rounds=(Round(principle="no-harm", revision="No."),))
    write_chains(workspace, "run-new", [texts], constitution=newer)
    services.index().ingest()
    told = [label for label, _ in links(run(app)) if "round" in label]
    assert sum(int(label.split()[0]) for label in told) == 41
    app.toggle(key="effect_every").set_value(False)
    assert [label for label, _ in links(run(app))] == ["1 round", "1 found something"]


def test_a_principle_that_the_text_has_no_more_is_told_and_hostile_ids_are_inert(
    workspace: Path,
) -> None:
    texts = Texts(
        prompt="How?",
        rounds=(
            Round(principle=HOSTILE, revision="No."),
            Round(principle="", critique="?", finding=Finding.UNPARSED, revision="No!"),
        ),
    )
    write_chains(workspace, "run-odd", [texts], constitution=RULES)
    services.index().ingest()
    app = open_effect()
    text = shown(app)
    assert "not in this text" in text
    assert "1 round of imported chains name no principle." in text
    assert "<img" not in text and "&lt;img" in text
    (link,) = [chosen for label, chosen in links(app) if label == "1 round"]
    assert link.principle == HOSTILE
    labels = [element.proto.label for element in app.get("page_link")]
    assert all("evil.example" not in label for label in labels)
    (chart,) = app.get("plotly_chart")
    assert "<img" not in chart.proto.spec and "<b>" not in chart.proto.spec
