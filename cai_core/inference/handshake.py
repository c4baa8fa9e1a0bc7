"""How a server proves to be the one that the launcher started, without sending its key."""

from __future__ import annotations

import hashlib
import hmac


def compute_proof(api_key: str, nonce: str) -> str:
    """HMAC-SHA-256 (hex) of the nonce under the key (RFC 2104)."""
    return hmac.new(api_key.encode(), nonce.encode(), hashlib.sha256).hexdigest()
