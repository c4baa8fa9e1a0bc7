"""What the pipeline needs of a model: one protocol, free of HTTP and of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model answers.

    Attributes:
        base_url: root of the server, without `/v1`, e.g. `http://127.0.0.1:8600`.
        model_id: the name to send in the `model` field.
        api_key: bearer token, None when the server asks for none. Never logged: kept out of repr.
        extra_body: fields that every request carries, e.g. `chat_template_kwargs`.
    """

    base_url: str
    model_id: str
    api_key: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Endpoint({self.model_id!r} at {self.base_url})"

    def __str__(self) -> str:
        return f"{self.base_url} (model {self.model_id!r})"


class Engine(Protocol):
    """A model that answers. Implemented by `client.ModelClient` and `pool.EnginePool`."""

    async def info(self) -> ModelInfo:
        """Who answers. Raises ServerUnavailableError or UnknownModelError."""
        ...

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        priority: int = 0,
    ) -> Completion:
        """Answer one prompt.

        A conversation goes through the model's chat template; a string is continued as it is.
        `on_text` receives the pieces as they arrive. Cancelling the task closes the connection,
        and the server stops generating.

        Args:
            seed: 0 ≤ seed < 2**63.
            stop: texts that end generation; they are not part of the answer.
            priority: where requests wait for their turn, the lower number goes first.

        Raises:
            ContextLengthError: prompt and max_tokens exceed the context.
            RequestRejectedError: any other 4xx; final.
            RequestFailedError: this request kept failing while others were answered.
            ServerUnavailableError: unreachable, died in the middle, or 5xx after the retries.
        """
        ...
