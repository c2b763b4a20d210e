"""CDS Hooks 2.0.1, "Prefetch tokens" (a SHALL) and "Prefetch query restrictions" (a SHOULD), row by row."""

from __future__ import annotations

import pytest

from cds_wrapper.cds_library import HOOKS, is_local_hook
from cds_wrapper.demo.prevent_inputs import TEMPLATES
from cds_wrapper.services.prefetch_rules import (
    beyond_the_subset,
    has_stray_braces,
    wrong_tokens,
)


@pytest.mark.parametrize(
    ("hook", "template", "wrong"),
    [
        ("patient-view", "Patient/{{context.patientId}}", []),
        ("patient-view", "Patient/{{ context.patientId }}", []),
        ("patient-view", "Practitioner/{{userPractitionerId}}", []),
        ("patient-view", "Encounter/{{context.encounterId}}", []),
        ("patient-view", "Encounter/{{context.encounter.id}}", ["context.encounter.id"]),
        ("patient-view", "Patient/{{patientId}}", ["patientId"]),
        ("patient-view", "A?x={{context.a}}&y={{context.b}}", ["context.a", "context.b"]),
        ("order-sign", "X/{{context.draftOrders}}", ["context.draftOrders"]),
        ("order-select", "X/{{context.selections}}", ["context.selections"]),
        ("order-dispatch", "Practitioner/{{context.userId}}", ["context.userId"]),
        ("order-dispatch", "{{context.performer}}", []),
        ("order-dispatch", "Task?focus={{context.dispatchedOrders}}", ["context.dispatchedOrders"]),
        ("encounter-start", "Encounter/{{context.encounterId}}", []),
        ("org.example.triage", "Patient/{{context.anything}}", []),
        ("org.example.triage", "Patient/{{context.any.thing}}", ["context.any.thing"]),
    ],
)
def test_a_template_uses_only_the_tokens_its_hook_offers(hook: str, template: str, wrong: list[str]) -> None:
    assert list(wrong_tokens(template, hook)) == wrong


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ("today()", False),
        ("today() - 90 days", False),
        ("today() - 1 year + 2 weeks", False),
        ("today() - 90", True),
        ("now()", True),
        ("context.draftOrders.entry.resource.ofType(ServiceRequest).id", True),
        ("%patient.id", True),
    ],
)
def test_of_the_ballots_tokens_dates_are_allowed_where_ehrs_read_it(token: str, wrong: bool) -> None:
    template = f"Observation?patient={{{{context.patientId}}}}&date=ge{{{{{token}}}}}"
    assert list(wrong_tokens(template, "patient-view")) == [token]
    assert bool(list(wrong_tokens(template, "patient-view", ballot=True))) is wrong


@pytest.mark.parametrize(
    ("template", "stray"),
    [("Patient/{{context.patientId}}", False), ("Patient/{context.patientId}", True), ("Patient/{{a", True)],
)
def test_braces_stand_around_tokens_only(template: str, stray: bool) -> None:
    assert has_stray_braces(template) is stray


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("Patient/{{context.patientId}}", []),
        ("Observation?patient={{context.patientId}}&date=ge2026-01-01&_sort=-date&_count=5", []),
        ("Observation?patient={{context.patientId}}&_maxresults=5", []),
        ("Observation?patient={{context.patientId}}&code:in=http://example.org/vs", []),
        ("Observation?patient={{context.patientId}}&code:text=x", ["uses the modifier `:text`"]),
        ("Observation?subject.name=x", ["uses the chained parameter `subject.name`"]),
        ("Observation?_include=Observation:subject", ["uses the parameter `_include`"]),
        ("Observation?date=sa2026-01-01", ["uses the prefix `sa`"]),
        ("$everything", ["is neither a read (`Patient/...`) nor a search (`Observation?...`)"]),
    ],
)
def test_what_goes_beyond_the_recommended_queries_is_named(template: str, words: list[str]) -> None:
    assert list(beyond_the_subset(template)) == words


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_the_demonstration_vendor_asks_for_nothing_unusual(template: str) -> None:
    assert not list(beyond_the_subset(template))


def test_patient_id_is_the_one_token_every_hook_offers() -> None:
    assert frozenset.intersection(*(hook.tokens for hook in HOOKS.values())) == {"patientId"}


@pytest.mark.parametrize(
    ("hook", "local"), [("org.example.triage", True), ("triage", False), ("a.b", False), ("Org.x.y", False)]
)
def test_a_hook_of_ones_own_is_named_by_reverse_domain(hook: str, local: bool) -> None:
    assert is_local_hook(hook) is local
