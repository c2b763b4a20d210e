"""Checks that need more than one value at a time: within a file, and between the files of one service.

Each function takes files that are right by themselves, and yields mistakes. Nothing is built here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

from cds_wrapper.caveats.evidence import Limits, UnusableLimits
from cds_wrapper.cds_library import HOOKS, is_local_hook
from cds_wrapper.errors import Mistake
from cds_wrapper.patient.demographics import AgeBands, DemographicRules, Missing, UnusableRule
from cds_wrapper.patient.subgroups import MISSING
from cds_wrapper.services.card_file import CardFile
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.plan_file import PlanFile
from cds_wrapper.services.prefetch_rules import allowed_tokens, has_stray_braces, wrong_tokens
from cds_wrapper.services.score_card_checks import score_card_mistakes
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import AttributeFile, SubgroupsFile
from cds_wrapper.services.vendor_kinds import CDS_HOOKS, kind_mistakes
from cds_wrapper.services.yaml_files import Document, KeyPath
from cds_wrapper.vendors.question import may_be_listed, must_be_listed

MISSING_LEVELS = (MISSING, *(f"{MISSING}:{reason.value}" for reason in Missing))
_LONGEST_LABEL = 5


# service.yaml -----------------------------------------------------------------------------------------------


def service_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """What does not fit together in `service.yaml`."""
    yield from _hook_mistakes(document, service)
    for key, template in service.prefetch.items():
        yield from _template_mistakes(document, ("prefetch", key), template, service)
    yield from _unknown_key(document, ("patient",), service.patient, service.prefetch)
    for index, key in enumerate(service.vendor.prefetch or ()):
        yield from _unknown_key(document, ("vendor", "prefetch", index), key, service.prefetch)
    yield from kind_mistakes(document, service)
    if service.vendor.protocol == CDS_HOOKS:
        yield from _forwarding_mistakes(document, service)
    yield from _score_mistakes(document, service)
    yield from score_card_mistakes(document, service)


def _hook_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    for index, hook in enumerate(service.hook):
        if hook not in HOOKS and not is_local_hook(hook):
            problem = "is no hook of the CDS Hooks library; a local hook is named by reverse domain."
            yield document.mistake(("hook", index), problem, nearest(hook, HOOKS))
        if hook in service.hook[:index]:
            yield document.mistake(("hook", index), f"names `{hook}` a second time.")


def _template_mistakes(
    document: Document, path: KeyPath, template: str, service: ServiceFile
) -> Iterator[Mistake]:
    """A template is filled by whichever of the hooks fires, so each must offer what it asks for."""
    for hook in service.hook:
        for token in wrong_tokens(template, hook, ballot=service.cds_hooks_3):
            problem = f"holds `{{{{{token}}}}}`, which the hook `{hook}` does not offer as a prefetch token."
            yield document.mistake(path, problem, _nearest_token(token, hook))
    if has_stray_braces(template):
        yield document.mistake(path, "has braces outside a whole `{{token}}`.")


def _nearest_token(token: str, hook: str) -> str | None:
    """Compare the fields' own names: `context.` would make all of them look alike."""
    by_name = {known.removeprefix("context."): known for known in allowed_tokens(hook)}
    near = nearest(token.removeprefix("context."), by_name)
    return by_name[near] if near else None


def _unknown_key(document: Document, path: KeyPath, key: str, known: Iterable[str]) -> Iterator[Mistake]:
    keys = list(known)
    if key not in keys:
        yield document.mistake(path, f"names `{key}`, which is no key of `prefetch`.", nearest(key, keys))


def _forwarding_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """What the vendor is told must make a whole call of the hook it knows."""
    vendor = service.vendor
    if vendor.hook and vendor.hook not in HOOKS and not is_local_hook(vendor.hook):
        problem = "is no hook of the CDS Hooks library; a local hook is named by reverse domain."
        yield document.mistake(("vendor", "hook"), problem, nearest(vendor.hook, HOOKS))
    asked = {own: vendor.hook or own for own in service.hook}
    yield from _listed_mistakes(document, vendor.context, tuple(dict.fromkeys(asked.values())))
    for own, hook in asked.items():
        for name in must_be_listed(hook):
            if name not in vendor.context:
                problem = (
                    f"must list `{name}`: the hook `{hook}` requires it, so no call could be sent without."
                )
                yield document.mistake(("vendor", "context"), problem)
            elif own in HOOKS and name not in may_be_listed(own):
                problem = f"is `{hook}`, which requires `{name}`; the hook `{own}` brings none."
                yield document.mistake(("vendor", "hook"), problem)


