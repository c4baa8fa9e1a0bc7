"""Writing a constitution for others: YAML, JSON, Markdown, and a page to print."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from cai_core.constitution.dump import dump_constitution
from cai_core.constitution.imported import Provenance, has_surrogates
from cai_core.constitution.markdown import write_markdown
from cai_core.constitution.model import FORMAT, constitution_hash
from cai_core.records import Constitution, Principle

FORMATS = ("yaml", "json", "markdown", "html")
SUFFIXES = {"yaml": ".yaml", "json": ".json", "markdown": ".md", "html": ".html"}
_STYLE = """
body { font: 11pt/1.45 Georgia, serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.1rem; margin: 0 0 0.3rem; }
section { border-top: 1px solid #999; padding: 0.8rem 0; break-inside: avoid; }
section.off { color: #666; }
p { margin: 0 0 0.5rem; white-space: pre-wrap; }
dt { font-weight: bold; font-size: 0.85rem; }
dd { margin: 0 0 0.4rem 1rem; white-space: pre-wrap; }
.quiet { color: #555; font-size: 0.85rem; }
@media print { body { margin: 0; max-width: none; } @page { margin: 2cm; } }
""".strip()
_REQUESTS = {
    "critique_request": "Critique request",
    "revision_request": "Revision request",
    "comparison_request": "Comparison request",
}


def export_constitution(
    constitution: Constitution,
    format: str,
    provenance: Mapping[str, Provenance] | None = None,
) -> str:
    """The file's text.

    YAML, JSON and Markdown read back to an equal constitution by `import_constitution`. The HTML
    page is one file that asks for nothing, runs nothing and prints.

    Args:
        format: one of `FORMATS`.
        provenance: by principle id, shown on the HTML page.

    Raises:
        ValueError: another format.
    """
    match format:
        case "yaml":
            return dump_constitution(constitution)
        case "json":
            return _write_json(constitution)
        case "markdown":
            return write_markdown(constitution)
        case "html":
            return _write_html(constitution, provenance or {})
    raise ValueError(f"format is {format!r}; use one of {', '.join(FORMATS)}")


def build_document(constitution: Constitution) -> dict[str, Any]:
    """The constitution as plain values: what the JSON file holds."""
    return {
        "format": FORMAT,
        "name": constitution.name,
        "description": constitution.description,
        "hash": constitution_hash(constitution),
        "principles": [_build_principle(principle) for principle in constitution.principles],
    }


def _write_json(constitution: Constitution) -> str:
    document = build_document(constitution)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # Half a character has no bytes in UTF-8, and an escape in JSON.
    return (json.dumps(document, indent=2) if has_surrogates(text) else text) + "\n"


def _build_principle(principle: Principle) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": principle.id,
        "text": principle.text,
        "critique_request": principle.critique_request,
        "revision_request": principle.revision_request,
        "comparison_request": principle.comparison_request,
        "tags": list(principle.tags),
    }
    if principle.weight != 1:
        document["weight"] = principle.weight
    if not principle.enabled:
        document["enabled"] = False
    return document


def _write_html(constitution: Constitution, provenance: Mapping[str, Provenance]) -> str:
    title = html.escape(constitution.name)
    sections = "\n".join(
        _write_section(number, principle, provenance.get(principle.id))
        for number, principle in enumerate(constitution.principles, start=1)
    )
    count = len(constitution.principles)
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{html.escape(constitution.description)}</p>
<p class="quiet">{count} principle{"" if count == 1 else "s"}. Version \
{constitution_hash(constitution)}.</p>
{sections}
</body>
</html>
"""
    return page.encode("utf-8", "replace").decode("utf-8")


def _write_section(number: int, principle: Principle, told: Provenance | None) -> str:
    notes = []
    if principle.tags:
        notes.append("Tags: " + ", ".join(principle.tags))
    if principle.weight != 1:
        notes.append(f"Weight {principle.weight:g}")
    if not principle.enabled:
        notes.append("Off: never drawn")
    if told is not None:
        votes = ", ".join(f"{count} {kind}" for kind, count in (told.votes or {}).items())
        notes.append(f"From {told.source}, {told.place}" + (f" ({votes})" if votes else ""))
    requests = "".join(
        f"<dt>{label}</dt><dd>{html.escape(getattr(principle, field))}</dd>"
        for field, label in _REQUESTS.items()
        if getattr(principle, field)
    )
    quiet = f'<p class="quiet">{html.escape(". ".join(notes))}</p>' if notes else ""
    return (
        f"<section{'' if principle.enabled else ' class=off'}>"
        f"<h2>{number}. {html.escape(principle.id)}</h2>"
        f"<p>{html.escape(principle.text)}</p><dl>{requests}</dl>{quiet}</section>"
    )
