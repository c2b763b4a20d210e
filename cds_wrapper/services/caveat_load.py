"""Whose cards will carry a mark in their summary from the first day: a mark on many cards is read by nobody.

Worked out from the files alone, by asking the policy about every combination of core groups. How many of a
site's own patients are in those groups only its records can say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, islice, product
from typing import Final

from cds_wrapper.caveats.wording import choose_words
from cds_wrapper.cds_answer import VendorCard
from cds_wrapper.patient.demographics import Attribute, Demographics
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.vendors.base import ModelVersion, Prediction, VendorCall, VersionSource

Groups = tuple[tuple[str, str], ...]
"""One group of each core attribute: attribute and level."""

_MOST_COMBINATIONS: Final = 2_000
_SEVERAL: Final = "multiple"
"""People of several groups are in each of them, so these already speak for them."""


def marked_groups(service: ServiceDefinition) -> tuple[Groups, ...]:
    """The smallest groups, of one core attribute or two, all of whose cards carry a mark in their summary.

    Empty when there are too many combinations to ask about.
    """
    everybody = tuple(islice(_combinations(service), _MOST_COMBINATIONS + 1))
    if len(everybody) > _MOST_COMBINATIONS:
        return ()
    marked = {groups for groups in everybody if _is_marked(service, groups)}
    found: list[Groups] = []
    for size in (1, 2):
        for part in dict.fromkeys(part for groups in everybody for part in combinations(groups, size)):
            known = any(set(smaller) <= set(part) for smaller in found)
            if not known and all(groups in marked for groups in everybody if set(part) <= set(groups)):
                found.append(part)
    return tuple(found)


def in_words(groups: Iterable[Groups]) -> str:
    """`age_band=80+; race=black with age_band=30-39`."""
    return "; ".join(" with ".join(f"{name}={level}" for name, level in part) for part in groups)


def _combinations(service: ServiceDefinition) -> Iterator[Groups]:
    core = [name for name, policy in service.scheme.attributes.items() if policy.core]
    levels = {name: [level for level in service.rules.levels(name) if level != _SEVERAL] for name in core}
    return product(*([(name, level) for level in levels[name]] for name in core))


def _is_marked(service: ServiceDefinition, groups: Groups) -> bool:
    """Whether a low or a high score of such a patient carries a short form in the summary."""
    known: Mapping[str, Attribute] = {
        name: Attribute(level, None, members=(level,)) for name, level in groups
    }
    subgroups = service.scheme.assign(Demographics(known))
    for flagged in (False, True):
        prediction = _prediction(service, flagged)
        evidence = service.book.about(subgroups, prediction)
        caveat = service.policy.weigh(evidence, prediction)
        disposition = service.plan.settle(caveat, prediction)
        words = choose_words(
            caveat, disposition, prediction, evidence, service.scheme, service.wording, service.words
        )
        if words.short is not None:
            return True
    return False


def _prediction(service: ServiceDefinition, flagged: bool) -> Prediction:
    model = ModelVersion(service.vendor.model.id, service.vendor.model.version, VersionSource.CONFIGURATION)
    return Prediction((VendorCard(),), None, None, flagged, model, VendorCall())