def _listed_mistakes(document: Document, listed: Sequence[str], hooks: Sequence[str]) -> Iterator[Mistake]:
    """What the vendor may see must be something that one of its hooks has; a local hook may have anything."""
    if not all(hook in HOOKS for hook in hooks):
        return
    known = tuple(dict.fromkeys(name for hook in hooks for name in may_be_listed(hook)))
    for index, name in enumerate(listed):
        if name not in known:
            has, named = ", ".join(known) or "nothing", " or ".join(f"`{hook}`" for hook in hooks)
            problem = f"names `{name}`; beyond ids and references the hook {named} has: {has}."
            yield document.mistake(("vendor", "context", index), problem, nearest(name, known))


def _score_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """Thresholds and bands stand inside the range of the score, in the recorded unit."""
    marks: list[tuple[KeyPath, float]] = [
        (("thresholds", index, "at"), threshold.at) for index, threshold in enumerate(service.thresholds)
    ]
    marks += [
        (("bands", index, "below"), band.below)
        for index, band in enumerate(service.bands)
        if band.below is not None
    ]
    if service.vendor.score is None:
        if marks:
            yield document.mistake(marks[0][0], "needs a score: say where it stands under `vendor.score`.")
        return
    low, high = service.vendor.score.recorded_range
    for path, mark in marks:
        if not low < mark <= high:
            yield document.mistake(path, f"lies outside the score's range, {low:g} to {high:g} as recorded.")


# subgroups.yaml ---------------------------------------------------------------------------------------------


def subgroups_mistakes(document: Document, subgroups: SubgroupsFile) -> Iterator[Mistake]:
    """What does not fit together in `subgroups.yaml`, as far as no group's name is concerned."""
    listed = subgroups.attributes.listed()
    if not listed:
        yield document.mistake(("attributes",), "is empty: list at least one attribute.")
    for index, crossing in enumerate(subgroups.crossings):
        yield from _crossing_mistakes(document, ("crossings", index), crossing, listed)
    if subgroups.attributes.age_band is not None:
        yield from _band_mistakes(document, subgroups.attributes.age_band.bands)


def _crossing_mistakes(
    document: Document, path: KeyPath, crossing: list[str], listed: Mapping[str, AttributeFile]
) -> Iterator[Mistake]:
    if len(crossing) < 2 or len(set(crossing)) < len(crossing):
        yield document.mistake(path, "needs two or more different attributes.")
    for index, name in enumerate(crossing):
        if name not in listed:
            problem = f"names `{name}`, which `attributes` does not list."
            yield document.mistake((*path, index), problem, nearest(name, listed))


def _band_mistakes(document: Document, bands: list[str]) -> Iterator[Mistake]:
    try:
        AgeBands.parse(bands)
    except UnusableRule as rule:
        path: KeyPath = ("attributes", "age_band", "bands")
        if rule.label in bands:
            last = len(bands) - 1 - bands[::-1].index(rule.label)
            path = (*path, last)
        yield document.mistake(path, f"`{rule.label}` {rule.problem}")


def label_mistakes(
    document: Document, subgroups: SubgroupsFile, rules: DemographicRules
) -> Iterator[Mistake]:
    """Labels name groups that exist, fit on a card, and are there for every group that may be shown."""
    for name, attribute in subgroups.attributes.listed().items():
        yield from _attribute_label_mistakes(document, name, attribute, rules.levels(name))


def _attribute_label_mistakes(
    document: Document, name: str, attribute: AttributeFile, levels: tuple[str, ...]
) -> Iterator[Mistake]:
    path: KeyPath = ("attributes", name, "labels")
    named = set(attribute.labels)
    for level, label in attribute.labels.items():
        if level not in levels:
            near = nearest(level, levels)
            named.add(near or level)
            problem = f"is no group of `{name}`; there are: {', '.join(levels)}."
            yield document.mistake((*path, level), problem, near)
        if len(label.split()) > _LONGEST_LABEL:
            problem = f"has more than {_LONGEST_LABEL} words: it would not fit on a card."
            yield document.mistake((*path, level), problem)
    missing = [level for level in levels if level not in named]
    if attribute.display == "show" and missing:
        problem = f"must name every group, since `display` is `show`; missing: {', '.join(missing)}."
        yield document.mistake(path, problem)


