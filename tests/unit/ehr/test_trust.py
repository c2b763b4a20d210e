"""A token against the table of clients, a key set, a moment and an address: who it is, or why it is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.ehr.addresses import normal_address
from cds_wrapper.ehr.clients import KnownClient, Refusal
from cds_wrapper.ehr.tokens import bearer_token, read_token
from cds_wrapper.ehr.trust import Refused, Verified, present, verify
from tests.ehr import EHR, ISSUER, Key, encoded, key_of, key_set, known, signed

NOW = datetime(2027, 3, 4, 9, 15, 27, tzinfo=UTC)
STAMP = int(NOW.timestamp())
HERE = "https://cds.example.org/cds-services/cvd-risk"
NORTH = KnownClient("north", "production", ISSUER)
SIGNER = EHR(NOW)


def outcome(
    token: str, client: KnownClient = NORTH, *keys: Key, addresses: tuple[str, ...] = (HERE,)
) -> Verified | Refused:
    presented = present(token, known(client))
    if isinstance(presented, Refused):
        return presented
    return verify(presented, key_set(*(keys or (SIGNER.key,))), addresses, NOW)


def why(token: str, client: KnownClient = NORTH, *keys: Key) -> Refusal | None:
    found = outcome(token, client, *keys)
    return found.why if isinstance(found, Refused) else None


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("ES384", "P-384"), ("ES256", "P-256"), ("RS384", "RSA"), ("RS256", "RSA"), ("PS384", "RSA")],
)
def test_a_right_token_says_which_client_calls(algorithm: str, kind: str) -> None:
    signer = EHR(NOW, key_of(f"right-{kind}", kind), algorithm)
    client = KnownClient("north", "production", ISSUER, algorithms=frozenset({algorithm}))
    found = outcome(signer.token(HERE, tenant="main"), client, signer.key)
    assert isinstance(found, Verified)
    assert (found.client.name, found.tenant) == ("north", "main")
    assert found.until == STAMP + 300 + 60


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        # Clocks: a minute of leeway either way.
        ({"iat": STAMP - 120, "exp": STAMP - 59}, None),
        ({"iat": STAMP - 120, "exp": STAMP - 60}, Refusal.EXPIRED),
        ({"iat": STAMP + 60, "exp": STAMP + 120}, None),
        ({"iat": STAMP + 61, "exp": STAMP + 120}, Refusal.NOT_YET_VALID),
        ({"nbf": STAMP - 300}, None),
        ({"nbf": STAMP + 60}, None),
        ({"nbf": STAMP + 61}, Refusal.NOT_YET_VALID),
        ({"exp": STAMP + 3600}, None),
        ({"exp": STAMP + 3601}, Refusal.LIVES_TOO_LONG),
        ({"iat": STAMP + 30, "exp": STAMP + 30}, Refusal.CLAIM_MALFORMED),
        ({"iat": STAMP - 0.5, "exp": STAMP + 299.5}, None),
        ({"iat": None}, Refusal.CLAIM_MALFORMED),
        ({"exp": None}, Refusal.CLAIM_MALFORMED),
        ({"exp": str(STAMP + 60)}, Refusal.CLAIM_MALFORMED),
        ({"exp": True}, Refusal.CLAIM_MALFORMED),
        ({"exp": 10**400}, Refusal.CLAIM_MALFORMED),
        ({"iat": -1}, Refusal.CLAIM_MALFORMED),
        ({"nbf": "now"}, Refusal.CLAIM_MALFORMED),
        # Which call it is for.
        ({"aud": [HERE]}, None),
        ({"aud": ["https://other.example", HERE]}, None),
        ({"aud": HERE + "/"}, None),
        ({"aud": "https://CDS.example.org:443/cds-services/cvd-risk"}, None),
        ({"aud": "https://cds.example.org/cds-services"}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE + "/feedback"}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE + "-2"}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE.upper()}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE.replace("https", "http")}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE.replace("org", "org:8443")}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE.replace("//", "//ehr@")}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE + "?x=1"}, Refusal.WRONG_AUDIENCE),
        ({"aud": HERE + " "}, Refusal.WRONG_AUDIENCE),
        ({"aud": "https://[cds"}, Refusal.WRONG_AUDIENCE),
        ({"aud": ""}, Refusal.WRONG_AUDIENCE),
        ({"aud": None}, Refusal.CLAIM_MALFORMED),
        ({"aud": []}, Refusal.CLAIM_MALFORMED),
        ({"aud": [HERE, 7]}, Refusal.CLAIM_MALFORMED),
        ({"aud": {"x": HERE}}, Refusal.CLAIM_MALFORMED),
        ({"aud": [HERE] * 21}, Refusal.CLAIM_MALFORMED),
        # Once, and by whom.
        ({"jti": None}, Refusal.CLAIM_MALFORMED),
        ({"jti": ""}, Refusal.CLAIM_MALFORMED),
        ({"jti": 7}, Refusal.CLAIM_MALFORMED),
        ({"jti": "x" * 256}, Refusal.CLAIM_MALFORMED),
        ({"jti": "a\nb"}, Refusal.CLAIM_MALFORMED),
        ({"jti": "\ud800"}, Refusal.CLAIM_MALFORMED),
        ({"jti": "Zürich-患者"}, None),
        ({"tenant": 7}, Refusal.CLAIM_MALFORMED),
        ({"tenant": "a\u202eb"}, Refusal.CLAIM_MALFORMED),
        ({"iss": ISSUER + "/"}, Refusal.UNKNOWN_ISSUER),
        ({"iss": ISSUER.upper()}, Refusal.UNKNOWN_ISSUER),
        ({"iss": [ISSUER]}, Refusal.UNKNOWN_ISSUER),
        ({"iss": {}}, Refusal.UNKNOWN_ISSUER),
        ({"iss": None}, Refusal.UNKNOWN_ISSUER),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else None,
)
def test_what_a_token_claims(claims: dict[str, Any], expected: Refusal | None) -> None:
    audience = claims.pop("aud", HERE) if "aud" in claims else HERE
    assert why(SIGNER.token(audience, **claims)) is expected


@pytest.mark.parametrize(
    ("tenants", "claimed", "expected"),
    [
        (None, None, None),
        (None, "anything", None),
        ({"main"}, "main", None),
        ({"main"}, "other", Refusal.TENANT_REFUSED),
        ({"main"}, "MAIN", Refusal.TENANT_REFUSED),
        ({"main"}, None, Refusal.TENANT_REFUSED),
        ({"main"}, ["main"], Refusal.CLAIM_MALFORMED),
    ],
)
def test_a_tenant_must_be_one_that_was_agreed(
    tenants: set[str] | None, claimed: object, expected: Refusal | None
) -> None:
    allowed = frozenset(tenants) if tenants else None
    client = KnownClient("north", "production", ISSUER, tenants=allowed)
    assert why(SIGNER.token(HERE, tenant=claimed), client) is expected


def test_a_text_that_was_agreed_as_audience_is_accepted_and_no_other() -> None:
    client = KnownClient("north", "production", ISSUER, audiences=frozenset({"cds-wrapper north"}))
    assert why(SIGNER.token("cds-wrapper north"), client) is None
    assert why(SIGNER.token("cds-wrapper"), client) is Refusal.WRONG_AUDIENCE


def test_a_token_for_the_service_is_good_for_its_feedback_address_where_both_are_asked() -> None:
    both = (HERE + "/feedback", HERE)
    for audience in both:
        assert isinstance(outcome(SIGNER.token(audience), addresses=both), Verified)


def test_a_lifetime_and_a_leeway_can_be_narrower() -> None:
    client = KnownClient(
        "north", "production", ISSUER, longest_lifetime=timedelta(minutes=5), leeway=timedelta(0)
    )
    assert why(SIGNER.token(HERE), client) is None
    assert why(SIGNER.token(HERE, exp=STAMP + 301), client) is Refusal.LIVES_TOO_LONG
    assert why(SIGNER.token(HERE, iat=STAMP - 10, exp=STAMP), client) is Refusal.EXPIRED


def test_a_type_may_be_missing_only_where_that_was_agreed() -> None:
    untyped = SIGNER.token(HERE, {"typ": None})
    lenient = KnownClient("north", "production", ISSUER, type_required=False)
    assert why(untyped) is Refusal.TYPE_REFUSED and why(untyped, lenient) is None
    assert why(SIGNER.token(HERE, {"typ": "jwt"})) is None
    assert why(SIGNER.token(HERE, {"typ": "at+jwt"}), lenient) is Refusal.TYPE_REFUSED


def test_an_address_for_keys_is_compared_letter_for_letter() -> None:
    address = "https://ehr.example/keys"
    client = KnownClient("north", "production", ISSUER, key_addresses=frozenset({address}))
    assert why(SIGNER.token(HERE, {"jku": address}), client) is None
    for other in (address + "/", address.upper(), "http://169.254.169.254/keys"):
        assert why(SIGNER.token(HERE, {"jku": other}), client) is Refusal.KEY_ADDRESS_REFUSED


def test_a_key_name_may_hold_any_characters() -> None:
    key = key_of("a/b+c==")
    assert why(EHR(NOW, key).token(HERE), NORTH, key) is None


def test_a_member_written_twice_makes_it_no_token() -> None:
    text = json.dumps(SIGNER.claims(HERE))
    twice = text.replace('"iss"', '"iss": "https://evil.example", "iss"', 1)
    nested = text[:-1] + ', "x": {"a": 1, "a": 2}}'
    for payload in (twice, nested):
        token = signed(SIGNER.header(), payload, SIGNER.key, "ES384")
        assert why(token) is Refusal.TOKEN_MALFORMED


def test_without_keys_nothing_is_verified() -> None:
    presented = present(SIGNER.token(HERE), known(NORTH))
    assert not isinstance(presented, Refused)
    assert verify(presented, None, [HERE], NOW) == Refused(Refusal.KEYS_UNAVAILABLE, "north")


def test_nothing_that_is_printed_holds_a_part_of_the_token() -> None:
    token = SIGNER.token(HERE, jti="canary-jti", tenant="canary-tenant", iss=ISSUER)
    presented = present(token, known(NORTH))
    assert not isinstance(presented, Refused)
    found = verify(presented, key_set(SIGNER.key), [HERE], NOW)
    printed = f"{presented!r} {presented.token!r} {found!r}"
    assert "canary" not in printed and not any(part in printed for part in token.split("."))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Refusal.NO_TOKEN),
        (["Bearer "], Refusal.NO_TOKEN),
        (["Bearer"], Refusal.NO_TOKEN),
        (["Bearer a.b.c"], "a.b.c"),
        (["bearer   a.b.c"], "a.b.c"),
        (["BEARER a.b.c "], "a.b.c"),
        (["Bearera.b.c"], Refusal.NOT_BEARER),
        (["Bearer\ta.b.c"], Refusal.NOT_BEARER),
        (["Bearer: a.b.c"], Refusal.NOT_BEARER),
        (["JWT a.b.c"], Refusal.NOT_BEARER),
        (["Basic dXNlcjpwdw=="], Refusal.NOT_BEARER),
        ([" Bearer a.b.c"], Refusal.NOT_BEARER),
        (["Bearer a.b.c", "Bearer a.b.c"], Refusal.NOT_BEARER),
    ],
)
def test_how_a_token_is_carried(headers: list[str], expected: str | Refusal) -> None:
    assert bearer_token(headers) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/x", "https://A.example:443/x/"),
        ("http://a.example", "http://a.example:80/"),
    ],
)
def test_two_spellings_of_one_address_are_the_same(one: str, other: str) -> None:
    assert normal_address(one) == normal_address(other)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(
    ["alg", "kid", "typ", "jku", "iss", "aud", "iat", "exp", "nbf", "jti", "tenant", "crit"]
)


@given(header=st.dictionaries(names, json_values), claims=st.dictionaries(names, json_values))
def test_whatever_is_signed_ends_in_a_client_or_in_a_reason(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = signed({**SIGNER.header(), **header}, {**SIGNER.claims(HERE), **claims}, SIGNER.key, "ES384")
    assert isinstance(outcome(token), Verified | Refused)


@given(
    text=st.text(max_size=300)
    | st.lists(st.binary(max_size=60), max_size=5).map(
        lambda parts: ".".join(encoded(part) for part in parts)
    )
)
def test_whatever_is_no_token_is_told_apart_without_an_exception(text: str) -> None:
    carried = bearer_token([f"Bearer {text}"])
    assert isinstance(read_token(text), Refusal)
    assert isinstance(carried, Refusal) or isinstance(read_token(carried), Refusal)


@pytest.mark.parametrize("depth", [100, 5_000])
def test_a_payload_nested_too_deeply_is_no_token(depth: int) -> None:
    token = signed(SIGNER.header(), "[" * depth, SIGNER.key, "ES384")
    assert read_token(token) in (Refusal.TOKEN_MALFORMED, Refusal.TOKEN_TOO_LARGE)
