"""The shipped profiles, and what an entry of `clients.yaml` makes of one."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from cds_wrapper.ehr.clients import KnownClient
from cds_wrapper.services.clients_file import ExaminedClients, read_clients
from cds_wrapper.services.profiles_file import PROFILES_FOLDER, ProfileName, profile_of
from tests.ehr import key_of, published

CLIENT = """\
clients:
  - name: north
    environment: test
    issuer: https://ehr.example.org
    keys: {file: north.jwks.json}
"""
TRIGGER = "com.epic.cdshooks.request.bpa-trigger-action"


def read(*lines: str) -> ExaminedClients:
    text = CLIENT + "".join(f"    {line}\n" for line in lines)
    return read_clients(text.encode(), ["cvd-risk"], lambda _name: published(key_of("ehr-1")))


def client(*lines: str) -> KnownClient:
    examined = read(*lines)
    assert examined.known is not None, examined.mistakes
    return examined.known.clients[0]


def problem(*lines: str) -> str:
    (mistake,) = read(*lines).mistakes
    return str(mistake)


def test_every_shipped_file_is_a_profile_that_can_be_named_and_no_other_can() -> None:
    assert sorted(get_args(ProfileName)) == sorted(path.stem for path in PROFILES_FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_a_profile_explains_each_of_its_settings_and_says_where_it_knows_them_from(name: ProfileName) -> None:
    profile = profile_of(name)
    assert set(profile.notes) == profile.settings.model_fields_set
    assert profile.source and profile.to_do


def test_an_entry_without_a_profile_is_one_of_the_specification() -> None:
    plain = client()
    assert (plain.profile.name, plain.profile.trigger_extension) == ("generic", None)
    assert plain.algorithms == {"ES384", "RS384"} and plain.origins == frozenset()
    assert plain == client("profile: generic")


def test_a_profile_sets_what_the_entry_leaves_open() -> None:
    epic = client("profile: epic")
    assert epic.algorithms == {"RS384"} and epic.longest_lifetime == timedelta(minutes=20)
    assert (epic.profile.trigger_extension, epic.profile.topic_state) == (TRIGGER, True)
    assert epic.leeway == timedelta(minutes=1)


def test_a_line_of_the_entry_wins_over_the_profile() -> None:
    epic = client("profile: epic", "algorithms: [ES256]", "topic_state: false", "longest_lifetime: PT5M")
    assert epic.algorithms == {"ES256"} and epic.longest_lifetime == timedelta(minutes=5)
    assert epic.profile.topic_state is False and epic.profile.trigger_extension == TRIGGER


def test_a_line_of_the_entry_wins_even_with_the_usual_value() -> None:
    assert client("profile: epic", "longest_lifetime: PT1H").longest_lifetime == timedelta(hours=1)
    assert client("profile: athenahealth", "displayed: silent").profile.displayed == "silent"
    assert client("profile: sandbox", "origins: []").origins == frozenset()


def test_everything_an_entry_says_of_habits_arrives() -> None:
    one = client(
        "services: [cvd-risk]",
        "namespace: https://ehr.example.org/fhir",
        'prefetch_keys: {"-pat": patient}',
        "prefetch_keys_by_service: {cvd-risk: {CHOL: lipids}}",
        "content_type_extension: org.example.type",
        "partial_acceptance: true",
        "displayed: silent",
        'test_patients: ["urn:oid:1.2.3|ZZ*", "urn:oid:4|"]',
        'origins: ["https://page.example"]',
        "most_at_once: 3",
    )
    habits = one.profile
    assert (one.namespace, one.most_at_once) == ("https://ehr.example.org/fhir", 3)
    assert one.origins == {"https://page.example"}
    assert habits.keys_of("cvd-risk") == {"CHOL": "lipids"} and habits.keys_of("x") == {"-pat": "patient"}
    assert (habits.content_type_extension, habits.partial_acceptance) == ("org.example.type", True)
    assert habits.displayed == "silent" and habits.test_patients == {"urn:oid:1.2.3|ZZ*", "urn:oid:4|"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["profile: epik"], "Did you mean `epic`?"),
        (["profile: Epic"], "must be one of"),
        (["prefetch_keys: {a: patient, b: patient}"], "maps two keys to one"),
        (["prefetch_keys_by_service: {cvd-rsik: {a: patient}}"], "Did you mean `cvd-risk`?"),
        (["prefetch_keys_by_service: {cvd-risk: {a: x, b: x}}"], "maps two keys to one"),
        (['test_patients: ["ZZ1"]'], "needs `system|value`"),
        (['test_patients: ["|ZZ1"]'], "needs `system|value`"),
        (['test_patients: ["urn:x|Z*Z"]'], "needs `system|value`"),
        (["most_at_once: 0"], "greater than or equal to 1"),
        (["displayed: hidden"], "must be one of"),
        (["trigger_extention: x"], "Did you mean `trigger_extension`?"),
    ],
)
def test_a_slip_is_named_with_its_line(lines: list[str], said: str) -> None:
    told = problem(*lines)
    assert said in told and told.startswith("clients.yaml:") and "?." not in told


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("*", "is no origin"),
        ("null", "is no origin"),
        ("https://*.example.org", "browsers send it"),
        ("https://ehr.example.org/", "`https://ehr.example.org`"),
        ("https://ehr.example.org/page", "`https://ehr.example.org`"),
        ("https://EHR.example.org", "`https://ehr.example.org`"),
        ("https://ehr.example.org:443", "`https://ehr.example.org`"),
        ("https://a@ehr.example.org", "is no origin"),
        ("https://ehr.example.org?x", "browsers send it"),
        ("https://ehré.example.org", "browsers send it"),
        ("http://ehr.example.org", "plain http"),
        ("https://", "is no origin"),
        ("file://x", "is no origin"),
        ("https://ehr.example.org:x", "clients.yaml"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(origin: str, said: str) -> None:
    assert said in problem(f'origins: ["{origin}"]')


@pytest.mark.parametrize(
    "origin",
    ["https://ehr.example.org", "https://ehr.example.org:8443", "http://localhost:3000", "http://[::1]:80"],
)
def test_an_exact_origin_is_taken(origin: str) -> None:
    text = origin.removesuffix(":80")
    assert client(f'origins: ["{text}"]').origins == {text}


def test_the_sandbox_is_never_a_production_client() -> None:
    entry = CLIENT.replace("test", "production") + "    profile: sandbox\n"
    (mistake,) = read_clients(entry.encode(), [], lambda _name: published(key_of("ehr-1"))).mistakes
    assert "private key of that profile is public" in str(mistake)
    assert client("profile: sandbox").anybody_can_sign


def test_an_issuer_that_all_hospitals_share_asks_for_tenants() -> None:
    assert any("name `tenants`" in str(one) for one in read("profile: oracle-health").warnings)
    assert not read("profile: oracle-health", "tenants: [main]").warnings
