"""How probable each of a few options is as a model's answer: labels without generated text.

The paper reads labels as the normalised log-probabilities of its options (arXiv 2212.08073,
section 4.1); so does RLAIF, for A and B and for scores from 1 to 10 (arXiv 2309.00267, 2.2).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cai_core.errors import ScoringUnavailableError
from cai_core.inference.capabilities import Asker, Capabilities, ScoringWay
from cai_core.inference.scoring_tokens import (
    OptionTokens,
    Path,
    Token,
    build_tree,
    find_shorter,
)
from cai_core.inference.scoring_wire import (
    Alternatives,
    build_named,
    build_next_token,
    build_top,
    parse_alternatives,
    parse_echo,
    parse_prompt_logprobs,
)
from cai_core.records import Conversation

# vLLM's MAX_LOGPROB_TOKEN_IDS: the most tokens that one request names.
MOST_OPTIONS = 128
NO_WAY = (
    "This server tells no log-probabilities, so options cannot be scored here. Make labels from "
    "generated text, or serve the model with vLLM."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionScores:
    """How probable each option is.

    Attributes:
        probabilities: normalised over the options; their sum is 1.
        logprobs: before that; of the whole vocabulary, but with way `choice` relative only.
        mass: sum of the options' own probabilities, None where the way cannot tell it.
        exact: False where an option was not told and the most that it can have was taken.
        requests: how many this took, without asking for the options' tokens.
    """

    options: tuple[str, ...]
    probabilities: tuple[float, ...]
    logprobs: tuple[float, ...]
    mass: float | None
    way: ScoringWay
    exact: bool
    requests: int

    def probability(self, option: str) -> float:
        """The probability of one of the options; ValueError when it is none of them."""
        return self.probabilities[self.options.index(option)]


def find_way(has: Mapping[str, bool]) -> ScoringWay | None:
    """The best way for a server, given what it can (by capability name); None without any."""
    if has["logprob_token_ids"] and has["token_ids_in_logprobs"] and has["tokenize"]:
        return "token-ids"
    if has["choice"] and has["logprobs"]:
        return "choice"
    if has["logprobs"]:
        return "top-logprobs"
    return "prompt-logprobs" if has["prompt_logprobs"] or has["echo"] else None


def choose_way(capabilities: Capabilities) -> ScoringWay:
    """The best way for the server that was probed.

    `token-ids`: the options' log-probabilities by name, exact. `choice`: a mask leaves only the
    options; exact among them, but their mass stays unknown. `top-logprobs`: the options among
    the most probable alternatives. `prompt-logprobs`: each option appended to the prompt.

    Raises:
        ScoringUnavailableError: it has none; the message says what to do instead.
    """
    if capabilities.scoring_way is None:
        raise ScoringUnavailableError(f"{capabilities.model_id}: {NO_WAY}")
    return capabilities.scoring_way


async def score_options(
    asker: Asker,
    prompt: Conversation | str,
    options: Sequence[str],
    *,
    way: ScoringWay,
    cache: OptionTokens,
    begun: str = "",
) -> OptionScores:
    """How probable each option is as the answer to a prompt, or as what an answer goes on with.

    Options that are distinct single tokens take one request of one token (with `prompt-logprobs`
    one for each option). Others form a prefix tree of their tokens, and each inner node is one
    request: P(option) is the product along its path. An option that others begin with (`1`
    beside `10`) has P(prefix) × (1 − Σ P(continuations of the other options)): that it ends
    there is read from what else could have followed. What was never one of the tokens that the
    tokenizer itself would choose for an option does not count towards it.

    Args:
        prompt: a conversation is scored where the assistant's turn begins, a text at its end.
        options: at least two, all different.
        cache: the server's `OptionTokens`; shared by every call.
        begun: what the answer to a conversation begins with; the options follow it. Its last
            line decides how they are cut into tokens.

    Raises:
        ScoringUnavailableError: this way cannot score these options here.
        ModelError: as `Asker`.
    """
    if not 2 <= len(options) <= MOST_OPTIONS or len(set(options)) < len(options) or "" in options:
        raise ValueError(f"options must be 2 to {MOST_OPTIONS} different texts: {options!r:.200}")
    if begun and isinstance(prompt, str):
        prompt, begun = prompt + begun, ""
    info = await asker.info()
    # Words before the last line differ with each answer; the cache asks once for each end.
    tail = begun.rpartition("\n")[2] or begun[-1:]
    paths = await cache.read(asker, tail or prompt, options)
    asking = _Asking(asker, info.model_id, info.engine == "vllm", prompt, way, cache, begun)
    if way == "prompt-logprobs":
        logprobs = [await asking.whole(o, p) for o, p in zip(options, paths, strict=True)]
    else:
        logprobs = await _walk(asking, options, paths)
    own = compute_own(logprobs, paths)
    return OptionScores(
        options=tuple(options),
        probabilities=compute_softmax(own),
        logprobs=tuple(own),
        mass=None if way == "choice" else min(1.0, math.fsum(map(math.exp, own))),
        way=way,
        exact=asking.exact,
        requests=asking.requests,
    )


def compute_own(logprobs: Sequence[float], paths: Sequence[Path]) -> list[float]:
    """Log-probability that the answer is an option and goes on to no longer one."""
    longer: dict[int, list[float]] = {}
    for index, logprob in enumerate(logprobs):
        shorter = find_shorter(paths, index)
        if shorter is not None:
            longer.setdefault(shorter, []).append(logprob)
    own = list(logprobs)
    for index, others in longer.items():
        if own[index] > -math.inf:
            rest = 1.0 - math.fsum(math.exp(other - own[index]) for other in others)
            own[index] = own[index] + math.log(rest) if rest > 0 else -math.inf
    return own


def compute_softmax(logprobs: Sequence[float]) -> tuple[float, ...]:
    """Probabilities that sum to 1, the same whatever the order.

    Raises:
        ScoringUnavailableError: every option is impossible.
    """
    highest = max(logprobs)
    if highest == -math.inf:
        raise ScoringUnavailableError("No option has any probability. Choose other options.")
    weights = [math.exp(value - highest) for value in logprobs]
    total = math.fsum(weights)  # exact: no order of the options changes it
    return tuple(weight / total for weight in weights)


@dataclass(slots=True)
class _Asking:
    """One scoring: what all its requests share, and what they cost."""

    asker: Asker
    model_id: str
    neutral: bool
    prompt: Conversation | str
    way: ScoringWay
    cache: OptionTokens
    begun: str = ""
    exact: bool = True
    requests: int = 0

    async def post(self, prefix: str, fields: dict[str, Any]) -> dict[str, Any]:
        path, body = build_next_token(
            self.model_id, self.prompt, self.begun + prefix, neutral=self.neutral
        )
        self.requests += 1
        return await self.asker.post(path, body | fields)

    async def next_tokens(
        self, prefix: str, tokens: Sequence[Token], choices: Sequence[str] = ()
    ) -> list[float]:
        """Log-probability of each token after the prefix, all others masked but the choices."""
        chat = not isinstance(self.prompt, str)
        ids = [token.id for token in tokens if token.id is not None]
        if self.way == "token-ids":
            if len(ids) < len(tokens):
                raise ScoringUnavailableError(
                    "The server does not tokenise. Use another way of scoring."
                )
            found = parse_alternatives(await self.post(prefix, build_named(ids, chat=chat)))
            return [_named(found, token) for token in ids]
        by_id = self.cache.names_ids and len(ids) == len(tokens)
        fields = build_top(self.cache.alternatives, chat=chat, ids=by_id)
        if choices:
            fields["structured_outputs"] = {"choice": list(choices)}
        found = parse_alternatives(await self.post(prefix, fields))
        if not by_id and found.count < self.cache.alternatives:
            # Completions tell texts in a mapping: of two tokens that read alike one is lost.
            self.exact = False
        return [
            self._listed(found, f"token_id:{token.id}" if by_id else token.text) for token in tokens
        ]

    def _listed(self, found: Alternatives, key: str) -> float:
        if key in found.ambiguous:
            self.exact = False
        if key in found.logprobs:
            return found.logprobs[key]
        self.exact = False
        return found.bound

    async def whole(self, option: str, path: Path) -> float:
        """Log-probability of a whole option, as the end of a text prompt."""
        if not isinstance(self.prompt, str):
            raise ScoringUnavailableError(
                "This server scores texts only, and the prompt is a conversation. Make labels from "
                "generated text, or serve the model with vLLM."
            )
        if self.cache.echoes:
            answer = await self.post(option, {"echo": True, "logprobs": 1})
            return parse_echo(answer, self.prompt, option)
        answer = await self.post(option, {"prompt_logprobs": 0})
        return parse_prompt_logprobs(answer, [token.id for token in path])


async def _walk(asking: _Asking, options: Sequence[str], paths: Sequence[Path]) -> list[float]:
    """Log-probability of each option's path: one request for each inner node, all at once."""
    nodes = list(build_tree(paths).list_inner())
    masked = None
    if asking.way == "choice":
        # What all options begin with is no question; a mask cannot tell that an option ends.
        while len(nodes[0].children) == 1 and nodes[0].ends is None:
            nodes = nodes[1:]
        masked = nodes[0] if nodes[0].ends is None else None
    told = await asyncio.gather(
        *(
            asking.next_tokens(
                node.prefix,
                list(node.children),
                [o[len(node.prefix) :] for o in options] if node is masked else (),
            )
            for node in nodes
        )
    )
    steps: dict[str, dict[Token, float]] = {
        node.prefix: dict(zip(node.children, values, strict=True))
        for node, values in zip(nodes, told, strict=True)
    }
    return [_along(path, steps) for path in paths]


def _along(path: Path, steps: Mapping[str, Mapping[Token, float]]) -> float:
    total, prefix = 0.0, ""
    for token in path:
        total += steps[prefix][token] if prefix in steps else 0.0
        prefix += token.text
    return total


def _named(found: Alternatives, token: int) -> float:
    try:
        return found.logprobs[f"token_id:{token}"]
    except KeyError:
        raise ScoringUnavailableError(
            f"The server did not tell token {token} that was asked for by id. Probe it again."
        ) from None
