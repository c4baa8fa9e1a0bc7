"""The YAML that plans are written in: numbers as people write them, nothing hidden."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import yaml

from cai_core.errors import RecipeError


class _PlanLoader(yaml.SafeLoader):
    """SafeLoader that reads 3e-4 as a number, and refuses aliases and keys that come twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are refused; write the values out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := sorted(name for name, count in names.items() if count > 1):
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"{', '.join(twice)} comes twice in the mapping of line {line}")
        return super().construct_mapping(node, deep)


class _PlanDumper(yaml.SafeDumper):
    """SafeDumper that quotes a text which the loader would take for a number."""


# YAML 1.1 wants a point (3.0e-4) and takes 3e-4 for a text.
for _class in (_PlanLoader, _PlanDumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"),
        list("-+0123456789"),
    )
_FAULTS = (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError)


def parse_yaml(text: str, source: str) -> Any:
    """The document of a text.

    Raises:
        RecipeError: it is no YAML, or holds what a plan may not hold.
    """
    try:
        return yaml.load(text, Loader=_PlanLoader)
    except _FAULTS as error:
        raise RecipeError(f"{source}: broken: {error}. Correct the file.") from error


def compose_yaml(text: str, source: str) -> yaml.Node | None:
    """The document as nodes, each of which knows where in the text it stands.

    Raises:
        RecipeError: as `parse_yaml`.
    """
    try:
        return yaml.compose(text, Loader=_PlanLoader)
    except _FAULTS as error:
        raise RecipeError(f"{source}: broken: {error}. Correct the file.") from error


def dump_value(value: Any) -> str:
    """A value as it may stand anywhere in a plan, on one line."""
    if isinstance(value, float):
        # A point, for readers of YAML 1.1.
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{e}{exponent}" if e else mantissa
    listed: str = yaml.dump(
        [value],
        Dumper=_PlanDumper,
        default_flow_style=True,
        width=10**9,
        allow_unicode=True,
        sort_keys=False,
    )
    return listed.strip()[1:-1]


def dump_yaml(document: Any) -> str:
    """A document as text; reading it gives the same values."""
    text: str = yaml.dump(document, Dumper=_PlanDumper, sort_keys=False, allow_unicode=True)
    return text
