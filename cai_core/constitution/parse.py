"""Reading a constitution's YAML text; `dump.py` holds the inverse.

Texts are kept as YAML reads them, except that a block text (`|` or `>`) loses the white space
at its ends: there the last line break is a matter of style, while quotes say what they mean.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from operator import itemgetter

import yaml

from cai_core.constitution.model import FORMAT, MAX_WEIGHT, NAME_PATTERN, NAME_RULE, with_hash
from cai_core.constitution.nodes import compose_yaml, line_of
from cai_core.errors import ConstitutionError
from cai_core.records import Constitution, Principle

FILE_KEYS = ("format", "name", "description", "principles")
REQUIRED_TEXTS = ("text", "critique_request", "revision_request")
PRINCIPLE_KEYS = ("id", *REQUIRED_TEXTS, "comparison_request", "tags", "weight", "enabled")
# More would bury the page: a file with so many is of another kind.
MAX_PROBLEMS = 200
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_NUMBERS = (_INT, "tag:yaml.org,2002:float")
_BOOL = "tag:yaml.org,2002:bool"
# YAML has more ways to write one (0x10, 1:30, 1_000); here a number is what people read as one.
_NUMBER = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def parse_constitution(text: str, source: str) -> Constitution:
    """Read a constitution and fill in its hash.

    Args:
        text: the file's content.
        source: what messages call the file, usually its path.

    Raises:
        ConstitutionError: names every problem of the file, one a line, each with its line
            number, the principle, and what to do.
    """
    root = compose_yaml(text.removeprefix("\ufeff"), source)
    if root is None:
        raise ConstitutionError(
            f"{source}: the file is empty. Write at least format, name and one principle."
        )
    reader = _Reader(source)
    constitution = reader.read_file(root)
    if reader.problems:
        raise ConstitutionError(
            _joined([text for _, text in sorted(reader.problems, key=itemgetter(0))])
        )
    return with_hash(constitution)


@dataclass(slots=True)
class _Reader:
    """Walks the nodes and collects every problem instead of stopping at the first."""

    source: str
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, node: yaml.Node, message: str) -> None:
        line = line_of(node)
        self.problems.append((line, f"{self.source}:{line}: {message}"))

    def read_file(self, root: yaml.Node) -> Constitution:
        keys = self.read_keys(root, "the file", FILE_KEYS)
        self.check_format(root, keys)
        return Constitution(
            name=self.read_name(root, keys, "name", "the file"),
            description=self.read_text(keys.get("description"), "the file", "description"),
            principles=self.read_principles(root, keys),
        )

    def read_keys(
        self, node: yaml.Node, where: str, known: tuple[str, ...]
    ) -> dict[str, yaml.Node]:
        """The values by key; unknown and repeated keys become problems."""
        found: dict[str, yaml.Node] = {}
        if not isinstance(node, yaml.MappingNode):
            self.problem(
                node,
                f"{where} is {_kind(node)}, not a mapping. Write it as keys with values: "
                f"{', '.join(known)}.",
            )
            return found
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
            if name in found:
                self.problem(key, f"{where} has {name!r} twice. Keep one of the two.")
            elif name not in known:
                self.problem(key, f"{where} has the unknown key {name!r}. {_advice(name, known)}")
            found.setdefault(name, value)
        return found

    def check_format(self, root: yaml.Node, keys: dict[str, yaml.Node]) -> None:
        node = keys.get("format")
        if node is None:
            if isinstance(root, yaml.MappingNode):
                self.problem(root, f"the file has no format. Add 'format: {FORMAT}'.")
        elif node.tag != _INT or node.value != str(FORMAT):
            shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else _kind(node)
            self.problem(
                node,
                f"format is {shown}; this version reads format {FORMAT}. "
                f"Write 'format: {FORMAT}', or update the workbench.",
            )

    def read_name(self, parent: yaml.Node, keys: dict[str, yaml.Node], key: str, where: str) -> str:
        if key not in keys:
            if isinstance(parent, yaml.MappingNode):
                self.problem(parent, f"{where} has no {key}. Add one.")
            return ""
        before = len(self.problems)
        name = self.read_text(keys[key], where, key, required=True)
        if len(self.problems) == before and not NAME_PATTERN.fullmatch(name):
            self.problem(keys[key], f"{where} has the {key} {name!r}. It must {NAME_RULE}.")
        return name

    def read_text(
        self, node: yaml.Node | None, where: str, key: str, *, required: bool = False
    ) -> str:
        """A text value; absent is "". Numbers, yes/no and dates are not texts until quoted."""
        if node is None:
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, f"{where}: {key} is {_kind(node)}, not a text. Write one text.")
            return ""
        if node.tag not in (_STR, _NULL):
            self.problem(
                node,
                f"{where}: {key} is {_kind(node)}, not a text. Put it in quotes: {_quoted(node)}",
            )
            return ""
        text = "" if node.tag == _NULL else str(node.value)
        text = text.strip() if node.style in ("|", ">") else text
        if required and not text.strip():
            self.problem(node, f"{where} has an empty {key}. Write one.")
        return text

    def read_principles(self, root: yaml.Node, keys: dict[str, yaml.Node]) -> tuple[Principle, ...]:
        node = keys.get("principles")
        if node is None or node.tag == _NULL or (node.value == [] and not _is_mapping(node)):
            if isinstance(root, yaml.MappingNode):
                self.problem(node or root, "the constitution has no principles. Add at least one.")
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.problem(
                node, f"principles is {_kind(node)}, not a list. Begin each principle with '- id:'."
            )
            return ()
        principles = tuple(self.read_principle(p, n) for n, p in enumerate(node.value, start=1))
        self.check_unique(node.value, principles)
        return principles

    def read_principle(self, node: yaml.Node, number: int) -> Principle:
        where = _principle_name(node, number)
        keys = self.read_keys(node, where, PRINCIPLE_KEYS)
        principle_id = self.read_name(node, keys, "id", where)
        for key in REQUIRED_TEXTS:
            if key not in keys and _is_mapping(node):
                self.problem(node, f"{where} has no {key}. Add one, or delete the principle.")
        texts = {
            key: self.read_text(keys.get(key), where, key, required=True) for key in REQUIRED_TEXTS
        }
        return Principle(
            id=principle_id,
            **texts,
            comparison_request=self.read_text(
                keys.get("comparison_request"), where, "comparison_request"
            ),
            tags=self.read_tags(keys.get("tags"), where),
            weight=self.read_weight(keys.get("weight"), where),
            enabled=self.read_enabled(keys.get("enabled"), where),
        )

    def read_tags(self, node: yaml.Node | None, where: str) -> tuple[str, ...]:
        if node is None or node.tag == _NULL:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, f"{where}: tags is {_kind(node)}, not a list. Write tags: [harm].")
            return ()
        return tuple(self.read_text(tag, where, "tag", required=True) for tag in node.value)

    def read_weight(self, node: yaml.Node | None, where: str) -> float:
        if node is None or node.tag == _NULL:
            return 1.0
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _NUMBERS:
            self.problem(node, f"{where}: weight is {_kind(node)}, not a number. Write weight: 2.")
            return 1.0
        weight = float(node.value) if _NUMBER.fullmatch(node.value) else 0.0
        if not 0 < weight <= MAX_WEIGHT:
            self.problem(
                node,
                f"{where}: weight is {node.value}. Give a number above 0 and at most {MAX_WEIGHT}; "
                "write enabled: false for a principle that is never to be drawn.",
            )
            return 1.0
        return weight

    def read_enabled(self, node: yaml.Node | None, where: str) -> bool:
        if node is None or node.tag == _NULL:
            return True
        if not isinstance(node, yaml.ScalarNode) or node.tag != _BOOL:
            self.problem(node, f"{where}: enabled is {_kind(node)}. Write enabled: true or false.")
            return True
        return str(node.value).lower() in ("true", "yes", "on")

    def check_unique(self, nodes: list[yaml.Node], principles: tuple[Principle, ...]) -> None:
        first_line: dict[str, int] = {}
        for node, principle in zip(nodes, principles, strict=True):
            if principle.id and principle.id in first_line:
                self.problem(
                    node,
                    f"principle {principle.id!r} repeats the id of the one in line "
                    f"{first_line[principle.id]}. Rename one of the two.",
                )
            first_line.setdefault(principle.id, line_of(node))


def _joined(problems: list[str]) -> str:
    more = len(problems) - MAX_PROBLEMS
    rest = [f"… and {more} more problems. Correct these first."] if more > 0 else []
    return "\n".join(problems[:MAX_PROBLEMS] + rest)


def _is_mapping(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode)


def _principle_name(node: yaml.Node, number: int) -> str:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "id" and isinstance(value, yaml.ScalarNode) and value.value:
                return f"principle {value.value!r}"
    return f"principle {number}"


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    kinds = {"str": "a text", "null": "empty", "int": "a number", "float": "a number"}
    kinds |= {"bool": "a yes/no value", "timestamp": "a date"}
    short = node.tag.rsplit(":", 1)[-1]
    return kinds.get(short, f"of the type {node.tag!r}")


def _quoted(node: yaml.ScalarNode) -> str:
    return '"' + str(node.value).replace("\\", "\\\\").replace('"', '\\"') + '".'


def _advice(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Delete it; the keys are {', '.join(known)}."
