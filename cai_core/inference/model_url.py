"""Models named by the URL of a server that runs already: `http://host:port#model-id`."""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

import httpx

from cai_core.errors import ServerUnavailableError, UnknownModelError
from cai_core.inference.client_wire import choose_card
from cai_core.inference.engine import Endpoint

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Cloud metadata services outside the link-local ranges: AWS over IPv6, Alibaba.
_METADATA = frozenset({"fd00:ec2::254", "100.100.100.200"})


def is_url(model: str) -> bool:
    """Whether a model is named by its server's URL."""
    return model.lower().startswith(("http://", "https://"))


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine's loopback."""
    return urlsplit(url).hostname in LOOPBACK


def resolve_url(url: str, *, key: str | None = None) -> Endpoint:
    """The endpoint of `http://host:port#model-id`.

    Without a model id the server is asked; it must serve exactly one.

    Raises:
        UnknownModelError: no URL that can be asked, a link-local or metadata address, or it
            serves none or several.
        ServerUnavailableError: no id was given and the server does not answer.
    """
    parts = _split(url)
    _check_addresses(parts.hostname or "", parts.port or _default_port(parts))
    base = _base(parts)
    endpoint = Endpoint(base_url=base, model_id=parts.fragment, api_key=key)
    if parts.fragment:
        return endpoint
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        # A proxy from the environment has no business between us and this machine.
        answer = httpx.get(
            f"{base}/v1/models", headers=headers, timeout=10.0, trust_env=not is_loopback(base)
        )
        model_id = choose_card(answer.raise_for_status().json()["data"], endpoint)["id"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServerUnavailableError(
            f"{base}/v1/models does not tell which models it serves: {error}. Check the URL and "
            "the key, or name the model: http://host:port#model-id."
        ) from error
    return Endpoint(base_url=base, model_id=model_id, api_key=key)


def check_url(url: str) -> str:
    """The root of a server's URL, without `/v1`, a query or a model id.

    Asks nobody: names are looked up by `resolve_url`, when the server is about to be asked.

    Raises:
        UnknownModelError: no URL that can be asked, or a link-local or metadata address.
    """
    if not isinstance(url, str) or not is_url(url):
        raise UnknownModelError(f"{url!r:.200} is no URL. Write http://host:port.")
    parts = _split(url)
    with suppress(ValueError):  # a name
        _check_address(parts.hostname or "", str(ipaddress.ip_address(parts.hostname or "")))
    return _base(parts)


def _base(parts: SplitResult) -> str:
    return parts._replace(fragment="", query="").geturl().rstrip("/").removesuffix("/v1")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        httpx.URL(parts._replace(fragment="").geturl())
    except (ValueError, httpx.InvalidURL) as error:
        raise UnknownModelError(
            f"{url!r:.200} is no URL: {error}. Write http://host:port#model-id."
        ) from error
    if not host:
        raise UnknownModelError(f"{url!r:.200} names no host. Write http://host:port#model-id.")
    if parts.username is not None:
        # Not repeated here: it would stand in recipes, logs and on the page.
        raise UnknownModelError(
            f"The URL of {host} holds a user name or password. Leave them out: a key goes into "
            "CAI_API_KEY."
        )
    return parts


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _check_addresses(host: str, port: int) -> None:
    """Refuse link-local and metadata addresses: a cloud gives its machines' keys out there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # nobody of that name here; whoever connects says so
    for *_, address in found:
        _check_address(host, str(address[0]))


def _check_address(host: str, address: str) -> None:
    if _is_forbidden(address):
        raise UnknownModelError(
            f"{host} is the link-local or metadata address {address}, where no model is served. "
            "Give the model server's own address."
        )


def _is_forbidden(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_link_local or str(inner) in _METADATA


def read_key(variable: str = "CAI_API_KEY") -> str | None:
    """A key from the environment, without the line break that files and shells leave at its end.

    Raises:
        ServerUnavailableError: it cannot be sent.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        # Checked here because HTTP libraries show the whole header in their error.
        raise ServerUnavailableError(
            f"{variable} holds a character that cannot be sent in a header (a line break or one "
            "outside ASCII). Set it again."
        )
    return key or None
