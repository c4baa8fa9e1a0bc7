"""Endpoints as they are written down: what is read is what was written, and nonsense is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import CaiError, EndpointError
from cai_core.inference.endpoints import (
    DEMO_ENDPOINT,
    ROLES,
    EndpointBook,
    EndpointConfig,
    dump_book,
    parse_book,
)

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True).filter(lambda n: n != "demo")
# PyYAML folds these line breaks of other scripts; who writes the file refuses such a text.
FOLDED = "\x85\u2028\u2029"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters=FOLDED), min_size=1, max_size=40)
PRICES = st.none() | st.floats(0, 1000)
BODIES = st.dictionaries(st.text("abcxyz_", min_size=1).map("x_".__add__), st.integers() | TEXTS)


@st.composite
def configs(draw: st.DrawFn, name: str) -> EndpointConfig:
    kind = draw(st.sampled_from(["bundled", "vllm", "url"]))
    ports = st.integers(1, 65535).map(lambda port: f"http://127.0.0.1:{port}")
    return EndpointConfig(
        name=name,
        kind=kind,
        model=draw(TEXTS),
        urls=tuple(draw(st.lists(ports, min_size=1, max_size=3))) if kind == "url" else (),
        key_env=draw(st.none() | st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)),
        options=tuple(draw(st.lists(TEXTS, max_size=3))) if kind == "vllm" else (),
        concurrency=draw(st.integers(1, 4096)),
        timeout_seconds=draw(st.floats(0.5, 86400)),
        price_prompt=draw(PRICES),
        price_completion=draw(PRICES),
        extra_body=draw(BODIES),
    )


@st.composite
def books(draw: st.DrawFn) -> EndpointBook:
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    endpoints = {name: draw(configs(name)) for name in names}
    roles = draw(st.dictionaries(st.sampled_from(ROLES), st.sampled_from(["demo", *names])))
    return EndpointBook(endpoints=endpoints, roles=roles)


@given(books())
def test_what_was_written_is_what_is_read(book: EndpointBook) -> None:
    assert parse_book(dump_book(book), "f") == book
    json.dumps(book.as_dict())


@pytest.mark.parametrize("text", ["", "{}", "endpoints:\nroles:\n"])
def test_demo_is_always_there_and_plays_every_role(text: str) -> None:
    book = parse_book(text, "f")
    assert book.endpoints == {"demo": DEMO_ENDPOINT}
    assert set(book.roles.values()) == {"demo"}
    assert tuple(book.roles) == ROLES


def test_demo_may_be_tuned_but_not_become_another() -> None:
    tuned = parse_book(
        "endpoints: {demo: {kind: bundled, model: demo, concurrency: 2}}", "f"
    ).endpoints["demo"]
    assert tuned.concurrency == 2
    with pytest.raises(EndpointError, match="is the bundled demo model's name"):
        parse_book("endpoints: {demo: {kind: bundled, model: /m}}", "f")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "ssh"}, "kind is 'ssh'"),
        ({"kind": "url"}, "no urls"),
        ({"kind": "url", "urls": "http://h"}, "list of texts"),
        ({"kind": "url", "urls": ["ftp://h"]}, "is no URL"),
        ({"kind": "url", "urls": ["http://169.254.169.254"]}, "metadata address"),
        ({"kind": "url", "urls": ["http://u:secret-9@h"]}, "user name or password"),
        ({"kind": "vllm", "model": ""}, "wants a model"),
        ({"kind": "bundled", "model": "m", "urls": ["http://h"]}, "no urls"),
        ({"kind": "bundled", "model": "m", "options": ["-x"]}, "options belong to kind vllm"),
        ({"kind": "vllm", "model": "m", "options": [8192]}, "quote numbers"),
        ({"kind": "vllm", "model": "m", "key_env": "sk-secret-9"}, "its name, not the key"),
        ({"kind": "vllm", "model": "m", "concurrency": 0}, "1 to 4096"),
        ({"kind": "vllm", "model": "m", "concurrency": True}, "1 to 4096"),
        ({"kind": "vllm", "model": "m", "timeout_seconds": 0}, "timeout_seconds"),
        ({"kind": "vllm", "model": "m", "price_prompt": -1}, "price_prompt"),
        ({"kind": "vllm", "model": "m", "price_prompt": "free"}, "price_prompt"),
        ({"kind": "vllm", "model": "m", "extra_body": {"temperature": 0}}, "sends itself"),
        ({"kind": "vllm", "model": "m", "extra_body": [1]}, "must be a mapping"),
        ({"kind": "vllm", "model": "m", "colour": "red"}, "unknown keys colour"),
        ({"model": "m"}, "kind"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(CaiError, match=says) as caught:
        parse_book(json.dumps({"endpoints": {"one": fields}}), "f")
    assert "secret-9" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "bundled", "model": "\ud800"},
        {"kind": "vllm", "model": "m", "options": ("\ud800",)},
        {"kind": "bundled", "model": "m", "extra_body": {"x": "\ud800"}},
        {"kind": "bundled", "model": "m", "extra_body": {"x": float("nan")}},
    ],
)
def test_what_no_request_can_carry_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(EndpointError, match="cannot be sent"):
        EndpointConfig(name="a", **fields)


@pytest.mark.parametrize("name", ["Big", "a b", "", "ü", "../x", "-a", "a" * 65, 5, "<b>"])
def test_a_name_that_cannot_be_is_refused(name: Any) -> None:
    with pytest.raises(EndpointError, match="is no name of an endpoint"):
        EndpointConfig(name=name, kind="bundled", model="m")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("endpoints: [", "no YAML"),
        ("- a", "must be a mapping"),
        ("colour: red", "unknown keys colour"),
        ("endpoints: [a]", "must be a mapping"),
        ("roles: {king: demo}", "unknown keys king"),
        ("roles: {policy: nobody}", "no endpoint 'nobody'"),
        ("endpoints: {a: text}", "must be a mapping"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, says: str) -> None:
    with pytest.raises(EndpointError, match=says):
        parse_book(text, "f")
