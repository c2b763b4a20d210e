"""Attacks on the token of a call, one row each: every one meets the same bare 401, and none reaches anybody.

What is asked of each row: status 401, a body equal to every other row's, `WWW-Authenticate: Bearer` and no
more, no question to the vendor, no record, and the reason in the operator log alone.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from cds_wrapper.ehr.clients import Refusal
from tests import fakes
from tests.ehr import EHR, ISSUER, encoded, key_of, public, published, signed, write_clients
from tests.service.harness import NOON, Wrapper, copy_hooks, request_of, wrapper

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = "https://cds.example.org/cds-services/cvd-risk"
PATH = "/cds-services/cvd-risk"
LISTED = "https://ehr.example/keys"
STAMP = int(NOON.timestamp())

EC, RSA, P256 = key_of("ec"), key_of("rsa", "RSA"), key_of("p256", "P-256")
TWIN, OTHER_TWIN = key_of("twin"), key_of("twin-2")
ENCRYPTION, SIGN_ONLY, WITHDRAWN = key_of("encryption"), key_of("sign-only"), key_of("withdrawn")
OUTSIDER = key_of("outsider")
KEYS = published(
    EC,
    RSA,
    P256,
    public(TWIN, kid="twin"),
    public(OTHER_TWIN, kid="twin"),
    public(ENCRYPTION, use="enc"),
    public(SIGN_ONLY, key_ops=["sign"]),
)
CLIENT = f"""
name: north
environment: production
issuer: {ISSUER}
keys: {{file: ehr.jwks.json, jku: [{LISTED}]}}
algorithms: [ES384, RS384]
tenants: [main]
"""
NORTH = EHR(NOON, EC)
BY_RSA = EHR(NOON, RSA, "RS384")


def right(**claims: Any) -> str:
    return NORTH.token(HERE, **{"tenant": "main", **claims})


def claims(**members: Any) -> dict[str, Any]:
    return NORTH.claims(HERE, **{"tenant": "main", **members})


def with_header(**members: Any) -> str:
    """Rightly signed, under a header that was changed."""
    return signed(NORTH.header(**members), claims(), EC, "ES384")


def unsigned(algorithm: object, signature: str = "") -> str:
    return f"{encoded({'alg': algorithm, 'kid': 'ec', 'typ': 'JWT'})}.{encoded(claims())}.{signature}"


def shared_secret(algorithm: str, secret: bytes) -> str:
    """Signed with HMAC under a secret that everybody can read: the public key."""
    text = f"{encoded({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{encoded(claims())}"
    digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[algorithm]
    return f"{text}.{encoded(hmac.new(secret, text.encode(), digest).digest())}"


def by_attacker(**members: Any) -> str:
    """Signed with the attacker's own key, which the header may bring along."""
    return signed(NORTH.header(kid="outsider", **members), claims(), OUTSIDER, "ES384")


def altered(token: str, part: int, change: Callable[[bytes], bytes]) -> str:
    parts = token.split(".")
    raw = base64.urlsafe_b64decode(parts[part] + "==")
    parts[part] = encoded(change(raw))
    return ".".join(parts)


def as_der() -> str:
    """A right ECDSA signature in the other encoding there is: a sequence of two integers."""
    text, _, signature = right().rpartition(".")
    raw = base64.urlsafe_b64decode(signature)
    numbers = [b"\0" * (half[0] >> 7) + half for half in (raw[:48], raw[48:])]
    inner = b"".join(bytes([2, len(number)]) + number for number in numbers)
    return f"{text}.{encoded(bytes([0x30, len(inner)]) + inner)}"


@dataclass(frozen=True)
class Attack:
    """One row: its name, the `Authorization` headers it sends, and the reason the operator is told."""

    name: str
    sends: Callable[[], list[str]]
    reason: str


def token_attack(name: str, token: Callable[[], str], reason: str) -> Attack:
    return Attack(name, lambda: [f"Bearer {token()}"], reason)


