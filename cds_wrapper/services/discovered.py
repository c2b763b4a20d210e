"""What a vendor asks for by its own discovery, held against `service.yaml`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.prefetch_rules import beyond_the_subset, has_stray_braces, wrong_tokens


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the vendor's prefetch keys stand to ours, by key.

    `shared`: both ask the same. `colliding`: the same key for another query, so what the EHR sends under it
    is not what the vendor asked for. `unusable`: a template that this hook cannot fill. `additional`: the
    vendor's alone. `unasked`: sent to the vendor by the file, though it does not ask for it.
    `unusual`: a query that not every EHR can answer (CDS Hooks 2.0.1, "Prefetch query restrictions").
    """

    shared: tuple[str, ...] = ()
    colliding: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()


def compare(service: ServiceDefinition, templates: Mapping[str, str]) -> Comparison:
    """Hold a vendor's templates against the service as it is in force."""
    ours = service.prefetch
    unusable = [
        key
        for key, template in templates.items()
        if any(wrong_tokens(template, service.hook, ballot=service.ballot)) or has_stray_braces(template)
    ]
    rest = [key for key in templates if key not in unusable]
    return Comparison(
        shared=tuple(key for key in rest if ours.get(key) == templates[key] and key in service.vendor.keys),
        colliding=tuple(key for key in rest if key in ours and ours[key] != templates[key]),
        unusable=tuple(unusable),
        additional=tuple(
            key
            for key in rest
            if key not in ours or (ours[key] == templates[key] and key not in service.vendor.keys)
        ),
        unasked=tuple(sorted(key for key in service.vendor.keys if key not in templates)),
        unusual=tuple(key for key in rest if any(beyond_the_subset(templates[key]))),
    )


def joined(service: ServiceDefinition, templates: Mapping[str, str]) -> ServiceDefinition:
    """The service with the vendor's templates among ours; the vendor is sent those keys and no others.

    A key that collides stays ours, and the vendor does not get it; a template that cannot be filled is left
    out.
    """
    found = compare(service, templates)
    taken = (*found.shared, *found.additional)
    prefetch = {**service.prefetch, **{key: templates[key] for key in taken}}
    keys = frozenset(taken)
    vendor = replace(service.vendor, keys=keys)
    return replace(service, prefetch=prefetch, vendor=vendor, own_keys=service.own_keys - keys)
