"""From checked file models to the values the rest of the house works with. Nothing is checked here again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import jmespath
from pydantic import BaseModel

from cds_wrapper.caveats.caveat import CaveatLevel, Disposition
from cds_wrapper.caveats.evidence import (
    Estimate,
    EvidenceSource,
    Limits,
    MeasuredLessWell,
    ModelCard,
    ModelInput,
    OutOfScopeRule,
    Question,
    Stated,
    TrainingGroup,
    Where,
)
from cds_wrapper.caveats.plan import MonitoringPlan, ResponsePlan
from cds_wrapper.patient.demographics import AgeBands, PlaceRules
from cds_wrapper.patient.subgroups import AttributePolicy, Display, SubgroupScheme
from cds_wrapper.services.card_file import CardFile, MetricRow, StatedFile
from cds_wrapper.services.definitions import (
    Authentication,
    Band,
    Identifiers,
    Threshold,
    VendorConfig,
    VendorOffer,
    VendorTLS,
)
from cds_wrapper.services.plan_file import PlanFile, ReplacementFile
from cds_wrapper.services.protocols import address_of, asking_of
from cds_wrapper.services.service_file import MissingInputsFile, ScoreFile, ServiceFile, VendorFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.vendor_file import AuthenticationFile, CircuitFile, OfferFile
from cds_wrapper.vendors.base import ScoreKind
from cds_wrapper.vendors.cds_hooks import MissingInputs
from cds_wrapper.vendors.circuit import CircuitPolicy
from cds_wrapper.vendors.guard import GuardPolicy
from cds_wrapper.vendors.score import FlagPaths, ModelPath, ScorePath

# service.yaml -----------------------------------------------------------------------------------------------


def vendor_of(service: ServiceFile, developer: str, hook: str, encounter_key: str | None) -> VendorConfig:
    """Whom to ask when that hook fires.

    The vendor is sent the keys it asked for, all of them unless the file says otherwise. `encounter_key` is
    the prefetch key that holds the Encounter.
    """
    vendor = service.vendor
    return VendorConfig(
        protocol=vendor.protocol,
        url=address_of(vendor),
        developer=vendor.developer_label or developer,
        hook=vendor.hook or hook,
        keys=frozenset(service.prefetch if vendor.prefetch is None else vendor.prefetch),
        score=_score(vendor.score) if vendor.score else None,
        model=_model(vendor),
        missing=_missing(vendor.missing_inputs) if vendor.missing_inputs else None,
        context=frozenset(vendor.context),
        extensions=frozenset(vendor.extensions),
        unknown_user=vendor.unknown_user,
        same_instance=vendor.hook_instance == "same",
        authentication=_authentication(vendor.authentication) if vendor.authentication else None,
        tls=VendorTLS(vendor.tls.certificate, vendor.tls.key, vendor.tls.ca) if vendor.tls else None,
        offer=_offer(vendor, vendor.discovery) if vendor.discovery else None,
        feedback=vendor.feedback_address,
        guard=GuardPolicy(vendor.most_in_flight, _circuit(vendor.circuit)),
        asking=asking_of(vendor, encounter_key),
        stand_ins=dict(vendor.send_when_missing),
        flags=FlagPaths({name: jmespath.compile(path) for name, path in vendor.flags.items()}),
    )


def _circuit(one: CircuitFile) -> CircuitPolicy:
    return CircuitPolicy(one.failures, one.lasting, one.open_for)


def _authentication(one: AuthenticationFile) -> Authentication:
    member, where = one.secrets[0]
    return Authentication(
        kind=one.kind,
        secret=where,
        member=member,
        algorithm=one.algorithm,
        issuer=one.issuer,
        audience=one.audience,
        tenant=one.tenant,
        header=one.header,
        token_url=one.token_url,
        client_id=one.client_id or "",
        scope=one.scope,
    )


def _offer(vendor: VendorFile, offer: OfferFile) -> VendorOffer:
    service = offer.service or (vendor.url or "").rstrip("/").rpartition("/")[2]
    return VendorOffer(offer.list_address, service, offer.every, offer.templates == "join")


def _score(score: ScoreFile) -> ScorePath:
    percent = score.kind == "percent"
    return ScorePath(
        path=jmespath.compile(score.path) if score.path else None,
        kind=ScoreKind.PROBABILITY if percent else ScoreKind(score.kind),
        percent=percent,
        lowest=score.range[0],
        highest=score.range[1],
    )


def _model(vendor: VendorFile) -> ModelPath:
    path = vendor.model.version_path
    return ModelPath(vendor.model.id, vendor.model.version, jmespath.compile(path) if path else None)


def _missing(missing: MissingInputsFile) -> MissingInputs:
    return MissingInputs(jmespath.compile(missing.path), dict(missing.names))


def question_of(service: ServiceFile) -> Question:
    """What the service asks of evidence."""
    at = tuple(threshold.at for threshold in service.thresholds)
    return Question(service.id, service.outcome.name, service.outcome.horizon, at)


def thresholds_of(service: ServiceFile) -> tuple[Threshold, ...]:
    """The thresholds, the one that flags first."""
    return tuple(Threshold(threshold.id, threshold.at) for threshold in service.thresholds)


def bands_of(service: ServiceFile) -> tuple[Band, ...]:
    """The bands, lowest first, each with the flags of the vendor's answer that lift a score into it."""
    flags = service.score_card.flags if service.score_card else {}
    return tuple(
        Band(band.id, band.below, frozenset(name for name, flag in flags.items() if flag.at_least == band.id))
        for band in service.bands
    )


