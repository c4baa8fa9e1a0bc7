"""Model endpoints: what answers under which name, and who plays which role. Pure.

    endpoints:
      local-qwen: {kind: vllm, model: Qwen/Qwen3-8B, options: [--max-model-len, "8192"]}
      hosted: {kind: url, urls: [https://models.example.com], model: gpt-oss-120b, key_env: KEY}
    roles: {policy: demo, critic: local-qwen, feedback: local-qwen, judge: hosted}

Wherever a model is named, an endpoint's name can stand. `demo` is always there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

import yaml

from cai_core.errors import EndpointError, UnknownModelError
from cai_core.inference.model_folder import DEMO
from cai_core.inference.model_url import check_url

EndpointKind = Literal["bundled", "vllm", "url"]
# policy answers and revises, critic writes critiques, feedback labels pairs, judge evaluates.
ModelRole = Literal["policy", "critic", "feedback", "judge"]
ROLES: tuple[ModelRole, ...] = get_args(ModelRole)
# A GPU server's batch; the runner starts lower and grows to it.
CONCURRENCY = 64
# A long answer of a slow model; the longest silence before a server counts as hung.
TIMEOUT_SECONDS = 600.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# What the client writes itself, and what would change what a row says about itself.
_OWN_FIELDS = frozenset(
    {"model", "prompt", "messages", "stream", "stream_options", "seed", "n", "stop", "max_tokens"}
    | {"max_completion_tokens", "temperature", "top_p", "logprobs", "top_logprobs"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """One endpoint as it is configured.

    Attributes:
        name: lower-case letters, digits, `.`, `_`, `-`.
        kind: `bundled` (our own server on this machine), `vllm` (a `vllm serve` that we start
            and watch), `url` (servers that run elsewhere).
        model: for `bundled` and `vllm` `demo`, a folder or a hub id; for `url` the name that
            the server knows it by, "" where it serves one only.
        urls: for `url` only; several share the load and must serve the same model.
        key_env: the environment variable that holds the key; None where none is asked for.
            The key itself is never written down.
        options: further options of `vllm serve`.
        concurrency: the most requests at once, ≥ 1; the runner adapts below it.
        timeout_seconds: the longest silence of the server before it counts as hung, > 0.
        price_prompt, price_completion: in USD for a million tokens; None where unknown.
        extra_body: fields that are sent with every request, e.g. `chat_template_kwargs`.
    """

    name: str
    kind: EndpointKind
    model: str = ""
    urls: tuple[str, ...] = ()
    key_env: str | None = None
    options: tuple[str, ...] = ()
    concurrency: int = CONCURRENCY
    timeout_seconds: float = TIMEOUT_SECONDS
    price_prompt: float | None = None
    price_completion: float | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_config(self)

    def as_dict(self) -> dict[str, Any]:
        """Plain form without the name and without what is at its default."""
        plain = {**asdict(self), "urls": list(self.urls), "options": list(self.options)}
        defaults = {item.name: item.default for item in fields(self)}
        defaults |= {"urls": [], "options": [], "extra_body": {}}
        del plain["name"]
        return {key: value for key, value in plain.items() if value != defaults[key]}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointBook:
    """Every endpoint of a workspace by name, `demo` always among them, and the roles.

    Attributes:
        roles: endpoint names; a role that nobody was given is `demo`'s.
    """

    endpoints: Mapping[str, EndpointConfig] = field(default_factory=dict)
    roles: Mapping[ModelRole, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        every = {DEMO: DEMO_ENDPOINT, **self.endpoints}
        object.__setattr__(self, "endpoints", every)
        object.__setattr__(self, "roles", {role: self.roles.get(role, DEMO) for role in ROLES})
        for role, name in self.roles.items():
            if name not in every:
                raise EndpointError(
                    f"role {role}: there is no endpoint {name!r}. Known are {', '.join(every)}."
                )

    def as_dict(self) -> dict[str, Any]:
        """Plain form; `parse_book` is the inverse."""
        own = {n: c.as_dict() for n, c in self.endpoints.items() if c != DEMO_ENDPOINT}
        return {"endpoints": own, "roles": dict(self.roles)}


def parse_book(text: str, where: str) -> EndpointBook:
    """Read an endpoints file.

    Args:
        where: its name, for errors.

    Raises:
        EndpointError: no YAML, or a key, name or value that cannot be.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise EndpointError(f"{where}: no YAML: {error}") from error
    document = {} if document is None else document
    _check_keys(where, document, ("endpoints", "roles"))
    given, roles = document.get("endpoints") or {}, document.get("roles") or {}
    _check_keys(f"{where}: roles", roles, ROLES)
    if not isinstance(given, dict):
        raise EndpointError(f"{where}: endpoints must be a mapping of names.")
    endpoints = {name: parse_endpoint(where, name, value) for name, value in given.items()}
    if not all(isinstance(name, str) for name in roles.values()):
        raise EndpointError(f"{where}: roles: each must be an endpoint's name.")
    try:
        return EndpointBook(endpoints=endpoints, roles=roles)
    except EndpointError as error:
        raise EndpointError(f"{where}: {error}") from error


