"""From the bytes of one service's files to checked file models, with every mistake of every file at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cds_wrapper.errors import Mistake
from cds_wrapper.patient.demographics import (
    AgeBands,
    DemographicRules,
    DeprivationTable,
    InterpreterSource,
    PayerElement,
    PayerTable,
    RaceEthnicityScheme,
    RaceProfile,
    RuralityTable,
    SexSource,
    UnusableRule,
)
from cds_wrapper.services import consistency
from cds_wrapper.services.card_file import CardFile
from cds_wrapper.services.checking import validate
from cds_wrapper.services.feature_checks import feature_mistakes
from cds_wrapper.services.fields import FileModel
from cds_wrapper.services.own_keys import own_key_mistakes
from cds_wrapper.services.plan_file import PlanFile
from cds_wrapper.services.sent_features import sent_mistakes
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.tables import read_kinds_of_place, read_payers, read_quintiles
from cds_wrapper.services.yaml_files import Document, read_document

_Model = TypeVar("_Model", bound=FileModel)
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

SERVICE: Final = "service"
CARD: Final = "model_card"
SUBGROUPS: Final = "subgroups"
PLAN: Final = "plan"
DEPRIVATION: Final = "deprivation"
PAYERS: Final = "payers"
RURALITY: Final = "rurality"
WORDING: Final = "wording"

FILE_NAMES: Final[Mapping[str, str]] = {
    SERVICE: "service.yaml",
    CARD: "model_card.yaml",
    SUBGROUPS: "subgroups.yaml",
    PLAN: "plan.yaml",
}
"""The files every service has, by kind."""


FindTable = Callable[[str, str], "SourceFile | None"]
"""Gives the table of a kind and a file name, or None when there is none."""


def digest_of(content: bytes) -> str:
    """`sha256:` and the 64 hex digits of the SHA-256 over the bytes as they are."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's bytes, and its name as a person would write it: `cvd-risk/plan.yaml`."""

    kind: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ReadFile(Generic[_Model]):
    """A file that is right by itself."""

    source: SourceFile
    document: Document
    model: _Model


@dataclass(frozen=True, slots=True)
class ReadService:
    """The four files of a service, each as far as it could be read, and every mistake found in them."""

    service: ReadFile[ServiceFile] | None
    card: ReadFile[CardFile] | None
    subgroups: ReadFile[SubgroupsFile] | None
    plan: ReadFile[PlanFile] | None
    tables: tuple[SourceFile, ...]
    rules: DemographicRules | None
    mistakes: tuple[Mistake, ...]


def read_service(sources: Mapping[str, SourceFile], find_table: FindTable) -> ReadService:
    """Read every file of one service and compare them with each other, as far as each could be read."""
    mistakes: list[Mistake] = []
    service = _read(sources.get(SERVICE), ServiceFile, mistakes)
    card = _read(sources.get(CARD), CardFile, mistakes)
    subgroups = _read(sources.get(SUBGROUPS), SubgroupsFile, mistakes)
    plan = _read(sources.get(PLAN), PlanFile, mistakes)
    tables = _tables(subgroups, find_table, mistakes) if subgroups else {}
    rules = _rules(subgroups, tables, mistakes) if subgroups else None
    if service:
        mistakes += consistency.service_mistakes(service.document, service.model)
        mistakes += feature_mistakes(service.document, service.model)
        mistakes += sent_mistakes(service.document, service.model)
    if card:
        mistakes += consistency.card_mistakes(card.document, card.model)
    if plan:
        mistakes += consistency.limit_mistakes(plan.document, plan.model)
    if card and rules:
        mistakes += consistency.where_mistakes(card.document, card.model, rules)
    if service and subgroups:
        mistakes += own_key_mistakes(service.document, service.model, subgroups.document, subgroups.model)
    mistakes += _disagreements(service, card, plan, sources.get(CARD))
    return ReadService(service, card, subgroups, plan, tuple(tables.values()), rules, tuple(mistakes))


def _read(source: SourceFile | None, kind: type[_Model], mistakes: list[Mistake]) -> ReadFile[_Model] | None:
    if source is None:
        return None
    document, found = read_document(source.name, source.content)
    mistakes += found
    if document is None:
        return None
    model, found = validate(document, kind)
    mistakes += found
    return ReadFile(source, document, model) if model is not None else None


