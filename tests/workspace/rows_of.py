"""Rows for tests: real ids, any text."""

from __future__ import annotations

from typing import Any

from cai_core.records import StepKind
from cai_core.workspace.rows import Row, build_row_id


def make_row(run_id: str = "run", prompt_id: str = "p#1", **changes: Any) -> Row:
    fields: dict[str, Any] = {
        "run_id": run_id,
        "row_id": build_row_id(run_id=run_id, prompt_id=prompt_id, sample=0, step="response"),
        "prompt_id": prompt_id,
        "prompt_hash": "h",
        "constitution_hash": "c",
        "template_version": "chat/1",
        "kind": StepKind.RESPONSE,
        "step": "response",
        "index": 0,
        "round": 0,
        "sample": 0,
        "role": "policy",
        "principle_id": None,
        "model_id": "m",
        "weights_hash": "w",
        "engine": "scripted",
        "engine_version": "1",
        "repeatability": "exact",
        "sampling": {"temperature": 1.0, "top_p": 1.0, "max_tokens": 8},
        "seed": 1,
        "text": "Hello.",
    }
    return Row(**{**fields, **changes})
