"""From what is typed into the endpoint form to an endpoint, and back. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from cai_core.errors import EndpointError
from cai_core.inference.endpoints import CONCURRENCY, TIMEOUT_SECONDS, EndpointConfig
from ui.look import make_showable

EMPTY: dict[str, Any] = {
    "kind": "url",
    "name": "",
    "model": "",
    "urls": "",
    "key_env": "",
    "options": "",
    "concurrency": CONCURRENCY,
    "timeout": TIMEOUT_SECONDS,
    "price_prompt": None,
    "price_completion": None,
    "extra_body": "",
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "A GPU in this machine": EMPTY
    | {
        "kind": "vllm",
        "name": "local-qwen",
        "model": "Qwen/Qwen3-8B",
        "options": "--max-model-len 8192",
    },
    "Ollama": EMPTY
    | {"name": "ollama", "urls": "http://127.0.0.1:11434#qwen3:8b", "concurrency": 4},
    "A hosted API": EMPTY
    | {
        "name": "hosted",
        "urls": "https://models.example.com",
        "model": "gpt-oss-120b",
        "key_env": "MODELS_API_KEY",
        "concurrency": 16,
        "price_prompt": 0.15,
        "price_completion": 0.6,
    },
}


def build_typed(config: EndpointConfig) -> dict[str, Any]:
    """What the form shows of an endpoint; `build_config` is the inverse."""
    body = dict(config.extra_body)
    texts = {
        "model": config.model,
        "options": shlex.join(config.options),
        "extra_body": json.dumps(body, ensure_ascii=False, indent=1) if body else "",
    }
    return {name: make_showable(text) for name, text in texts.items()} | {
        "kind": config.kind,
        "name": config.name,
        "urls": "\n".join(config.urls),
        "key_env": config.key_env or "",
        "concurrency": config.concurrency,
        "timeout": float(config.timeout_seconds),
        "price_prompt": config.price_prompt,
        "price_completion": config.price_completion,
    }


def build_config(typed: Mapping[str, Any]) -> EndpointConfig:
    """The endpoint that was typed. What belongs to another kind is left out.

    Raises:
        CaiError: something in it cannot be.
    """
    kind, name = typed["kind"], typed["name"].strip()
    model, urls = typed["model"].strip(), ()
    if not name:
        raise EndpointError("The endpoint has no name yet. Give it one.")
    if kind == "url":
        urls, model = _split_urls(typed["urls"], model)
    elif not model:
        raise EndpointError("No model is named. Give a hub id or a folder.")
    return EndpointConfig(
        name=name,
        kind=kind,
        model=model,
        urls=urls,
        key_env=(typed["key_env"].strip() or None) if kind == "url" else None,
        options=_split_options(typed["options"]) if kind == "vllm" else (),
        concurrency=_whole(typed["concurrency"]),
        timeout_seconds=typed["timeout"],
        price_prompt=typed["price_prompt"],
        price_completion=typed["price_completion"],
        extra_body=_parse_body(typed["extra_body"]),
    )


def _split_urls(text: str, model: str) -> tuple[tuple[str, ...], str]:
    """Lines of URLs; a model's name behind `#` fills the model's field where that is empty."""
    urls = []
    for line in text.split():
        url, _, named = line.partition("#")
        if named and model not in ("", named):
            raise EndpointError(f"{line} names another model than {model}. Name one of the two.")
        model = named or model
        urls.append(url)
    return tuple(urls), model


def _split_options(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise EndpointError(f"The options cannot be read: {error}. Close every quote.") from error


def _parse_body(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        body = json.loads(text)
    except ValueError as error:
        raise EndpointError(
            f"The extra fields are no JSON: {error}. Write an object such as "
            '{"chat_template_kwargs": {"enable_thinking": false}}.'
        ) from error
    if not isinstance(body, dict):
        raise EndpointError("The extra fields must be one JSON object, in braces.")
    return body


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
