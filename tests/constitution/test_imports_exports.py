"""Imports of every format, exports, and that what goes out comes back."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.constitution import dump_constitution, find_constitution, parse_constitution
from cai_core.constitution.exports import export_constitution
from cai_core.constitution.imports import Imported, Provenance, import_constitution
from cai_core.constitution.model import with_hash
from cai_core.errors import ImportFormatError
from cai_core.records import Constitution
from tests.constitution.strategies import constitutions
from tests.hostile import HOSTILE
from tests.official import official_file

HARMLESSNESS = find_constitution("harmlessness")
LANGCHAIN = """
from langchain.chains.constitutional_ai.models import ConstitutionalPrinciple
import os
os.abort()
mine = [
    ConstitutionalPrinciple(
        name="Be Lawful",
        critique_request="Tell where the answer breaks "
        "the law.",
        revision_request="Write it again within the law.",
    ),
    models.ConstitutionalPrinciple(critique_request="Look.", revision_request=f"Mend {x}."),
    ConstitutionalPrinciple(critique_request="Is it rude?", revision_request="Be polite."),
]
"""
VOTES = """\
\ufeffcomment-id,comment-body,agrees,disagrees,passes,moderated
1,"The AI should say, when asked, that it is one",90,10,3,1
2,The AI should flatter people,5,80,2,1
3,Buy cheap watches,1,1,1,-1
4,The AI should be kind,many,2,1,0

