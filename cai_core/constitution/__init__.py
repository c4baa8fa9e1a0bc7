"""Constitutions: reading, checking, writing, hashing and finding them."""

from cai_core.constitution.dump import dump_constitution
from cai_core.constitution.model import constitution_hash
from cai_core.constitution.parse import parse_constitution
from cai_core.constitution.store import (
    ConstitutionSummary,
    find_constitution,
    list_constitutions,
    load_constitution,
)

__all__ = [
    "ConstitutionSummary",
    "constitution_hash",
    "dump_constitution",
    "find_constitution",
    "list_constitutions",
    "load_constitution",
    "parse_constitution",
]
