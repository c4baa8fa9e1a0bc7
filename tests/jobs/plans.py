"""Plan files for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

CHAINS = {
    "name": "chains",
    "kind": "revise",
    "prompts": "redteam",
    "where": {"tags": ["split:train"], "limit": 3},
    "constitution": "harmlessness",
    "model": "demo",
    "chain": {"revisions": 1, "seed": 1, "policy_sampling": {"max_tokens": 16}},
}
SL = {
    "name": "sl",
    "kind": "sft",
    "base": "demo",
    "sources": [{"run": "chains", "use": "final"}],
    "method": "full",
    "epochs": 2,
}


def write_plan(path: Path, *runs: dict[str, Any], **changes: Any) -> Path:
    document = {"format": 1, "name": "plan", "runs": list(runs), **changes}
    path.write_text(dump(document), "utf-8")
    return path


def dump(document: object) -> str:
    """YAML without aliases, which a plan refuses: what is shared is written out."""
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)