5,"The AI should
explain itself",4,4,0,0
6,,1,0,0,0
"""


def weighted(constitution: Constitution, weight: float, enabled: bool) -> Constitution:
    first = replace(constitution.principles[0], weight=weight, enabled=enabled)
    return with_hash(replace(constitution, principles=(first, *constitution.principles[1:])))


def read(text: str, kind: str = "auto", **more: str) -> Imported:
    return import_constitution(text.encode("utf-8"), kind, **more)  # type: ignore[arg-type]


def ids(imported: Imported) -> list[str]:
    return [p.id for p in imported.constitution.principles]


# Round trips


@settings(deadline=None)
@given(constitutions, st.sampled_from([1.0, 0.25, 3.0, 1e-7]), st.booleans())
@pytest.mark.parametrize("format", ["yaml", "json", "markdown"])
def test_export_then_import_is_the_identity(
    format: str, constitution: Constitution, weight: float, enabled: bool
) -> None:
    changed = weighted(constitution, weight, enabled)
    written = export_constitution(changed, format)
    for kind in (format, "auto"):
        imported = read(written, kind)
        assert imported.constitution == changed
        assert imported.warnings == ()
        assert list(imported.provenance) == ids(imported)
    assert export_constitution(imported.constitution, format) == written


@pytest.mark.parametrize("format", ["yaml", "json", "markdown"])
@pytest.mark.parametrize("name", ["harmlessness", "healthcare", "helpful-honest-harmless"])
def test_shipped_constitutions_go_through_files(tmp_path: Path, name: str, format: str) -> None:
    constitution = find_constitution(name)
    path = tmp_path / f"mine.{ {'yaml': 'yaml', 'json': 'json', 'markdown': 'md'}[format] }"
    path.write_text(export_constitution(constitution, format), encoding="utf-8")
    assert import_constitution(path).constitution == constitution
    renamed = import_constitution(path, name="other").constitution
    assert (renamed.name, renamed.principles) == ("other", constitution.principles)
    windows = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    assert read(windows, format).constitution == constitution


def test_markdown_is_for_people() -> None:
    written = export_constitution(HARMLESSNESS, "markdown")
    assert "# harmlessness\n" in written.replace("\\-", "-")
    assert "\nThe response should not put anyone in danger" in written
    assert "- **Critique request:** Identify ways" in written


def test_provenance_changes_no_hash() -> None:
    imported = read(VOTES, "csv")
    plain = parse_constitution(dump_constitution(imported.constitution), "plain")
    assert plain.hash == imported.constitution.hash
    told = imported.provenance_as_dict()
    assert told["constitution_hash"] == plain.hash
    assert set(told["principles"]) == set(ids(imported))
    json.dumps(told)


# HTML


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_every_format(text: str) -> None:
    one = replace(
        HARMLESSNESS.principles[0], text=text, critique_request=text, tags=(text,), weight=2.0
    )
    hostile = with_hash(Constitution(name="h", description=text, principles=(one,)))
    told = {one.id: Provenance(source=text, kind="csv", place=text)}
    reader = Reader()
    reader.feed(export_constitution(hostile, "html", told))
    assert reader.tags == {
        *("html", "head", "meta", "title", "style", "body"),
        *("h1", "p", "section", "h2", "dl", "dt", "dd"),
    }
    # A page's parser changes line ends and drops NUL; everything else is there as text.
    assert " ".join(text.split()).replace("\x00", "") in " ".join(reader.text.split()).replace(
        "\x00", ""
    )
    for format in ("yaml", "json", "markdown"):
        assert read(export_constitution(hostile, format), format).constitution == hostile


def test_the_page_asks_for_nothing_and_tells_all() -> None:
    changed = weighted(HARMLESSNESS, 2.0, enabled=False)
    page = export_constitution(changed, "html")
    assert not re.search(r"https?://|@import|url\(", page)
    assert "Weight 2. Off: never drawn" in page
    assert changed.hash in page
    assert "16 principles" in page
    with pytest.raises(ValueError, match="use one of yaml, json"):
        export_constitution(changed, "pdf")


# Formats of others


def test_langchain_source_is_parsed_and_never_run() -> None:
    imported = read(LANGCHAIN)
    assert ids(imported) == ["lawful", "polite"]
    first = imported.constitution.principles[0]
    assert first.critique_request == "Tell where the answer breaks the law."
    assert first.text == first.revision_request == "Write it again within the law."
    assert first.comparison_request == ""
    assert imported.provenance["polite"].place == "entry 3"
    told = "\n".join(imported.warnings)
    assert "entry 2: left out: it has no revision_request" in told
    assert "'Be Lawful' becomes the id 'lawful'" in told
    assert "no comparison requests" in told


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "a", "critique_request": "c", "revision_request": "r"}]',
        '{"a": {"critique_request": "c", "revision_request": "r"}}',
        '{"a": {"critiqueRequest": "c", "revisionRequest": "r", "name": "a"}}',
        "[{'name': 'a', 'critique_request': 'c', 'revision_request': 'r',},]",
        "PRINCIPLES = {'a': {'critique_request': 'c', 'revision_request': 'r'}}",
    ],
)
def test_langchain_lists_and_mappings(text: str) -> None:
    kind = "langchain" if text.startswith("P") else "auto"
    imported = read(text, kind)
    (one,) = imported.constitution.principles
    assert (one.id, one.text, one.critique_request) == ("a", "r", "c")
    assert imported.provenance["a"].kind == "langchain"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 3", "neither ConstitutionalPrinciple"),
        ("def (", "broken Python"),
        ("(" * 5000, "broken Python"),
        ("[1, 2]", "no principle could be read as langchain"),
        ("f(" + "x" * 1_048_576, "characters of Python"),
    ],
)
def test_what_is_no_langchain_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ImportFormatError, match=re.escape(expected)):
        read(text, "langchain")


def test_icai_annotated_pairs_bring_votes() -> None:
    pairs = {
        "metadata": {"version": "1.0", "default_annotator": "d"},
        "annotators": {
            "d": {"name": "preferred_text", "description": "The data's own", "type": "unknown"},
            "p1": {"description": "Select the response that is shorter.", "type": "principle"},
            "p2": {"description": " Select the response with a list. ", "type": "principle"},
            "p3": {"type": "principle"},
        },
        "comparisons": [
            {"annotations": {"d": {"pref": "text_a"}, "p1": {"pref": "text_a"}}},
            {"annotations": {"d": {"pref": "text_a"}, "p1": {"pref": "text_b"}}},
            {"annotations": {"d": {"pref": "text_b"}, "p1": {"pref": None}, "p2": {"pref": "x"}}},
            "damaged",
        ],
    }
    imported = read(json.dumps(pairs))
    first, second = imported.constitution.principles
    assert first.text == "Select the response that is shorter."
    assert imported.provenance[first.id].votes == {"agree": 1, "disagree": 1, "pass": 1}
    assert imported.provenance[second.id].votes == {"agree": 0, "disagree": 1, "pass": 0}
    told = "\n".join(imported.warnings)
    assert "annotator d: left out: it is no principle but 'unknown'" in told
    assert "annotator p3: left out: it has no description" in told
    assert "comparisons: left out" in told


@pytest.mark.parametrize(
    "document",
    [
        ["Select the shorter.", "Select the kinder."],
        {"0": "Select the shorter.", "1": "Select the kinder."},
        {"constitution": "1. Select the shorter.\n2. Select the kinder.\n"},
        {"constitution": ["Select the shorter.", "Select the kinder."], "seed": 3},
    ],
)
def test_icai_lists(document: object) -> None:
    imported = read(json.dumps(document))
    texts = [p.text for p in imported.constitution.principles]
    assert texts == ["Select the shorter.", "Select the kinder."]
    assert "Select the shorter." in imported.constitution.principles[0].critique_request


def test_votes_make_principles_and_keep_their_counts() -> None:
    imported = read(VOTES)
    told = {p.text: p for p in imported.constitution.principles}
    liked = told["The AI should say, when asked, that it is one"]
    disliked = told["The AI should flatter people"]
    undecided = told["The AI should explain itself"]
    assert (liked.enabled, disliked.enabled, undecided.enabled) == (True, False, False)
    assert imported.provenance[liked.id] == Provenance(
        source="upload", kind="csv", place="line 2", votes={"agree": 90, "disagree": 10, "pass": 3}
    )
    assert imported.provenance[undecided.id].place == "line 7"
    warnings = "\n".join(imported.warnings)
    for expected in (
        "the header: left out: the column 'comment-id'",
        "line 3: switched off: 5 agree and 80 disagree",
        "line 4: left out: it was moderated out",
        "line 5: left out: its agree is 'many'",
        "line 9: left out: it is empty",
    ):
        assert expected in warnings


def test_votes_by_other_marks_and_without_a_header() -> None:
    imported = read("Statement;Agree;Disagree\nBe kind;3;1\n")
    assert imported.provenance["kind"].votes == {"agree": 3, "disagree": 1}
    with pytest.raises(ImportFormatError, match="no column agree and no column disagree"):
        read("statement,votes\nBe kind,3\n", "csv")
    with pytest.raises(ImportFormatError, match="no column statement"):
        read("", "csv")
    limit = csv.field_size_limit(100_000)  # of the process: another import may have raised it
    try:
        with pytest.raises(ImportFormatError, match="broken CSV: field larger"):
            read("statement,agree,disagree\n" + "x" * 200_000, "csv")
    finally:
        csv.field_size_limit(limit)


def test_markdown_lists_with_headings() -> None:
    text = """\
