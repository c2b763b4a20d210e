"""Puts one service together from files that were read and found right."""

from __future__ import annotations

from dataclasses import dataclass

from cds_wrapper.caveats.evidence import EvidenceBook, ModelCard, build_book
from cds_wrapper.caveats.model_inputs import PersonalInputs
from cds_wrapper.caveats.plan import ResponsePlan
from cds_wrapper.caveats.policy import CaveatPolicy
from cds_wrapper.caveats.wording import Wording
from cds_wrapper.ledger.entries import KeptFile
from cds_wrapper.patient.demographics import BesideKeys, DemographicRules
from cds_wrapper.patient.subgroups import SubgroupScheme, possible_groups
from cds_wrapper.services import build
from cds_wrapper.services.card_file import CardFile
from cds_wrapper.services.cards_file import policy_of
from cds_wrapper.services.definitions import FileVersions, ServiceDefinition, kept_edition
from cds_wrapper.services.feature_build import feature_map
from cds_wrapper.services.own_keys import Need, own_queries
from cds_wrapper.services.plan_file import PlanFile
from cds_wrapper.services.reading import ReadFile, ReadService, SourceFile, digest_of
from cds_wrapper.services.score_card_build import score_card_of
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.wording_file import ReadWording, words_of


@dataclass(frozen=True, slots=True)
class _Whole:
    """Every file of a service, all of them there."""

    service: ReadFile[ServiceFile]
    card: ReadFile[CardFile]
    subgroups: ReadFile[SubgroupsFile]
    plan: ReadFile[PlanFile]
    rules: DemographicRules
    wording: Wording
    sources: tuple[SourceFile, ...]


def assemble(read: ReadService, approved: ReadWording) -> tuple[ServiceDefinition, ...]:
    """The definitions, one for each hook the service answers; none when a file could not be read.

    They differ in the hook, what the vendor is told of it and what can be asked for there. Nothing is checked
    here: see `consistency`.
    """
    service, card, subgroups, plan = read.service, read.card, read.subgroups, read.plan
    if service is None or card is None or subgroups is None or plan is None:
        return ()
    if read.rules is None or approved.wording is None:
        return ()
    sources = [service.source, card.source, subgroups.source, plan.source, approved.source]
    sources += read.tables
    whole = _Whole(service, card, subgroups, plan, read.rules, approved.wording, tuple(sources))
    return tuple(_definition(whole, hook) for hook in service.model.hook)


def _definition(whole: _Whole, hook: str) -> ServiceDefinition:
    service = whole.service.model
    card = build.card_of(whole.card.model, digest_of(whole.card.source.content))
    plan = build.plan_of(whole.plan.model, digest_of(whole.plan.source.content))
    scheme = build.scheme_of(whole.subgroups.model)
    book = _book(whole, card, plan, scheme)
    queries = own_queries(service, whole.subgroups.model, hook)
    encounter_key = next((query.key for query in queries if query.need is Need.ENCOUNTER), None)
    vendor = build.vendor_of(service, card.developer, hook, encounter_key)
    wording = whole.wording.replaced(plan.wording_overrides)
    return ServiceDefinition(
        id=service.id,
        hook=hook,
        title=service.title,
        description=service.description,
        usage_requirements=service.usage_requirements,
        ballot=service.cds_hooks_3,
        contact=service.contact,
        outcome=service.outcome.built(),
        further_outcomes=tuple(one.built() for one in service.outcomes),
        episodes=service.episodes.built(),
        prefetch=service.prefetch | {query.key: query.template for query in queries if not query.shared},
        patient_key=service.patient,
        time_budget=service.time_budget,
        ledger_reserve=service.ledger_reserve,
        vendor=vendor,
        thresholds=build.thresholds_of(service),
        bands=build.bands_of(service),
        identifiers=build.identifiers_of(service),
        on_vendor_failure=service.on_vendor_failure,
        displayed=service.displayed,
        own_queries=queries,
        own_keys=frozenset(query.key for query in queries if not query.shared),
        beside_keys=BesideKeys(**{query.need.value: query.key for query in queries}),
        places=build.places_of(whole.subgroups.model),
        cards=policy_of(service.cards),
        rules=whole.rules,
        scheme=scheme,
        card=card,
        plan=plan,
        policy=CaveatPolicy(scheme, PersonalInputs.of(card.inputs)),
        wording=wording,
        words=words_of(service, whole.card.model),
        book=book,
        versions=_versions(whole),
        files=(*map(_kept, whole.sources), kept_edition(book)),
        features=feature_map(service.features, card.doubted_codes),
        score_card=score_card_of(service, card, wording),
    )


def _book(whole: _Whole, card: ModelCard, plan: ResponsePlan, scheme: SubgroupScheme) -> EvidenceBook:
    """The edition a service starts with, before this hospital has results of its own."""
    service = whole.service.model
    as_of = whole.card.model.evidence.as_of
    groups = {name: possible_groups(whole.rules, name) for name in scheme.attributes}
    question = build.question_of(service)
    return build_book(card, scheme, question, plan.approved_cards, as_of, plan.limits, groups)


def _versions(whole: _Whole) -> FileVersions:
    return FileVersions(
        service=digest_of(whole.service.source.content),
        card=digest_of(whole.card.source.content),
        subgroups=digest_of(whole.subgroups.source.content),
        plan=digest_of(whole.plan.source.content),
        wording=whole.wording.digest,
    )


def _kept(source: SourceFile) -> KeptFile:
    return KeptFile(digest_of(source.content), source.kind, source.name, source.content)