def parse_endpoint(where: str, name: Any, value: Any) -> EndpointConfig:
    """Read one endpoint's plain form.

    Raises:
        EndpointError: as `parse_book`.
    """
    at = f"{where}: endpoint {name!r:.80}"
    _check_keys(at, value, [item.name for item in fields(EndpointConfig) if item.name != "name"])
    lists = {key: value[key] for key in ("urls", "options") if key in value}
    for key, held in lists.items():
        if not isinstance(held, list) or not all(isinstance(one, str) for one in held):
            raise EndpointError(f"{at}: {key} must be a list of texts (quote numbers).")
    try:
        tuples = {key: tuple(held) for key, held in lists.items()}
        return EndpointConfig(**{"name": name, **value, **tuples})
    except TypeError as error:
        raise EndpointError(f"{at}: {error}") from error
    except (EndpointError, UnknownModelError) as error:
        raise EndpointError(f"{where}: {error}") from error


def dump_book(book: EndpointBook) -> str:
    """The YAML text of a book; `parse_book` is the inverse."""
    document = book.as_dict()
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) == document:
        return text
    # Some line separators come back as others unless they are escaped.
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=False)


def _check_keys(where: str, document: Any, known: Any) -> None:
    if not isinstance(document, dict):
        raise EndpointError(f"{where}: must be a mapping, not {type(document).__name__}.")
    if unknown := sorted(str(key) for key in document if key not in known):
        raise EndpointError(
            f"{where}: unknown keys {', '.join(unknown)}. Known are: {', '.join(known)}."
        )


def _check_config(config: EndpointConfig) -> None:
    if not isinstance(config.name, str) or not _NAME.fullmatch(config.name):
        raise EndpointError(
            f"{config.name!r:.80} is no name of an endpoint: use a-z, 0-9, `.`, `_` and `-`."
        )

    def refuse(what: str, fix: str) -> EndpointError:
        return EndpointError(f"endpoint {config.name!r}: {what}. {fix}")

    if config.name == DEMO and (config.kind, config.model) != ("bundled", DEMO):
        raise refuse("`demo` is the bundled demo model's name", "Choose another.")
    if config.kind not in get_args(EndpointKind):
        raise refuse(f"kind is {config.kind!r:.80}", "Use bundled, vllm or url.")
    _check_place(config, refuse)
    if config.options and config.kind != "vllm":
        raise refuse("options belong to kind vllm", "Remove them.")
    if config.key_env is not None and not _VARIABLE.fullmatch(str(config.key_env)):
        # Not repeated: a key put here by mistake would stand in logs and on the page.
        raise refuse("key_env is no name of an environment variable", "Give its name, not the key.")
    _check_numbers(config, refuse)
    _check_sendable(config, refuse)
    if not isinstance(config.extra_body, dict) or _OWN_FIELDS & config.extra_body.keys():
        raise refuse(
            "extra_body must be a mapping without the fields that the workbench sends itself",
            f"Those are {', '.join(sorted(_OWN_FIELDS))}.",
        )


def _check_sendable(config: EndpointConfig, refuse: Any) -> None:
    told = [config.model, *config.urls, *config.options, config.extra_body]
    try:
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise refuse(
            f"it holds what cannot be sent as JSON ({error})",
            "Use texts, numbers, lists and maps; put dates in quotes.",
        ) from error


def _check_place(config: EndpointConfig, refuse: Any) -> None:
    if not isinstance(config.model, str):
        raise refuse(f"model is {config.model!r:.80}", "Give a text.")
    if config.kind == "url":
        if not config.urls:
            raise refuse("it has no urls", "Give at least one, as http://host:port.")
        for url in config.urls:
            check_url(url)
    elif not config.model or config.urls:
        raise refuse(f"kind {config.kind} wants a model and no urls", "Correct that.")


def _check_numbers(config: EndpointConfig, refuse: Any) -> None:
    count = config.concurrency
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 4096:
        raise refuse(f"concurrency is {count!r}", "Give a whole number from 1 to 4096.")
    if not _is_number(config.timeout_seconds) or not 0 < config.timeout_seconds <= 86400:
        raise refuse(f"timeout_seconds is {config.timeout_seconds!r}", "Give 0 to 86400.")
    for name in ("price_prompt", "price_completion"):
        price = getattr(config, name)
        if price is not None and (not _is_number(price) or not 0 <= price < 1e6):
            raise refuse(f"{name} is {price!r}", "Give USD for a million tokens, or leave it out.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


DEMO_ENDPOINT = EndpointConfig(name=DEMO, kind="bundled", model=DEMO)