# Our rules

Some words before.

## Privacy
- Keep names
  to yourself.
* Keep addresses to yourself
1. Ask first.

```
- code
```
## Manner ##
(2) Be polite.
---
"""
    imported = read(text)
    told = [(p.text, p.tags) for p in imported.constitution.principles]
    assert told == [
        ("Keep names to yourself.", ("privacy",)),
        ("Keep addresses to yourself", ("privacy",)),
        ("Ask first.", ("privacy",)),
        ("Be polite.", ("manner",)),
    ]
    assert imported.constitution.description == "Our rules"
    assert [p.place for p in imported.provenance.values()] == [
        "line 6", "line 8", "line 9", "line 15",
    ]  # fmt: skip
    assert any("line 3: left out: not an item" in w for w in imported.warnings)
    assert sum("block of code" in w for w in imported.warnings) == 3


def test_plain_lines_without_a_list() -> None:
    imported = read("Be kind.\n\nBe kind.\nSay why.\n", "text", name="mine")
    assert ids(imported) == ["kind", "kind-2", "say-why"]
    assert imported.constitution.name == "mine"


def test_every_line_is_somewhere(tmp_path: Path) -> None:
    lines = [f"- rule {n}" if n % 3 else f"word {n}" for n in range(1, 60)]
    path = tmp_path / "Team rules.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    imported = import_constitution(path)
    assert len(ids(imported)) + len(imported.warnings) == len(lines)
    assert imported.constitution.name == "team-rules"
    assert imported.provenance["rule-1"].source == "Team rules.txt"


def test_official_files_are_known_by_their_shape() -> None:
    imported = import_constitution(official_file("prompts/CritiqueRevisionInstructions.json"))
    assert ids(imported) == [f"harmful{n}" for n in range(16)]
    assert imported.provenance["harmful3"].place == "harmful3"
    with pytest.raises(ImportFormatError, match="a comparison request of RLMadisonInstructions"):
        import_constitution(official_file("prompts/RLMadisonInstructions.json"))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "no principle could be read"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{", "broken JSON"),
        (b'{"format": 1}', "no list of principles"),
        (b'{"format": 2, "principles": []}', "not a constitution in JSON of format 1"),
        (b"format: 1\nname: n\n", "has no principles"),
        (b'["\\ud800"]', "half a character"),
        (b"x" * (8 * 1024 * 1024 + 1), "more than"),
        (b'<!-- constitution format 1 -->\n# n\nd\n## a\nt\n- **Colour:** red\n', "upload:6:"),
        (b"<!-- constitution format 1 -->\n# n\n## a\nt\nt\n", "a second text"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(raw: bytes, expected: str) -> None:
    with pytest.raises(ImportFormatError, match=re.escape(expected)):
        import_constitution(raw)


def test_every_problem_of_an_own_file_is_told() -> None:
    document = {
        "format": 1, "name": "a b", "description": 3, "more": 1,
        "principles": [
            {"id": "a", "text": "t", "critique_request": "c", "revision_request": "r", "x": 1},
            {"id": "a", "text": "t", "critique_request": "c", "revision_request": "r"},
            {"id": "b", "text": " ", "critique_request": 1, "revision_request": "r"},
            {"id": "c", "text": "t", "critique_request": "c", "revision_request": "r",
             "weight": 0, "enabled": 1, "tags": [""]},
            4,
        ],
    }  # fmt: skip
    with pytest.raises(ImportFormatError) as raised:
        read(json.dumps(document))
    told = str(raised.value)
    for expected in (
        "principle 2: the id 'a' is there already", "principle 3: it has no text",
        "principle 3: critique_request is 1", "principle 4: weight is 0",
        "principle 4: enabled is 1", "principle 4: tags is", "principle 5 is 4",
        "name is 'a b'", "description is 3",
    ):  # fmt: skip
        assert expected in told


def test_a_changed_file_of_ours_says_so() -> None:
    written = export_constitution(HARMLESSNESS, "json").replace("common decency", "decency")
    (warning,) = read(written).warnings
    assert "it names another version" in warning


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match="the name 'a b' cannot be"):
        read("x", name="a b")
    with pytest.raises(ImportFormatError, match="kind is 'pdf'"):
        read("x", "pdf")
    for path in (tmp_path / "absent.md", tmp_path, "nul\0.md"):
        with pytest.raises(ImportFormatError, match="cannot be read"):
            import_constitution(path)


@settings(deadline=None)
@given(
    st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda t: t.encode("utf-8"))),
    st.sampled_from(["auto", "markdown", "text", "csv", "langchain", "icai", "json", "yaml"]),
)
def test_no_bytes_break_the_import(raw: bytes, kind: str) -> None:
    try:
        imported = import_constitution(raw, kind)  # type: ignore[arg-type]
    except ImportFormatError:
        return
    again = read(export_constitution(imported.constitution, "json"))
    assert again.constitution == imported.constitution