# model_card.yaml --------------------------------------------------------------------------------------------


def card_mistakes(document: Document, card: CardFile) -> Iterator[Mistake]:
    """What does not fit together in `model_card.yaml`."""
    seen: set[str] = set()
    for index, row in enumerate(card.evidence.metrics):
        if row.id in seen:
            yield document.mistake(("evidence", "metrics", index, "id"), f"`{row.id}` is used twice.")
        seen.add(row.id)
        ended = row.data_ended
        if ended is not None and ended > card.evidence.as_of.year:
            path = ("evidence", "metrics", index, "data_ended")
            yield document.mistake(path, "lies after `evidence.as_of`.")


def where_mistakes(document: Document, card: CardFile, rules: DemographicRules) -> Iterator[Mistake]:
    """Every group the card speaks of is one that `subgroups.yaml` tells apart."""
    places: list[tuple[KeyPath, Mapping[str, list[str]]]] = [
        (("evidence", "metrics", index, "where"), row.where)
        for index, row in enumerate(card.evidence.metrics)
    ]
    places += [
        (("out_of_scope", "rules", index, "where"), rule.where)
        for index, rule in enumerate(card.out_of_scope.rules)
    ]
    places += [
        (("training", "demographics", index, "where"), group.where)
        for index, group in enumerate(card.training.demographics)
    ]
    places += [
        (("inputs", index, "measured_less_well", number, "where"), group.where)
        for index, one in enumerate(card.inputs)
        for number, group in enumerate(one.measured_less_well)
    ]
    for path, where in places:
        for attribute, levels in where.items():
            yield from _group_mistakes(document, (*path, attribute), levels, rules)


def _group_mistakes(
    document: Document, path: KeyPath, levels: list[str], rules: DemographicRules
) -> Iterator[Mistake]:
    attribute = str(path[-1])
    if attribute not in rules.collect:
        problem = "is no attribute that `subgroups.yaml` lists."
        yield document.mistake(path, problem, nearest(attribute, rules.collect))
        return
    known = (*rules.levels(attribute), *MISSING_LEVELS)
    for index, level in enumerate(levels):
        if level not in known:
            problem = f"names `{level}`, which is no group of `{attribute}`; there are: {', '.join(known)}."
            yield document.mistake((*path, index), problem, nearest(level, known))


# Between files ----------------------------------------------------------------------------------------------


def model_mistakes(document: Document, service: ServiceFile, card: CardFile) -> Iterator[Mistake]:
    """The service and its card speak of one model."""
    model = service.vendor.model
    if model.id != card.id:
        problem = f"is `{model.id}`, but the model card is about `{card.id}`."
        yield document.mistake(("vendor", "model", "id"), problem)


def version_mistakes(document: Document, service: ServiceFile, plan: PlanFile) -> Iterator[Mistake]:
    """The board has approved the version that was agreed on."""
    version, approved = service.vendor.model.version, plan.approved.versions
    if version not in approved:
        problem = f"`{version}` is not among the versions that plan.yaml approves: {', '.join(approved)}."
        yield document.mistake(("vendor", "model", "version"), problem, nearest(version, approved))


def limit_mistakes(document: Document, plan: PlanFile) -> Iterator[Mistake]:
    """Cut-offs that exist, with values that can be, each looked at by itself."""
    known = [limit.name for limit in fields(Limits)]
    for name, value in plan.limits.items():
        if name not in known:
            yield document.mistake(
                ("limits", name),
                f"is not a cut-off known here; there are: {', '.join(known)}.",
                nearest(name, known),
            )
            continue
        try:
            Limits.changed({name: value})
        except UnusableLimits as error:
            yield document.mistake(("limits", name), error.sentence.partition("` ")[2])


def digest_mistakes(document: Document, plan: PlanFile, digest: str) -> Iterator[Mistake]:
    """The board has approved the card that is there."""
    if plan.approved.model_card != digest:
        problem = f"is not the digest of model_card.yaml. When the board approves the card, write {digest}."
        yield document.mistake(("approved", "model_card"), problem)
