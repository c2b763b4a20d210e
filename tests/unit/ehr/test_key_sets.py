"""Which published keys may verify a signature, and which are left out."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey

from cds_wrapper.ehr.key_sets import ALGORITHMS, MOST_KEYS, UnreadableKeySet, read_key_set
from tests.ehr import encoded, key_of, key_set, public, published

EC = key_of("ec")
RSA = key_of("rsa", "RSA")


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        ("P-256", {"ES256"}),
        ("P-384", {"ES384"}),
        ("P-521", set()),
        ("RSA", {"RS256", "RS384", "PS384"}),
    ],
)
def test_a_key_is_found_under_the_algorithms_that_fit_its_type_and_curve(kind: str, fits: set[str]) -> None:
    key = key_of(f"fits-{kind}", kind)
    assert {algorithm for _, algorithm in key_set(key).keys} == fits


def test_no_algorithm_with_a_shared_secret_is_known() -> None:
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name.lower() == "none"]


def test_a_keys_own_algorithm_narrows_it() -> None:
    assert set(key_set(public(RSA, alg="RS384")).keys) == {("rsa", "RS384")}
    assert not key_set(public(RSA, alg="RSA-OAEP")).keys
    assert not key_set(public(EC, alg="ES256")).keys


@pytest.mark.parametrize(
    "members",
    [
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"use": "enc"},
        {"use": "encryption"},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"kty": "RSA"},
        {"kty": "ec"},
        {"kty": "OKP"},
        {"crv": "P-512"},
        {"crv": "secp256k1"},
        {"x": None},
        {"x": encoded(b"\1" * 48)},
        {"x": "not base64!"},
        {"x": "A" * 5000},
    ],
    ids=str,
)
def test_what_cannot_be_meant_for_verifying_is_left_out(members: dict[str, Any]) -> None:
    found = key_set(public(EC, **members), RSA)
    assert found.names == {"rsa"} and found.unusable == 1


@pytest.mark.parametrize("members", [{"use": "sig"}, {"key_ops": ["verify"]}, {"x5t": "abc"}, {"local": [1]}])
def test_a_key_that_says_more_of_itself_is_used(members: dict[str, Any]) -> None:
    assert key_set(public(EC, **members)).names == {"ec"}


@pytest.mark.parametrize(
    "members",
    [{"e": encoded(b"\1" * 60)}, {"n": "A" * 341}, {"n": "A" * 5000}, {"e": encoded(b"\2")}],
    ids=["a long exponent", "a short modulus", "a long modulus", "an even exponent"],
)
def test_an_rsa_key_that_is_weak_or_slow_is_left_out(members: dict[str, str]) -> None:
    assert not key_set(public(RSA, **members)).keys


def test_a_short_rsa_key_is_left_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = RSAKey.generate_key(1024, {"kid": "short"})
    assert not key_set(short).keys


def test_two_keys_of_one_name_pick_none_where_both_would_fit() -> None:
    other = public(key_of("another"), kid="ec")
    assert not key_set(EC, other).keys
    assert set(key_set(EC, public(key_of("curve", "P-256"), kid="ec")).keys) == {
        ("ec", "ES384"),
        ("ec", "ES256"),
    }


def test_a_key_published_with_its_private_part_is_nobodys_secret_any_more() -> None:
    found = read_key_set(json.dumps({"keys": [EC.as_dict(private=True), public(RSA)]}).encode())
    assert found.names == {"rsa"} and found.private == 1


def test_a_shared_secret_in_a_set_is_never_a_key() -> None:
    secret = OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True)
    found = read_key_set(json.dumps({"keys": [secret]}).encode())
    assert not found.keys and found.unusable == 1 and found.private == 0


def test_an_empty_set_trusts_nobody() -> None:
    assert not read_key_set(b'{"keys": []}').keys


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1]}',
        b'{"keys": null}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_key_set_is_said_without_its_content(content: bytes) -> None:
    with pytest.raises(UnreadableKeySet) as unreadable:
        read_key_set(content)
    assert "RFC 7517" in str(unreadable.value) and "html" not in str(unreadable.value)


def test_a_set_of_endless_keys_is_refused() -> None:
    with pytest.raises(UnreadableKeySet, match="more than"):
        read_key_set(published(*[public(EC)] * (MOST_KEYS + 1)))


members = st.sampled_from(["kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y", "d"])
values = st.text(max_size=12) | st.integers() | st.none() | st.lists(st.text(max_size=4), max_size=2)


@given(st.dictionaries(members, values), st.sampled_from([EC, RSA]))
def test_whatever_a_key_holds_is_a_key_or_is_left_out(changes: dict[str, Any], key: Any) -> None:
    found = key_set({**public(key), **changes})
    assert len(found.names) + found.unusable <= 1
