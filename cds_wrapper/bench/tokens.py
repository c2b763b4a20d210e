"""The EHR's side of authentication in a benchmark: a key made for one run, and a token for every call."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
from joserfc.jwk import RSAKey

from cds_wrapper.ehr.key_sets import REGISTRY

ALGORITHM: Final = "RS384"
"""The cheaper to verify of the two that CDS Hooks names; the other is verified in a thread."""

ISSUER: Final = "https://ehr.example/oauth2"
CLIENT: Final = "bench"
KEY_SET: Final = "bench.jwks.json"
_KEY_ID: Final = "bench-1"
_BITS: Final = 2048
_LIFETIME: Final = 300


def make_keys(hooks: Path, private: Path) -> None:
    """A new key: its public part beside a `clients.yaml` that knows it, the private one in a file apart."""
    key = RSAKey.generate_key(_BITS, {"kid": _KEY_ID})
    (hooks / KEY_SET).write_text(json.dumps({"keys": [key.as_dict(private=False)]}), encoding="utf-8")
    (hooks / "clients.yaml").write_text(
        f"clients:\n  - name: {CLIENT}\n    environment: test\n    issuer: {ISSUER}\n"
        f"    keys: {{file: {KEY_SET}}}\n",
        encoding="utf-8",
    )
    private.touch(mode=0o600, exist_ok=False)
    private.write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")


class Signer:
    """Signs tokens for one address, each to be used once (CDS Hooks 2.0.1, "Trusting CDS Clients")."""

    def __init__(self, private: Path, audience: str, lifetime: int = _LIFETIME) -> None:
        """`private` is the file that `make_keys` wrote; each token lives for `lifetime` seconds."""
        self._key = RSAKey.import_key(json.loads(private.read_bytes()))
        self._algorithm = REGISTRY.get_alg(ALGORITHM)
        self._audience = audience
        self._lifetime = lifetime
        self._head = _segment({"alg": ALGORITHM, "kid": _KEY_ID, "typ": "JWT"})

    def tokens(self, first: int) -> Iterator[str]:
        """Tokens without end; the first so many are signed at once, so that taking one costs nothing."""
        return itertools.chain([self._token() for _ in range(first)], iter(self._token, None))

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": str(uuid4()),
        }
        signed = f"{self._head}.{_segment(claims)}"
        return f"{signed}.{_encoded(self._algorithm.sign(signed.encode(), self._key))}"


def _segment(members: object) -> str:
    return _encoded(msgspec.json.encode(members))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
