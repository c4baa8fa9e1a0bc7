"""The vocabulary in code: frozen records that every part of the workbench passes around."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """The OpenAI wire form."""
        return {"role": self.role, "content": self.content}


Conversation = tuple[Message, ...]


class AccessRole(StrEnum):
    """What a person may do here; each role may also do what the ones before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def includes(self, other: AccessRole) -> bool:
        """Whether this role may do what the other may."""
        order = list(AccessRole)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks for a change: the name that the audit log keeps, and the role that is checked."""

    name: str
    role: AccessRole


# Whoever sits at this machine: the app binds to loopback, and there is no login yet.
LOCAL_ACTOR = Actor(name="local", role=AccessRole.ADMIN)


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`: key order and spacing do not matter."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principle:
    """One rule of a constitution and the three requests that put it to work.

    `text` is the rule itself; the requests are what the model is asked (arXiv 2212.08073,
    sections 3.1 and 4.1). `comparison_request` may be empty when no labels are made with it.

    Attributes:
        weight: above 0; how often it is drawn beside the others: 2 is twice as often as 1.
        enabled: one that is off is never drawn.
    """

    id: str
    text: str
    critique_request: str
    revision_request: str
    comparison_request: str = ""
    tags: tuple[str, ...] = ()
    weight: float = 1.0
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Constitution:
    """A named, ordered list of principles.

    `hash` identifies the version: it covers name, description and every principle in order, and
    ignores the file's key order and white space (see `constitution.model.constitution_hash`).
    """

    name: str
    description: str
    principles: tuple[Principle, ...]
    hash: str = ""

    def principle(self, principle_id: str) -> Principle:
        """The principle of that id; KeyError when there is none."""
        for principle in self.principles:
            if principle.id == principle_id:
                return principle
        raise KeyError(principle_id)


class PromptKind(StrEnum):
    """What a prompt set says about a prompt; `unknown` when it says nothing."""

    RED_TEAM = "red-team"
    HELPFUL = "helpful"
    BORDERLINE = "borderline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a chain starts from: a conversation that ends in a user turn.

    Attributes:
        prompt_id: stable name; from a file it is `<id or content hash>` plus `#<line>`.
        conversation: one or more turns, the last one the user's.
        line: 1-based line in its file, 0 when it came from elsewhere.
    """

    prompt_id: str
    conversation: Conversation
    kind: PromptKind = PromptKind.UNKNOWN
    line: int = 0
    tags: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Content hash of the turns."""
        return content_hash([m.as_dict() for m in self.conversation])

    @property
    def text(self) -> str:
        """The last user turn."""
        return self.conversation[-1].content


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How text is drawn. T = 1 is the paper's setting (arXiv 2212.08073, section 3.1).

    Attributes:
        temperature: ≥ 0; 0 is greedy.
        top_p: nucleus mass in (0, 1].
        max_tokens: ≥ 1; the most tokens one step may write.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256

    def as_dict(self) -> dict[str, float | int]:
        """Plain form for rows and requests."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One finished answer of a model endpoint.

    Attributes:
        text: the answer itself, without the reasoning before it.
        finish_reason: `stop`, `length` or `abort`.
        seconds: wall time from sending to the last token.
        reasoning: what a reasoning model thought before it answered; None where it told nothing.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Who answers: as the endpoint tells it.

    Attributes:
        weights_hash: SHA-256 of the weights where the endpoint tells it, else None.
        engine: e.g. `cai-local` or `vllm`; with its version.
        repeatability: `exact` when a seeded text is the same alone and among neighbours,
            else `statistical`.
        context_length: tokens of prompt and completion together, None when not told.
    """

    model_id: str
    engine: str
    engine_version: str
    weights_hash: str | None = None
    context_length: int | None = None
    repeatability: Literal["exact", "statistical"] = "statistical"


class Finding(StrEnum):
    """What a critique says of its principle."""

    FOUND = "found"
    NOT_TOUCHED = "not_touched"
    UNPARSED = "unparsed"


class Verdict(StrEnum):
    """What a judgement says of a comparison. `unparsed` is kept raw and counted, never a tie."""

    A = "A"
    B = "B"
    TIE = "tie"
    UNPARSED = "unparsed"


class CritiqueVerdict(StrEnum):
    """What a person says of a critique; `not needed` where there was nothing to criticise."""

    RIGHT = "right"
    PARTLY = "partly"
    WRONG = "wrong"
    NOT_NEEDED = "not needed"


class StepKind(StrEnum):
    """The kinds of rows: those that a chain is made of, and a feedback model's label."""

    RESPONSE = "response"
    CRITIQUE = "critique"
    REVISION = "revision"
    LABEL = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One generated text of a chain, before it is written as a row.

    Attributes:
        index: 0 for the initial response; critique k is 2k−1, revision k is 2k (k from 1).
            Direct revisions (no critique) keep the revision's index 2k.
        round: 0 for the initial response, else k.
        principle_id: None for the initial response.
    """

    kind: StepKind
    index: int
    round: int
    text: str
    principle_id: str | None = None
    seed: int = 0
    finding: Finding | None = None
    completion: Completion | None = field(default=None, compare=False)
