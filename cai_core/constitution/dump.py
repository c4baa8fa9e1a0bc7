"""Writing a constitution's YAML text: the inverse of `parse.py`."""

from __future__ import annotations

import re
from typing import Any

import yaml

from cai_core.constitution.model import FORMAT
from cai_core.records import Constitution, Principle

WIDTH, _INDENT = 96, 2
_STR = "tag:yaml.org,2002:str"
# White space at an end of the text or of a line, and line breaks other than \n: only double
# quotes bring these back as they were.
_FRAGILE = re.compile(r"\A\s|\s\Z|\s\n|[\r\x85\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and lists indented under their key."""

    # PyYAML passes indentless=True for a list under a key; overriding it is its known remedy.
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


class _Tags(list[str]):
    """Marks the list that is written on one line."""


def _represent_text(dumper: yaml.representer.BaseRepresenter, text: str) -> yaml.ScalarNode:
    style = None
    if _FRAGILE.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar(_STR, text, style=style)


def _represent_tags(dumper: yaml.representer.BaseRepresenter, tags: _Tags) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", tags, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(_Tags, _represent_tags)

# libyaml's writer, where PyYAML was built with it, takes a tenth of the time. It writes ordinary
# characters as PyYAML's own does, except that a list is not indented; others it may not.
_FAST: Any = None
if hasattr(yaml, "CSafeDumper"):

    class _FastDumper(yaml.CSafeDumper):
        """As `_Dumper`, but for the lists."""

    _FastDumper.add_representer(str, _represent_text)
    _FastDumper.add_representer(_Tags, _represent_tags)
    _FAST = _FastDumper


def dump_constitution(constitution: Constitution) -> str:
    """The YAML text of a constitution: `parse_constitution` reads back an equal one.

    Empty optional fields are left out. What is dumped is not checked; parsing it is.
    """
    document: dict[str, object] = {"format": FORMAT, "name": constitution.name}
    if constitution.description:
        document["description"] = constitution.description
    principles = [_principle_document(p) for p in constitution.principles]
    if _FAST is not None and principles and _is_ordinary(constitution):
        body = _dump(principles, _FAST, WIDTH - _INDENT)
        lines = (" " * _INDENT + line if line else line for line in body.split("\n"))
        return _dump(document, _FAST, WIDTH) + "principles:\n" + "\n".join(lines)
    return _dump({**document, "principles": principles}, _Dumper, WIDTH)


def _dump(document: object, dumper: Any, width: int) -> str:
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=width)
    return text


def _is_ordinary(constitution: Constitution) -> bool:
    texts = [constitution.name, constitution.description]
    for principle in constitution.principles:
        texts += (principle.id, principle.text, principle.critique_request, *principle.tags)
        texts += (principle.revision_request, principle.comparison_request)
    whole = "".join(texts)
    return whole.replace("\n", "").isprintable() and max(whole, default="") <= "\uffff"


def _principle_document(principle: Principle) -> dict[str, object]:
    document: dict[str, object] = {
        "id": principle.id,
        "text": principle.text,
        "critique_request": principle.critique_request,
        "revision_request": principle.revision_request,
    }
    if principle.comparison_request:
        document["comparison_request"] = principle.comparison_request
    if principle.tags:
        document["tags"] = _Tags(principle.tags)
    if principle.weight != 1:
        whole = float(principle.weight).is_integer()
        document["weight"] = int(principle.weight) if whole else float(principle.weight)
    if not principle.enabled:
        document["enabled"] = False
    return document
