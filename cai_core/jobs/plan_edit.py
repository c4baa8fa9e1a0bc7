"""A plan's text, changed one value at a time: what a form shows, and what it writes back. Pure.

The text is the one truth. A value is cut out of it and the new one put in its place, so comments
and layout stay. Where that cannot be done, the whole plan is written anew, without comments.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from cai_core.errors import RecipeError
from cai_core.jobs.plan_fields import list_fields
from cai_core.jobs.plan_yaml import compose_yaml, dump_value, dump_yaml, parse_yaml

_SOURCE = "the plan"
# Where these name the same thing, they are meant to: one set, one model for several runs.
NAMES = frozenset({"prompts", "constitution", "model", "base", "feedback_model"})
_MODELS = frozenset({"model", "base"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFields:
    """One run of a plan as a form shows it.

    Attributes:
        number: its place in the plan, from 0.
        name, kind: as the text says, "" where it says nothing that can be read.
        values: dotted key (`where.limit`, `sources.0.use`) → what the text says, of any type;
            None where the text leaves it out. In the order of a form.
        more: those of its keys that a form keeps for later.
        nulls: those that the text sets to null, which is another thing than leaving them out.
    """

    number: int
    name: str
    kind: str
    values: Mapping[str, Any]
    more: frozenset[str] = frozenset()
    nulls: frozenset[str] = frozenset()


def read_fields(text: str) -> tuple[RunFields, ...]:
    """The fields of every run of a plan; a run that is no mapping has none.

    Raises:
        RecipeError: the text is no YAML, or holds no runs.
    """
    runs = _get_runs(parse_yaml(text, _SOURCE))
    return tuple(_read_run(number, run) for number, run in enumerate(runs))


def set_field(text: str, run: int, key: str, value: Any, *, everywhere: bool = False) -> str:
    """The plan with another value.

    Args:
        run: its place in the plan, from 0.
        key: dotted, as in `RunFields.values`.
        value: a text, number, truth value or a list of these; None takes the key out.
        everywhere: in the other runs too, where a key of NAMES says the same, alone or in a list;
            `model` and `base` count as one.

    Raises:
        RecipeError: the text is no YAML, or there is no such run.
    """
    fields = read_fields(text)
    if run >= len(fields):
        raise RecipeError(f"{_SOURCE}: there is no run number {run + 1}. It has {len(fields)}.")
    places = [(run, key, value)]
    if everywhere and key in NAMES and (was := fields[run].values.get(key)) is not None:
        others = [other for other in fields if other.number != run]
        places += [place for other in others for place in _find_same(other, key, was, value)]
    for number, name, wanted in places:
        text = _set(text, ("runs", number, *_split(name)), wanted)
    return text


def _find_same(other: RunFields, key: str, was: Any, value: Any) -> Iterator[tuple[int, str, Any]]:
    """Where another run says the same, alone or in a list: its place, key and new value."""
    for name in sorted(_MODELS if key in _MODELS else {key}):
        held = other.values.get(name)
        if held == was:
            yield other.number, name, value
        elif isinstance(held, list) and was in held and value is not None:
            yield other.number, name, [value if one == was else one for one in held]


def _read_run(number: int, run: object) -> RunFields:
    if not isinstance(run, dict):
        return RunFields(number=number, name="", kind="", values={})
    name, kind = (run.get(key) for key in ("name", "kind"))
    kind = kind if isinstance(kind, str) else ""
    first, more = list_fields(kind, run)
    paths = {key: _split(key) for key in (*first, *more)}
    values = {key: _find(run, path) for key, path in paths.items()}
    return RunFields(
        number=number,
        name=name if isinstance(name, str) else "",
        kind=kind if values else "",
        values=values,
        more=frozenset(more),
        nulls=frozenset(key for key, path in paths.items() if _is_null(run, path)),
    )


def _get_runs(document: object) -> list[Any]:
    runs = document.get("runs") if isinstance(document, dict) else None
    if not isinstance(runs, list) or not runs:
        raise RecipeError(f"{_SOURCE}: runs: is no list of runs. Begin each one with `- name:`.")
    return runs


def _split(key: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _find(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        match value, step:
            case dict(), str():
                value = value.get(step)
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                return None
    return value


def _is_null(run: Mapping[str, Any], path: tuple[str | int, ...]) -> bool:
    holder = _find(run, path[:-1])
    return isinstance(holder, dict) and path[-1] in holder and holder[path[-1]] is None


def _set(text: str, path: tuple[str | int, ...], value: Any) -> str:
    """The text with one value changed; checked by reading it again."""
    wanted = _change(parse_yaml(text, _SOURCE), path, value)
    root = compose_yaml(text, _SOURCE)
    for edited in _edit(text, root, path, value):
        try:
            if _same(parse_yaml(edited, _SOURCE), wanted):
                return edited
        except RecipeError:
            continue
    return dump_yaml(wanted)


def _same(held: Any, wanted: Any) -> bool:
    """Equal in type too: to Python, 1, 1.0 and True are one."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        return held.keys() == wanted.keys() and all(_same(held[k], wanted[k]) for k in held)
    if isinstance(held, list) and isinstance(wanted, list):
        pairs = zip(held, wanted, strict=False)
        return len(held) == len(wanted) and all(_same(one, other) for one, other in pairs)
    return type(held) is type(wanted) and repr(held) == repr(wanted)


