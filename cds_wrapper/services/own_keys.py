"""The prefetch keys the wrapper asks for itself, each only when something that is collected needs it.

A query the service has already is not asked a second time: its key is read. What only the wrapper asks for is
never sent to the vendor (CDS Hooks 2.0.1, "Prefetch Template"), and each key says what it is for (minimum
necessary, "Trusting CDS Services").
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cds_wrapper.cds_library import HOOKS
from cds_wrapper.errors import Mistake
from cds_wrapper.patient.disability import LOINC, QUESTIONS
from cds_wrapper.services.prefetch_rules import has_stray_braces, wrong_tokens
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.yaml_files import Document, KeyPath
from cds_wrapper.vendors.look_up import FHIR_ID


class Need(enum.Enum):
    """What the wrapper may ask for beside the Patient."""

    COVERAGE = "coverage"
    DISABILITY = "disability"
    ENCOUNTER = "encounter"

    @property
    def key(self) -> str:
        """The prefetch key it comes under, unless the service asks the same under a key of its own."""
        return f"wrapper-{self.value}"


_QUESTIONS: Final = ",".join(f"{LOINC}|{code}" for code in QUESTIONS)
TEMPLATES: Final[Mapping[Need, str]] = {
    Need.COVERAGE: "Coverage?patient={{context.patientId}}&status=active",
    # By question and not by category: the category holds other findings too, which nobody here needs.
    Need.DISABILITY: (
        f"Observation?patient={{{{context.patientId}}}}&code={_QUESTIONS}&_sort=-date&_count=60"
    ),
    Need.ENCOUNTER: "Encounter/{{context.encounterId}}",
}
_ENCOUNTER_ID: Final = "encounterId"


@dataclass(frozen=True, slots=True)
class OwnQuery:
    """One query the wrapper needs: its key, its template, and what it is for, in words.

    `shared` says that the service asks the same for its vendor.
    """

    need: Need
    key: str
    template: str
    purposes: tuple[str, ...]
    shared: bool


def own_queries(service: ServiceFile, subgroups: SubgroupsFile, hook: str) -> tuple[OwnQuery, ...]:
    """What this service has to ask for beyond its vendor's keys; nothing that the hook cannot fill."""
    queries = []
    for need, purposes in _purposes(service, subgroups).items():
        template = _template(need, subgroups)
        if purposes and template and _can_be_asked(need, service, subgroups, hook):
            key = _key_of_the_same(template, service.prefetch)
            queries.append(OwnQuery(need, key or need.key, template, purposes, shared=key is not None))
    return tuple(queries)


def own_key_mistakes(
    service_document: Document, service: ServiceFile, document: Document, subgroups: SubgroupsFile
) -> Iterator[Mistake]:
    """A service's key under a name the wrapper needs; a query that is for nothing or cannot be filled."""
    queries = (query for hook in service.hook for query in own_queries(service, subgroups, hook))
    for query in dict.fromkeys(queries):
        if not query.shared and query.key in service.prefetch:
            problem = (
                f"is the wrapper's own key for {' and '.join(query.purposes)}, with another query: name yours"
                f" otherwise, or set `queries.{query.need.value}` in subgroups.yaml to the same query."
            )
            yield service_document.mistake(("prefetch", query.key), problem)
    purposes = _purposes(service, subgroups)
    for need in Need:
        template = getattr(subgroups.queries, need.value)
        if template is None:
            continue
        path = ("queries", need.value)
        if not purposes[need]:
            yield document.mistake(path, "asks for what nothing here needs: take the line out.")
        yield from _token_mistakes(document, path, template, service)
        if has_stray_braces(template):
            yield document.mistake(path, "has braces outside a whole `{{token}}`.")


def _token_mistakes(
    document: Document, path: KeyPath, template: str, service: ServiceFile
) -> Iterator[Mistake]:
    for hook in service.hook:
        for token in wrong_tokens(template, hook, ballot=service.cds_hooks_3):
            yield document.mistake(path, f"holds `{{{{{token}}}}}`, which the hook `{hook}` does not offer.")


def unanswerable(service: ServiceFile, subgroups: SubgroupsFile, hook: str) -> tuple[str, ...]:
    """What is wanted of an Encounter although this hook names none."""
    purposes = _purposes(service, subgroups)[Need.ENCOUNTER]
    return () if _can_be_asked(Need.ENCOUNTER, service, subgroups, hook) else purposes


def _purposes(service: ServiceFile, subgroups: SubgroupsFile) -> dict[Need, tuple[str, ...]]:
    attributes = subgroups.attributes
    interpreter = attributes.interpreter_needed
    encounter = {
        "site, unit and care setting": subgroups.encounter is not None,
        "encounter_key": bool(service.identifiers.encounter),
        "the vendor's look-up": _looks_up_the_encounter(service),
        "interpreter_needed": interpreter is not None and "encounter" in interpreter.sources,
    }
    return {
        Need.COVERAGE: ("payer",) if attributes.payer else (),
        Need.DISABILITY: ("disability",) if attributes.disability else (),
        Need.ENCOUNTER: tuple(purpose for purpose, wanted in encounter.items() if wanted),
    }


def _looks_up_the_encounter(service: ServiceFile) -> bool:
    """Whether the vendor is asked by an identifier that stands in the Encounter."""
    look_up = service.vendor.rest.look_up if service.vendor.rest else None
    return look_up is not None and look_up.encounter not in {None, FHIR_ID}


def _template(need: Need, subgroups: SubgroupsFile) -> str:
    own: str | None = getattr(subgroups.queries, need.value)
    return own or TEMPLATES[need]


def _can_be_asked(need: Need, service: ServiceFile, subgroups: SubgroupsFile, hook: str) -> bool:
    """A hook of the library says whether it names an encounter; of a local one the site does."""
    if need is not Need.ENCOUNTER:
        return True
    known = HOOKS.get(hook)
    if known is not None:
        return _ENCOUNTER_ID in known.tokens
    written = (*service.prefetch.values(), subgroups.queries.encounter or "")
    return any(f"context.{_ENCOUNTER_ID}" in template for template in written)


def _key_of_the_same(template: str, prefetch: Mapping[str, str]) -> str | None:
    wanted = _canonical(template)
    return next((key for key, other in prefetch.items() if _canonical(other) == wanted), None)


def _canonical(template: str) -> tuple[str, tuple[str, ...]]:
    """A query without what makes no difference: blanks in tokens, the order of parameters."""
    plain = re.sub(r"\{\{\s*(.*?)\s*\}\}", r"{{\1}}", template.strip())
    path, _, parameters = plain.partition("?")
    return path, tuple(sorted(parameters.split("&")))