def identifiers_of(service: ServiceFile) -> Identifiers:
    """The identifier systems, in order of preference."""
    return Identifiers(tuple(service.identifiers.patient), tuple(service.identifiers.encounter))


# subgroups.yaml ---------------------------------------------------------------------------------------------


def scheme_of(subgroups: SubgroupsFile) -> SubgroupScheme:
    """The attributes and crossings looked at, each with its policy."""
    policies = {
        name: AttributePolicy(
            name=name,
            core=attribute.core,
            monitor=attribute.monitor,
            display=Display(attribute.display),
            labels=dict(attribute.labels),
        )
        for name, attribute in subgroups.attributes.listed().items()
    }
    age = subgroups.attributes.age_band
    bands = AgeBands.parse(age.bands) if age else None
    return SubgroupScheme(policies, tuple(map(tuple, subgroups.crossings)), bands)


def places_of(subgroups: SubgroupsFile) -> PlaceRules | None:
    """The site's names for its places; None when it wants none."""
    encounter = subgroups.encounter
    if encounter is None:
        return None
    return PlaceRules(encounter.sites, encounter.units, encounter.classes, encounter.keep_unlisted)


# model_card.yaml --------------------------------------------------------------------------------------------


def card_of(card: CardFile, digest: str) -> ModelCard:
    """The model card; `digest` is that of the file's bytes."""
    return ModelCard(
        id=card.id,
        version=card.version,
        name=card.name,
        developer=card.developer.name,
        digest=digest,
        facts=dict(_facts(card, "")),
        out_of_scope=tuple(
            OutOfScopeRule(_where(rule.where), rule.say, rule.source) for rule in card.out_of_scope.rules
        ),
        training=tuple(
            TrainingGroup(
                where=_where(group.where),
                state=group.state,
                n=group.n,
                share=group.share,
                as_reported=group.as_reported,
                cite=group.cite,
            )
            for group in card.training.demographics
        ),
        inputs=tuple(
            ModelInput(one.name, one.is_demographic, one.fhir_path, tuple(one.doubted_codes))
            for one in card.inputs
        ),
        measured_less_well=tuple(_measured_less_well(card)),
        estimates=tuple(map(estimate_of, card.evidence.metrics)),
        outcome_studies=tuple(card.evidence.outcome_studies),
        documents=tuple(card.documents),
    )


def _measured_less_well(card: CardFile) -> Iterator[MeasuredLessWell]:
    """Every group of every input; the id is made of the input's name and the place in its list."""
    for one in card.inputs:
        for number, group in enumerate(one.measured_less_well, 1):
            yield MeasuredLessWell(
                id=f"measured_less_well:{one.name}:{number}",
                input=one.name,
                where=_where(group.where),
                direction=group.direction,
                recheck=group.recheck,
                source=group.source,
            )


def _facts(part: BaseModel, path: str) -> Iterator[tuple[str, Stated]]:
    """Every descriptive field of a part and of the parts below it, by dotted key."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, StatedFile):
            yield f"{path}{name}", Stated(value.state, value.value, value.source)
        elif isinstance(value, BaseModel):
            yield from _facts(value, f"{path}{name}.")


def _where(where: Mapping[str, list[str]]) -> Where:
    return {attribute: tuple(levels) for attribute, levels in where.items()}


def estimate_of(row: MetricRow) -> Estimate:
    """One figure, or that none is given."""
    return Estimate(
        id=row.id,
        metric=row.metric,
        source=EvidenceSource(row.source),
        outcome=row.outcome,
        horizon=row.horizon,
        where=_where(row.where),
        state=row.state,
        exclusive=row.view == "exclusive",
        estimate=row.estimate,
        ci=(row.ci[0], row.ci[1]) if row.ci else None,
        interval_kind=row.interval_kind,
        level=row.level,
        n=row.n,
        positives=row.positives,
        threshold=row.threshold,
        data_ended=row.data_ended,
        reference=row.reference,
        earlier_version=row.earlier_version,
        other_setting=row.other_setting,
        who=row.who,
        as_reported=row.as_reported,
        method=row.method,
        period=row.period,
        note=row.note,
        cite=row.cite,
    )


# plan.yaml --------------------------------------------------------------------------------------------------


def plan_of(plan: PlanFile, digest: str) -> ResponsePlan:
    """The response plan; `digest` is that of the file's bytes."""
    respond = plan.respond
    return ResponsePlan(
        version=str(plan.version),
        digest=digest,
        approved_versions=frozenset(plan.approved.versions),
        approved_cards=frozenset({plan.approved.model_card}),
        approved_on=plan.approved.on,
        approved_by=plan.approved.by,
        respond={
            CaveatLevel.LIMITED: Disposition(respond.limited),
            CaveatLevel.NOT_ASSESSED: Disposition(respond.not_assessed),
            CaveatLevel.NOT_VALIDATED: Disposition(respond.not_validated),
            CaveatLevel.REDUCED: Disposition(respond.reduced),
        },
        on_error=plan.on_error,
        without_ledger=plan.without_ledger,
        wording_overrides=overrides_of(plan),
        limits=Limits.changed(plan.limits),
        live_since=plan.live_since or date.min,
        paused_card_for=plan.paused_card_for,
        monitoring=MonitoringPlan(**plan.monitoring.model_dump()),
    )


def overrides_of(plan: PlanFile) -> dict[str, dict[str, str]]:
    """The board's own words, by id of the text they replace."""
    return {name: _texts(replacement) for name, replacement in plan.wording.items()}


def _texts(replacement: ReplacementFile) -> dict[str, str]:
    return {name: text for name, text in replacement if text is not None}