RSA_PEM = RSA.as_pem(private=False)
RSA_DER = RSA.as_der(private=False)
RSA_JWK = json.dumps(public(RSA)).encode()

ATTACKS = [
    # How it is carried.
    Attack("nothing at all", list, "no_token"),
    Attack("an empty header", lambda: [""], "not_bearer"),
    Attack("the word alone", lambda: ["Bearer"], "no_token"),
    Attack("another scheme", lambda: [f"JWT {right()}"], "not_bearer"),
    Attack("the word misspelt", lambda: [f"Bearer:{right()}"], "not_bearer"),
    Attack("no blank behind the word", lambda: [f"Bearer{right()}"], "not_bearer"),
    Attack("a password", lambda: ["Basic ZWhyOnNlY3JldA=="], "not_bearer"),
    Attack("two headers", lambda: [f"Bearer {right()}", f"Bearer {right()}"], "not_bearer"),
    Attack("two tokens in one header", lambda: [f"Bearer {right()},{right()}"], "token_malformed"),
    Attack("a second word", lambda: [f"Bearer {right()} x"], "token_malformed"),
    Attack("no ASCII", lambda: [f"Bearer {right()}é"], "token_malformed"),
    # Form.
    token_attack("no token", lambda: "token", "token_malformed"),
    token_attack("two parts", lambda: right().rpartition(".")[0], "token_malformed"),
    token_attack("four parts", lambda: right() + ".x", "token_malformed"),
    token_attack("five parts, as if encrypted", lambda: right() + ".x.x", "token_malformed"),
    token_attack("an empty signature", lambda: right().rpartition(".")[0] + ".", "token_malformed"),
    token_attack("padding", lambda: right() + "=", "token_malformed"),
    token_attack(
        "the other base64", lambda: right().replace("-", "+").replace("_", "/") + "/", "token_malformed"
    ),
    token_attack(
        "a header that is no JSON", lambda: f"{encoded('x')}.{encoded(claims())}.AAAA", "token_malformed"
    ),
    token_attack("a header that is a list", lambda: signed([1], claims(), EC, "ES384"), "token_malformed"),
    token_attack(
        "claims that are no JSON", lambda: signed(NORTH.header(), "x", EC, "ES384"), "token_malformed"
    ),
    token_attack(
        "claims that are a text", lambda: signed(NORTH.header(), '"x"', EC, "ES384"), "token_malformed"
    ),
    token_attack(
        "claims in UTF-16",
        lambda: signed(NORTH.header(), json.dumps(claims()).encode("utf-16"), EC, "ES384"),
        "token_malformed",
    ),
    token_attack(
        "claims that are not UTF-8",
        lambda: signed(NORTH.header(), b'{"iss": "\xff"}', EC, "ES384"),
        "token_malformed",
    ),
    token_attack(
        "claims nested without end",
        lambda: signed(NORTH.header(), "[" * 5000, EC, "ES384"),
        "token_malformed",
    ),
    token_attack(
        "a number that JSON does not know",
        lambda: signed(NORTH.header(), json.dumps(claims(exp=float("inf"))), EC, "ES384"),
        "token_malformed",
    ),
    token_attack(
        "a number of endless digits",
        lambda: signed(
            NORTH.header(), json.dumps(claims()).replace(str(STAMP + 300), "9" * 5000), EC, "ES384"
        ),
        "token_malformed",
    ),
    token_attack(
        "the issuer twice",
        lambda: signed(
            NORTH.header(),
            json.dumps(claims()).replace('"iss"', '"iss": "https://evil.example", "iss"'),
            EC,
            "ES384",
        ),
        "token_malformed",
    ),
    token_attack(
        "the algorithm twice",
        lambda: signed(
            json.dumps(NORTH.header()).replace('"alg"', '"alg": "none", "alg"'), claims(), EC, "ES384"
        ),
        "token_malformed",
    ),
    token_attack("nine thousand characters", lambda: right(padding="x" * 9000), "token_too_large"),
    # Algorithm.
    token_attack("none, unsigned", lambda: unsigned("none", "AAAA"), "algorithm_refused"),
    token_attack("None", lambda: unsigned("None", "AAAA"), "algorithm_refused"),
    token_attack("nOnE", lambda: unsigned("nOnE", "AAAA"), "algorithm_refused"),
    token_attack("none, no signature", lambda: unsigned("none"), "token_malformed"),
    token_attack("no algorithm", lambda: unsigned(None, "AAAA"), "header_refused"),
    token_attack("a list of algorithms", lambda: unsigned(["none", "ES384"], "AAAA"), "header_refused"),
    token_attack(
        "HS256 with the public key as PEM", lambda: shared_secret("HS256", RSA_PEM), "algorithm_refused"
    ),
    token_attack(
        "HS256 with the public key as DER", lambda: shared_secret("HS256", RSA_DER), "algorithm_refused"
    ),
    token_attack(
        "HS384 with the public key as JWK", lambda: shared_secret("HS384", RSA_JWK), "algorithm_refused"
    ),
    token_attack("HS512 with nothing", lambda: shared_secret("HS512", b""), "algorithm_refused"),
    token_attack(
        "an algorithm that was not agreed",
        lambda: EHR(NOON, P256, "ES256").token(HERE, tenant="main"),
        "algorithm_refused",
    ),
    token_attack("an algorithm in small letters", lambda: with_header(alg="es384"), "algorithm_refused"),
    token_attack(
        "RS384 named for an EC key",
        lambda: signed(NORTH.header(alg="RS384"), claims(), RSA, "RS384"),
        "unknown_key",
    ),
    token_attack(
        "ES384 named for a P-256 key",
        lambda: signed({"alg": "ES384", "kid": "p256", "typ": "JWT"}, claims(), EC, "ES384"),
        "unknown_key",
    ),
    token_attack(
        "PS384 under the name of RS384",
        lambda: signed(BY_RSA.header(), claims(), RSA, "PS384"),
        "bad_signature",
    ),
    # Header members that change the rules.
    token_attack("crit", lambda: with_header(crit=["exp"], exp=STAMP + 300), "header_refused"),
    token_attack("an empty crit", lambda: with_header(crit=[]), "header_refused"),
    token_attack("b64", lambda: with_header(b64=False, crit=["b64"]), "header_refused"),
    token_attack("compressed", lambda: with_header(zip="DEF"), "header_refused"),
    token_attack("another type", lambda: with_header(typ="at+jwt"), "type_refused"),
    token_attack("a type that is no text", lambda: with_header(typ=["JWT"]), "header_refused"),
    token_attack("no type", lambda: with_header(typ=None), "type_refused"),
    # Keys that the caller brings along.
    token_attack("its own key", lambda: by_attacker(jwk=public(OUTSIDER)), "header_refused"),
    token_attack(
        "its own key under our name",
        lambda: signed(NORTH.header(jwk=public(OUTSIDER)), claims(), OUTSIDER, "ES384"),
        "header_refused",
    ),
    token_attack(
        "its own certificate's address",
        lambda: by_attacker(x5u="https://evil.example/c.pem"),
        "header_refused",
    ),
    token_attack("its own certificate", lambda: by_attacker(x5c=["MIIB"]), "header_refused"),
    token_attack(
        "its own key set's address",
        lambda: by_attacker(jku="https://evil.example/keys"),
        "key_address_refused",
    ),
    token_attack(
        "an unlisted address with the right key",
        lambda: with_header(jku="https://evil.example/keys"),
        "key_address_refused",
    ),
    token_attack(
        "a listed address as a user name",
        lambda: with_header(jku="https://ehr.example/keys@evil.example"),
        "key_address_refused",
    ),
    token_attack(
        "an address inside the hospital",
        lambda: with_header(jku="http://169.254.169.254/latest"),
        "key_address_refused",
    ),
    token_attack("an address that is no text", lambda: with_header(jku={"url": LISTED}), "header_refused"),
    # Keys that do not fit.
    token_attack("a key nobody has published", by_attacker, "unknown_key"),
    token_attack(
        "a key that was withdrawn", lambda: EHR(NOON, WITHDRAWN).token(HERE, tenant="main"), "unknown_key"
    ),
    token_attack("no name of a key", lambda: with_header(kid=None), "header_refused"),
    token_attack("an empty name of a key", lambda: with_header(kid=""), "header_refused"),
    token_attack("a name of a key that is a path", lambda: with_header(kid="../../dev/null"), "unknown_key"),
    token_attack(
        "a name of a key that is SQL", lambda: with_header(kid="x' UNION SELECT 1 --"), "unknown_key"
    ),
    token_attack(
        "a name two keys have",
        lambda: signed(NORTH.header(kid="twin"), claims(), TWIN, "ES384"),
        "unknown_key",
    ),
    token_attack(
        "a key for encryption", lambda: EHR(NOON, ENCRYPTION).token(HERE, tenant="main"), "unknown_key"
    ),
    token_attack(
        "a key that may not verify", lambda: EHR(NOON, SIGN_ONLY).token(HERE, tenant="main"), "unknown_key"
    ),
    # Signature.
    token_attack(
        "another's signature under our name",
        lambda: signed(NORTH.header(), claims(), OUTSIDER, "ES384"),
        "bad_signature",
    ),
    token_attack(
        "claims changed after signing",
        lambda: altered(right(), 1, lambda raw: raw.replace(b"main", b"evil")),
        "bad_signature",
    ),
    token_attack(
        "header changed after signing",
        lambda: altered(right(), 0, lambda raw: raw[:-1] + b', "x": 1}'),
        "bad_signature",
    ),
    token_attack(
        "the signature of another token",
        lambda: right().rpartition(".")[0] + "." + right().rpartition(".")[2],
        "bad_signature",
    ),
    token_attack(
        "a signature of zeros", lambda: right().rpartition(".")[0] + "." + encoded(bytes(96)), "bad_signature"
    ),
    token_attack("a short signature", lambda: altered(right(), 2, lambda raw: raw[:-1]), "bad_signature"),
    token_attack("a long signature", lambda: altered(right(), 2, lambda raw: raw + b"\0"), "bad_signature"),
    token_attack("a signature in DER", as_der, "bad_signature"),
    # Claims.
    token_attack("an issuer nobody knows", lambda: right(iss="https://evil.example"), "unknown_issuer"),
    token_attack("an issuer with a slash at its end", lambda: right(iss=ISSUER + "/"), "unknown_issuer"),
    token_attack(
        "an issuer in look-alike letters", lambda: right(iss=ISSUER.replace("e", "\u0435")), "unknown_issuer"
    ),
    token_attack(
        "no issuer",
        lambda: signed(NORTH.header(), {k: v for k, v in claims().items() if k != "iss"}, EC, "ES384"),
        "unknown_issuer",
    ),
    token_attack("for another service", lambda: NORTH.token(HERE + "-2", tenant="main"), "wrong_audience"),
    token_attack(
        "for the feedback alone", lambda: NORTH.token(HERE + "/feedback", tenant="main"), "wrong_audience"
    ),
    token_attack(
        "for the host alone", lambda: NORTH.token("https://cds.example.org", tenant="main"), "wrong_audience"
    ),
    token_attack(
        "for the address the call came in by",
        lambda: NORTH.token(f"http://cds.example{PATH}", tenant="main"),
        "wrong_audience",
    ),
    token_attack(
        "for several others",
        lambda: NORTH.token([HERE + "-2", "https://a.example"], tenant="main"),
        "wrong_audience",
    ),
    token_attack("for nobody", lambda: NORTH.token([], tenant="main"), "claim_malformed"),
    token_attack("expired", lambda: right(iat=STAMP - 400, exp=STAMP - 60), "expired"),
    token_attack("of tomorrow", lambda: right(iat=STAMP + 61), "not_yet_valid"),
    token_attack("not before tomorrow", lambda: right(nbf=STAMP + 86_400), "not_yet_valid"),
    token_attack("for a year", lambda: right(exp=STAMP + 31_536_000), "lives_too_long"),
    token_attack("for ever", lambda: right(exp=None), "claim_malformed"),
    token_attack("an expiry that is a text", lambda: right(exp=str(STAMP + 300)), "claim_malformed"),
    token_attack("no time of issue", lambda: right(iat=None), "claim_malformed"),
    token_attack("no token id", lambda: right(jti=None), "claim_malformed"),
    token_attack("a token id that is a number", lambda: right(jti=7), "claim_malformed"),
    token_attack("a token id that is half a character", lambda: right(jti="\ud800"), "claim_malformed"),
    token_attack("another tenant", lambda: right(tenant="other"), "tenant_refused"),
    token_attack("no tenant", lambda: right(tenant=None), "tenant_refused"),
    token_attack("a list of tenants", lambda: right(tenant=["main"]), "claim_malformed"),
]