def _tables(
    subgroups: ReadFile[SubgroupsFile], find_table: FindTable, mistakes: list[Mistake]
) -> dict[str, SourceFile]:
    """The tables that `subgroups.yaml` names, by kind."""
    attributes = subgroups.model.attributes
    deprivation, payer, rurality = attributes.deprivation_quintile, attributes.payer, attributes.rurality
    named = {
        (DEPRIVATION, "deprivation_quintile"): deprivation.table.file if deprivation else None,
        (PAYERS, "payer"): payer.table.file if payer and payer.table else None,
        (RURALITY, "rurality"): rurality.table.file if rurality else None,
    }
    found: dict[str, SourceFile] = {}
    for (kind, attribute), file_name in named.items():
        source = find_table(kind, file_name) if file_name else None
        if source is not None:
            found[kind] = source
        elif file_name:
            path = ("attributes", attribute, "table", "file")
            problem = f"names `{file_name}`, which is not in the folder of this service."
            mistakes.append(subgroups.document.mistake(path, problem))
    return found


@dataclass(frozen=True, slots=True)
class _ReadTables:
    """What the tables hold; a table that is not there holds nothing."""

    quintiles: Mapping[str, int]
    payers: Mapping[tuple[PayerElement, str], str]
    kinds_of_place: Mapping[str, str]


def _read_tables(tables: Mapping[str, SourceFile], mistakes: list[Mistake]) -> _ReadTables:
    def content(
        kind: str, read: Callable[[str, bytes], tuple[Mapping[_Key, _Value], tuple[Mistake, ...]]]
    ) -> Mapping[_Key, _Value]:
        table = tables.get(kind)
        if table is None:
            return {}
        lines, wrong = read(table.name, table.content)
        mistakes.extend(wrong)
        return lines

    return _ReadTables(
        content(DEPRIVATION, read_quintiles),
        content(PAYERS, read_payers),
        content(RURALITY, read_kinds_of_place),
    )


def _rules(
    subgroups: ReadFile[SubgroupsFile], tables: Mapping[str, SourceFile], mistakes: list[Mistake]
) -> DemographicRules | None:
    """How demographics are read here; None when `subgroups.yaml` does not say it rightly."""
    found = list(consistency.subgroups_mistakes(subgroups.document, subgroups.model))
    read_tables = _read_tables(tables, mistakes)
    mistakes += found
    if found:
        return None
    try:
        rules = _demographic_rules(subgroups.model, read_tables)
    except UnusableRule as rule:
        path = ("attributes", *rule.key.split("."))
        mistakes.append(subgroups.document.mistake(path, f"`{rule.label}` {rule.problem}"))
        return None
    mistakes += consistency.label_mistakes(subgroups.document, subgroups.model, rules)
    return rules


def _demographic_rules(subgroups: SubgroupsFile, tables: _ReadTables) -> DemographicRules:
    """What is not listed keeps the default of its rule, and is not collected."""
    listed = subgroups.attributes
    rules = DemographicRules()
    deprivation = listed.deprivation_quintile.table if listed.deprivation_quintile else None
    place = listed.rurality.table if listed.rurality else None
    interpreter = listed.interpreter_needed
    return DemographicRules(
        collect=tuple(listed.listed()),
        bands=AgeBands.parse(listed.age_band.bands) if listed.age_band else rules.bands,
        sex_sources=tuple(map(SexSource, listed.sex.sources)) if listed.sex else rules.sex_sources,
        race_profile=RaceProfile(listed.race.profile) if listed.race else rules.race_profile,
        race_ethnicity_scheme=(
            RaceEthnicityScheme(listed.race_ethnicity.scheme)
            if listed.race_ethnicity
            else rules.race_ethnicity_scheme
        ),
        languages=tuple(listed.language.languages) if listed.language else rules.languages,
        deprivation=(
            DeprivationTable(deprivation.index, deprivation.year, deprivation.geography, tables.quintiles)
            if deprivation
            else None
        ),
        rurality=(
            RuralityTable(place.index, place.year, place.geography, tables.kinds_of_place) if place else None
        ),
        payers=PayerTable(tables.payers) if listed.payer and listed.payer.table else None,
        interpreter_sources=(
            tuple(map(InterpreterSource, interpreter.sources)) if interpreter else rules.interpreter_sources
        ),
    )


def _disagreements(
    service: ReadFile[ServiceFile] | None,
    card: ReadFile[CardFile] | None,
    plan: ReadFile[PlanFile] | None,
    card_source: SourceFile | None,
) -> Iterator[Mistake]:
    if service and card:
        yield from consistency.model_mistakes(service.document, service.model, card.model)
    if service and plan:
        yield from consistency.version_mistakes(service.document, service.model, plan.model)
    if plan and card_source:
        digest = digest_of(card_source.content)
        yield from consistency.digest_mistakes(plan.document, plan.model, digest)


def in_order(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """By file and line, each once."""
    return tuple(
        sorted(dict.fromkeys(mistakes), key=lambda found: (found.file, found.line or 0, found.column or 0))
    )
