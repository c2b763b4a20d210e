"""`wording.en.yaml`: the approved words, and a plan's own in their place, held to the limits of a card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cds_wrapper.caveats.inputs import listed
from cds_wrapper.caveats.wording import (
    ServiceWords,
    UnusableWording,
    Wording,
    WordingMistake,
    longest_values,
)
from cds_wrapper.errors import Mistake
from cds_wrapper.services import build
from cds_wrapper.services.card_file import CardFile
from cds_wrapper.services.card_words import card_word_mistakes
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.reading import ReadFile, ReadService, SourceFile, digest_of
from cds_wrapper.services.score_card_build import zone_of
from cds_wrapper.services.score_card_checks import score_word_mistakes
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.yaml_files import read_document


@dataclass(frozen=True, slots=True)
class ReadWording:
    """The approved words, or what is wrong with their file."""

    source: SourceFile
    wording: Wording | None
    mistakes: tuple[Mistake, ...]


def read_wording(source: SourceFile) -> ReadWording:
    """Read the file of approved words; it is shipped, so a mistake in it is a broken installation."""
    document, mistakes = read_document(source.name, source.content)
    if document is None or mistakes:
        return ReadWording(source, None, mistakes)
    try:
        wording = Wording.read(document.values, digest_of(source.content))
    except UnusableWording as error:
        return ReadWording(source, None, (document.mistake((), error.sentence),))
    return ReadWording(source, wording, ())


def words_of(service: ServiceFile, card: CardFile) -> ServiceWords:
    """What the service is called on cards."""
    rest = service.vendor.rest
    return ServiceWords(
        title=service.title,
        contact=service.contact,
        outcome=service.outcome.name,
        developer=service.vendor.developer_label or card.developer.name,
        model_name=card.name,
        zone=zone_of(service),
        oldest_score=rest.look_up.oldest if rest and rest.look_up else None,
    )


def wording_mistakes(read: ReadService, approved: ReadWording) -> Iterator[Mistake]:
    """A plan's own words replace texts that exist; all words keep the limits of a card."""
    yield from card_word_mistakes(read)
    if approved.wording is None:
        return
    known = approved.wording.texts
    if read.plan:
        for name in read.plan.model.wording.keys() - known.keys():
            problem = "is no text of the approved words."
            yield read.plan.document.mistake(("wording", name), problem, nearest(name, known))
    if read.service and read.card and read.subgroups and read.plan and read.rules:
        replaced = build.overrides_of(read.plan.model)
        wording = approved.wording.replaced({name: replaced[name] for name in replaced.keys() & known.keys()})
        # No file names what a score was built to predict instead of the outcome: the approved words say it.
        proxy = {"proxy": wording.terms.proxy}
        longest = _longest(read.service.model, read.card.model, read.subgroups.model, wording) | proxy
        for mistake in wording.mistakes(longest):
            yield _placed(mistake, read, read.service)
        yield from score_word_mistakes(read.service.document, read.service.model, wording)


def _longest(
    service: ServiceFile, card: CardFile, subgroups: SubgroupsFile, wording: Wording
) -> dict[str, str]:
    """The longest value this service's files give to each placeholder."""
    values = dict(
        longest_values(words_of(service, card), build.scheme_of(subgroups), build.card_of(card, ""))
    )
    names = [*service.vendor.missing_inputs.names.values()] if service.vendor.missing_inputs else []
    names += [one.label for one in service.features.values()]
    inputs = sorted(names, key=lambda label: (len(label.split()), len(label)), reverse=True)
    recheck = {"recheck": max(_rechecks(card), key=len)} if any(_rechecks(card)) else {}
    if not inputs:
        return {**values, **recheck}
    terms = wording.terms
    return {**values, **recheck, "input": inputs[0], "inputs": listed((*inputs[:1], *inputs), terms)}


def _rechecks(card: CardFile) -> tuple[str, ...]:
    groups = (group for one in card.inputs for group in one.measured_less_well)
    return tuple(group.recheck for group in groups if group.recheck)


def _placed(mistake: WordingMistake, read: ReadService, service: ReadFile[ServiceFile]) -> Mistake:
    """A text of the plan's own is wrong where it stands; a shipped one because a name in it is too long."""
    if read.plan and mistake.id in read.plan.model.wording:
        part = mistake.part.removeprefix("elsewhere.")
        return read.plan.document.mistake(("wording", mistake.id, part), mistake.problem)
    if mistake.part == "summary":
        problem = f"or the name of an input is too long: `{mistake.id}` {mistake.problem}"
        return service.document.mistake(("title",), problem)
    problem = f"or a label of subgroups.yaml, or a rule of model_card.yaml is too long: text {mistake}"
    return service.document.mistake(("outcome", "name"), problem)
