"""The section `cards:` of service.yaml: what it may hold, and what it says when it is not there."""

from __future__ import annotations

import pytest

from cds_wrapper.caveats.codings import NON_ADHERENCE_REASONS
from cds_wrapper.caveats.passage import HOLD
from cds_wrapper.services import load_services
from cds_wrapper.services.cards_file import CardsFile, policy_of
from tests.unit.services.files import HOOKS, spoil


def test_a_site_that_says_nothing_lets_nothing_through() -> None:
    (service,) = load_services(HOOKS).of("cvd-risk")
    assert service.cards == HOLD == policy_of(CardsFile())
    assert not service.cards.lets_actions_through


def test_what_a_site_writes_is_what_passes() -> None:
    written = {
        "suggestions": "pass",
        "link_hosts": ["v.example", "app.v.example:8443", "localhost"],
        "override_reason_set": "non-adherence",
        "override_reasons": [{"code": "a", "system": "b", "display": "c"}],
        "topic": {"code": "a", "system": "b"},
        "system_actions": {"allow": ["update/ServiceRequest"]},
    }
    policy = policy_of(CardsFile.model_validate(written))
    assert policy.suggestions and policy.lets_actions_through
    assert policy.link_hosts == {"v.example", "app.v.example:8443", "localhost"}
    assert policy.override_reasons == (*NON_ADHERENCE_REASONS, {"code": "a", "system": "b", "display": "c"})
    assert policy.topic == {"code": "a", "system": "b"}
    assert policy.system_actions == {"update/ServiceRequest"}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{suggestions: yes}", "must be one of: hold, pass."),
        ("{link_hosts: [\"https://v.example/\"]}", "is not a host in small letters"),
        ("{link_hosts: [V.example]}", "is not a host in small letters"),
        ("{link_hosts: [\"*.example\"]}", "is not a host in small letters"),
        ("{link_hosts: [\"\"]}", "is not a host in small letters"),
        ("{override_reasons: [{code: a, system: b}]}", "is missing."),
        ("{topic: {code: a}}", "is missing."),
        ("{system_actions: {allow: [ServiceRequest]}}", "as `update/ServiceRequest`"),
        ("{suggest: pass}", "is not a key known here."),
    ],
)  # fmt: skip
def test_a_mistake_is_found_in_its_line(section: str, problem: str) -> None:
    spoilt = spoil("service", "displayed: shown", f"cards: {section}\ndisplayed: shown")
    assert [
        found.problem for found in spoilt.at_the_change("cvd-risk/service.yaml") if problem in found.problem
    ]
