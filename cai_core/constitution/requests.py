"""The three requests for a rule that comes without them: plain ones that quote it."""

from __future__ import annotations

from cai_core.records import Principle

REQUEST_FIELDS = ("critique_request", "revision_request", "comparison_request")


def build_requests(text: str) -> dict[str, str]:
    """Requests by field name, each quoting the rule.

    They work, and are a beginning: a request that names what to look for works better.
    """
    rule = " ".join(text.split())
    return {
        "critique_request": (
            "Identify ways in which the assistant's last response departs from this principle: "
            f"{rule}"
        ),
        "revision_request": (
            f"Please rewrite the response so that it follows this principle: {rule}"
        ),
        "comparison_request": f"Which response follows this principle better: {rule}",
    }


def build_principle(principle_id: str, text: str, tags: tuple[str, ...] = ()) -> Principle:
    """A principle whose requests quote its rule."""
    asked = build_requests(text)
    return Principle(
        id=principle_id,
        text=text,
        critique_request=asked["critique_request"],
        revision_request=asked["revision_request"],
        comparison_request=asked["comparison_request"],
        tags=tags,
    )