def _change(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    place = document
    for step, after in itertools.pairwise(path):
        if isinstance(place, list):
            place = place[int(step)]
            continue
        if not isinstance(place.get(step), dict if isinstance(after, str) else list):
            if value is None:
                return document
            place[step] = {}
        place = place[step]
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return document


def _edit(
    text: str, root: yaml.Node | None, path: tuple[str | int, ...], value: Any
) -> Iterator[str]:
    """Texts that may be what is wanted, the most careful one first."""
    node, depth = root, 0
    while depth < len(path) and (found := _step(node, path[depth])) is not None:
        (key, node), parent, depth = found, node, depth + 1
    if depth == len(path):
        if node is not None:
            yield from _replace(text, parent, key, node, value)
        return
    if value is None:
        yield text
        return
    # What is missing is written as `a: {b: value}` into what there is.
    inner = dump_value(value)
    for name in reversed(path[depth + 1 :]):
        inner = f"{{{name}: {inner}}}"
    if isinstance(node, yaml.MappingNode):
        yield from _insert(text, node, str(path[depth]), inner)
    elif node is not None and depth:
        yield _put(text, node, f"{{{path[depth]}: {inner}}}")


def _step(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    """The key's node (None in a list) and the value's."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (None, node.value[step]) if step < len(node.value) else None
    return None


def _replace(
    text: str, parent: yaml.Node | None, key: yaml.Node | None, node: yaml.Node, value: Any
) -> Iterator[str]:
    if value is not None:
        yield _put(text, node, dump_value(value))
    elif isinstance(parent, yaml.MappingNode) and key is not None:
        yield from _remove(text, parent, key, node)


def _put(text: str, node: yaml.Node, written: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    # `key:` with nothing behind it ends right at the colon.
    return f"{text[:start]}{' ' * (start == end)}{written}{text[end:]}"


def _remove(text: str, parent: yaml.MappingNode, key: yaml.Node, node: yaml.Node) -> Iterator[str]:
    start, end = key.start_mark.index, node.end_mark.index
    if not parent.flow_style:
        line_start, line_end = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        yield text[:line_start] + (text[line_end + 1 :] if line_end >= 0 else "")
        return
    place = [held for held, _ in parent.value].index(key)
    if place:
        yield text[: parent.value[place - 1][1].end_mark.index] + text[end:]
    elif len(parent.value) > 1:
        yield text[:start] + text[parent.value[1][0].start_mark.index :]
    else:
        yield text[:start] + text[end:]


def _insert(text: str, parent: yaml.MappingNode, key: str, inner: str) -> Iterator[str]:
    pairs = parent.value
    if parent.flow_style:
        end = pairs[-1][1].end_mark.index if pairs else parent.end_mark.index - 1
        yield f"{text[:end]}{', ' * bool(pairs)}{key}: {inner}{text[end:]}"
        return
    indent = " " * pairs[0][0].start_mark.column
    for _, last in reversed(pairs):
        if isinstance(last, yaml.ScalarNode) or last.flow_style:
            # Behind a comment of that line.
            end = text.find("\n", last.end_mark.index)
            end = len(text) if end < 0 else end
            yield f"{text[:end]}\n{indent}{key}: {inner}{text[end:]}"
            break
    start = pairs[-1][0].start_mark.index
    yield f"{text[:start]}{key}: {inner}\n{indent}{text[start:]}"
