"""Words of a site's files that no card says: blame, verdicts, and names of groups that are not shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cds_wrapper.caveats.markup import clean_markdown
from cds_wrapper.caveats.vendor_text import clean_line
from cds_wrapper.caveats.wording import never_said
from cds_wrapper.errors import Mistake
from cds_wrapper.patient.demographics import DemographicRules
from cds_wrapper.services.card_file import CardFile, MetricRow, TrainingGroup
from cds_wrapper.services.plan_file import PlanFile
from cds_wrapper.services.reading import ReadFile, ReadService
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.yaml_files import Document, KeyPath

_SHORTEST_NAME: Final = 4
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NO_NAMES: Final = frozenset(
    {
        "adult",
        "adults",
        "aged",
        "from",
        "group",
        "groups",
        "many",
        "missing",
        "more",
        "multiple",
        "nobody",
        "none",
    }
    | {"only", "other", "others", "over", "patient", "patients", "people", "than", "that", "under", "unknown"}
)
"""Words of group names that name no group by themselves."""


def card_word_mistakes(read: ReadService) -> Iterator[Mistake]:
    """What would be said on a card and is said on none, at its line."""
    if read.service:
        yield from _service_mistakes(read.service)
    if read.subgroups:
        yield from _label_mistakes(read.subgroups)
    if read.card:
        yield from _rule_mistakes(read.card)
    if read.plan and read.card and read.subgroups and read.rules:
        hidden = hidden_names(read.subgroups.model, read.card.model, read.rules)
        yield from _naming_mistakes(read.plan, read.card, hidden)


def _service_mistakes(service: ReadFile[ServiceFile]) -> Iterator[Mistake]:
    model = service.model
    yield from _said(service.document, ("title",), model.title)
    yield from _said(service.document, ("outcome", "name"), model.outcome.name)
    yield from _said(service.document, ("outcome", "phrase"), model.outcome.phrase or "")
    for name, feature in model.features.items():
        path: KeyPath = ("features", name, "label")
        yield from _said(service.document, path, feature.label)
        if clean_markdown(clean_line(feature.label)) != feature.label:
            yield service.document.mistake(path, "is not plain text of one line, as a card would say it.")


def _label_mistakes(subgroups: ReadFile[SubgroupsFile]) -> Iterator[Mistake]:
    for name, attribute in subgroups.model.attributes.listed().items():
        for level, label in attribute.labels.items():
            yield from _said(subgroups.document, ("attributes", name, "labels", level), label)


def _rule_mistakes(card: ReadFile[CardFile]) -> Iterator[Mistake]:
    for index, rule in enumerate(card.model.out_of_scope.rules):
        yield from _said(card.document, ("out_of_scope", "rules", index, "say"), rule.say)
    for index, one in enumerate(card.model.inputs):
        for number, group in enumerate(one.measured_less_well):
            path = ("inputs", index, "measured_less_well", number, "recheck")
            yield from _said(card.document, path, group.recheck or "")


def _said(document: Document, path: KeyPath, text: str) -> Iterator[Mistake]:
    word = never_said(text)
    if word is not None:
        yield document.mistake(path, f'says "{word}", which no card says.')


# Groups that a card does not name ---------------------------------------------------------------------------


def hidden_names(subgroups: SubgroupsFile, card: CardFile, rules: DemographicRules) -> frozenset[str]:
    """What the groups of every attribute that is not shown are called here, in small letters.

    Their levels, their labels, and the words by which the card reports them. Ordinary words (`other`, `no`)
    name nobody.
    """
    hidden = {name for name, one in subgroups.attributes.listed().items() if one.display != "show"}
    found: set[str] = set()
    for name in hidden:
        labels = subgroups.attributes.listed()[name].labels.values()
        found.update(level for level in rules.levels(name) if len(level) >= _SHORTEST_NAME)
        found.update(label.casefold() for label in labels)
    rows: list[MetricRow | TrainingGroup] = [*card.evidence.metrics, *card.training.demographics]
    for row in rows:
        if row.as_reported and not hidden.isdisjoint(row.where):
            found.update(_names_in(row.as_reported))
    return frozenset(name for name in found if name not in _NO_NAMES)


def _names_in(reported: str) -> Iterator[str]:
    """Names as a study writes them, with a capital; what follows a comma or a stroke is one by itself."""
    capital = (word for word in _WORD.findall(reported) if word[0].isupper())
    return (word.casefold() for word in capital if len(word) >= _SHORTEST_NAME)


def _naming_mistakes(
    plan: ReadFile[PlanFile], card: ReadFile[CardFile], hidden: frozenset[str]
) -> Iterator[Mistake]:
    if not hidden:
        return
    longest_first = sorted(hidden, key=len, reverse=True)
    names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})s?(?!\w)", re.IGNORECASE)
    for name, replacement in plan.model.wording.items():
        for part, text in replacement:
            if isinstance(text, str) and (found := names.search(text)):
                problem = f'says "{found[0]}": subgroups.yaml lets no card name this group.'
                yield plan.document.mistake(("wording", name, part), problem)
    for index, one in enumerate(card.model.inputs):
        for number, group in enumerate(one.measured_less_well):
            if found := names.search(group.recheck or ""):
                path = ("inputs", index, "measured_less_well", number, "recheck")
                problem = f'says "{found[0]}": subgroups.yaml lets no card name this group.'
                yield card.document.mistake(path, problem)