@dataclass
class Door:
    """The running service and the vendor behind it."""

    wrapper: Wrapper
    vendor: fakes.FakeVendor

    async def knock(self, authorization: list[str], path: str = PATH) -> Any:
        sent = [(b"authorization", text.encode()) for text in authorization]
        content = json.dumps(request_of("white-55")).encode()
        return await self.wrapper.http.post(
            path, content=content, headers=[*sent, (b"content-type", b"application/json")]
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("attacked")
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(folder, vendor.url)
        write_clients(hooks, CLIENT, keys=KEYS)
        async with wrapper(folder, hooks, public_url="https://cds.example.org") as running:
            yield Door(running, vendor)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain_refusal(door: Door) -> Any:
    """What a caller without a token hears: everybody else must hear the same."""
    return await door.knock([])


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_meets_the_same_bare_refusal_as_every_other(
    attack: Attack, door: Door, plain_refusal: Any
) -> None:
    asked, records = len(door.vendor.asked), len(door.wrapper.rows())
    told = len(door.wrapper.events())
    sent = attack.sends()
    answer = await door.knock(sent)
    assert answer.status_code == 401
    assert answer.content == plain_refusal.content
    assert dict(answer.headers) == dict(plain_refusal.headers)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (len(door.vendor.asked), len(door.wrapper.rows())) == (asked, records)
    (event,) = door.wrapper.events()[told:]
    assert (event["event"], event["reason"], event["http_status"]) == ("request_refused", attack.reason, 401)
    line = json.dumps(event)
    assert not [
        part for text in sent for part in text.split(" ")[-1].split(".") if len(part) > 8 and part in line
    ]


@pytest.mark.parametrize("path", [f"{PATH}/feedback", "/cds-services/nowhere", "/cds-services"])
async def test_every_address_is_guarded_and_none_says_whether_it_exists(
    path: str, door: Door, plain_refusal: Any
) -> None:
    call = door.wrapper.http.get(path) if path == "/cds-services" else door.knock([], path)
    answer = await call
    assert answer.status_code == 401 and answer.content == plain_refusal.content


async def test_a_token_that_was_used_is_an_attack_from_then_on(door: Door, plain_refusal: Any) -> None:
    token = f"Bearer {right()}"
    assert (await door.knock([token])).status_code == 200
    for path in (PATH, f"{PATH}/feedback"):
        answer = await door.knock([token], path)
        assert answer.status_code == 401 and answer.content == plain_refusal.content
    replayed = [event for event in door.wrapper.events() if event["event"] == "token_replayed"]
    assert [(event["client"], event["level"]) for event in replayed] == [("north", "error")] * 2


async def test_the_table_is_no_table_of_typing_errors_since_the_right_token_passes(door: Door) -> None:
    for token in (right(), with_header(jku=LISTED), BY_RSA.token([HERE, "x"], tenant="main")):
        assert (await door.knock([f"bearer  {token}"])).status_code == 200


async def test_every_reason_there_is_has_its_row() -> None:
    elsewhere = {"keys_unavailable", "replayed", "certificate_refused", "certificate_forged"}
    assert {attack.reason for attack in ATTACKS} | elsewhere == {reason.value for reason in Refusal}
