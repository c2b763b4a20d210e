"""Our own keys and tokens: what is signed, what is published, and which key files are refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from cds_wrapper import signing
from cds_wrapper.ehr.key_sets import read_key_set
from cds_wrapper.signing import (
    OwnKey,
    Signer,
    UnusableSecret,
    new_key,
    own_keys_from,
    published_set,
    read_api_key,
    read_own_keys,
    read_shared_token,
    write_own_keys,
)

NOW = datetime(2027, 3, 4, 12, tzinfo=UTC)
URL = "https://model.example/cds-services/prevent"
KEYS = {name: new_key(name, NOW) for name in signing.ALGORITHMS}
SOON = timedelta(seconds=1)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def signer(key: OwnKey, **differences: Any) -> Signer:
    return Signer(key, "https://cds.example", "https://cds.example/keys", clock=NOW.timestamp, **differences)


def decoded(token: str, key: OwnKey, algorithm: str) -> jwt.Token:
    public = KeySet.import_key_set(json.loads(published_set([key])))
    return jwt.decode(token, public, algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", signing.ALGORITHMS)
def test_a_token_says_who_calls_whom_and_until_when(algorithm: str) -> None:
    key = KEYS[algorithm]
    token = decoded(signer(key, tenant="north").token(URL), key, algorithm)
    assert token.header == {
        "alg": algorithm,
        "kid": key.kid,
        "typ": "JWT",
        "jku": "https://cds.example/keys",
    }
    jti = token.claims.pop("jti")
    assert token.claims == {
        "iss": "https://cds.example",
        "aud": URL,
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "tenant": "north",
    }
    assert len(base64.urlsafe_b64decode(jti + "==")) == 16, "128 bits from the system's random source"


def test_each_token_has_an_id_of_its_own_and_an_agreed_audience_stands_in_for_the_address() -> None:
    key = KEYS["ES384"]
    one = signer(key, audience="vendor-api")
    tokens = [decoded(one.token(URL), key, "ES384").claims for _ in range(50)]
    assert len({claims["jti"] for claims in tokens}) == 50
    assert {claims["aud"] for claims in tokens} == {"vendor-api"} and "tenant" not in tokens[0]


def test_what_is_published_holds_no_private_part_and_can_verify() -> None:
    published = json.loads(published_set(KEYS.values()))
    assert [set(key) & PRIVATE for key in published["keys"]] == [set(), set()]
    private = [key.as_dict(private=True) for key in KEYS.values()]
    secrets = [str(value) for key in private for name, value in key.items() if name in PRIVATE]
    assert secrets and not [one for one in secrets if one in json.dumps(published)]
    assert read_key_set(published_set(KEYS.values())).names == {str(key.kid) for key in KEYS.values()}
    assert {(key["use"], key["alg"]) for key in published["keys"]} == {("sig", "ES384"), ("sig", "RS384")}


async def test_neither_keys_nor_signers_nor_tokens_print_what_they_hold(tmp_path: Path) -> None:
    key = KEYS["ES384"]
    (tmp_path / "token").write_text("Quetzaltoken\n")
    (tmp_path / "token").chmod(0o600)
    shared = read_shared_token(str(tmp_path / "token"))
    keyed = read_api_key(str(tmp_path / "token"), "x-api-key")
    assert await shared.headers(URL, SOON) == {"authorization": "Bearer Quetzaltoken"}
    assert await keyed.headers(URL, SOON) == {"x-api-key": "Quetzaltoken"}
    printed = repr([signing.OwnKeys((key,)), signer(key), shared, keyed])
    assert "Quetzaltoken" not in printed and str(key.as_dict(private=True)["d"]) not in printed


def as_set(*entries: Any) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


GOOD = dict(KEYS["ES384"].as_dict(private=True))
WEAK = dict(ECKey.generate_key("P-256", {"kid": "weak"}).as_dict(private=True))
SHARED = dict(OctKey.generate_key(256, {"kid": "shared"}).as_dict(private=True))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no private key set"),
        (b"\xff\xfe", "no private key set"),
        (b"[1]", "no private key set"),
        (b'{"keys": 5}', "no private key set"),
        (b'{"keys": ["x"]}', "no private key set"),
        (as_set(), "holds no key"),
        (as_set({**GOOD, "kid": ""}), "without a `kid`"),
        (as_set({name: value for name, value in GOOD.items() if name != "kid"}), "without a `kid`"),
        (as_set({name: value for name, value in GOOD.items() if name != "d"}), "a public key only"),
        (as_set({**GOOD, "x": "AAAA"}), "cannot be read"),
        (as_set(WEAK), "neither EC on P-384 nor RSA"),
        (as_set(SHARED), "neither EC on P-384 nor RSA"),
        (as_set(GOOD, GOOD), "one `kid` for two keys"),
    ],
    # A key made anew would give each run, and each worker of one, other names.
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_a_key_file_that_cannot_sign_is_refused_in_words_without_any_of_it(
    content: bytes, words: str
) -> None:
    with pytest.raises(UnusableSecret, match=words) as refused:
        own_keys_from(content)
    assert str(GOOD["d"]) not in str(refused.value)


def test_the_first_key_signs_and_an_algorithm_that_is_not_its_own_is_refused() -> None:
    both = own_keys_from(as_set(GOOD, KEYS["RS384"].as_dict(private=True)))
    assert both.signing("ES384").kid == GOOD["kid"]
    with pytest.raises(UnusableSecret, match="put another first"):
        both.signing("RS384")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused_and_the_fix_is_named(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    write_own_keys(file, KEYS.values())
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_own_keys(str(file)).names == tuple(str(key.kid) for key in KEYS.values())
    file.chmod(mode)
    with pytest.raises(UnusableSecret, match="chmod 600"):
        read_own_keys(str(file))


def test_a_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEYS", as_set(GOOD).decode())
    assert read_own_keys("env:VENDOR_KEYS").names == (GOOD["kid"],)
    monkeypatch.delenv("VENDOR_KEYS")
    with pytest.raises(UnusableSecret, match="VENDOR_KEYS, which is not set"):
        read_own_keys("env:VENDOR_KEYS")


@pytest.mark.parametrize("text", ["", "\n", "two words", "zwölf", "a\nb"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text, encoding="utf-8")
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(UnusableSecret, match="holds no token"):
        read_shared_token(str(tmp_path / "token"))
