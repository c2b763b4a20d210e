"""The EHR that calls: who it is, and the habits of its product. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """What one EHR does otherwise than CDS Hooks 2.0.1 has it, as settings: a profile, some lines overridden.

    `prefetch_keys` maps the EHR's own prefetch key to ours; `service_keys` does so for single services, and
    whole. `trigger_extension` names the member of the request's `extension` that says what set the hook off.
    `content_type_extension` names the member of `card.extension` in which this EHR is told how `detail` is
    written. With `partial_acceptance` it understands `actionSelectionBehavior` (3.0 ballot). With
    `topic_state` the caveat's state is appended to `source.topic.code`, since the EHR remembers overrides by
    it. `displayed` overrides the service's own. `test_patients` are identifiers of patients who are none:
    `system|value`, `system|` for any value, or `system|ZZ*` for values that begin so.
    """

    name: str = "generic"
    prefetch_keys: Mapping[str, str] = field(default_factory=dict)
    service_keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    trigger_extension: str | None = None
    content_type_extension: str | None = None
    partial_acceptance: bool = False
    topic_state: bool = False
    displayed: str | None = None
    test_patients: frozenset[str] = frozenset()

    def keys_of(self, service_id: str) -> Mapping[str, str]:
        """The EHR's prefetch key -> ours, for the calls of one service."""
        return self.service_keys.get(service_id, self.prefetch_keys)


GENERIC = ClientProfile()


@dataclass(frozen=True, slots=True)
class TrustedClient:
    """The EHR that calls, as far as it is known.

    `environment` is `production`, `test` or `development`: a property of the issuer, not of this process.
    `services` are those it may call, None for all; `namespace` is the system of the ids in its contexts, None
    for the process's own; `trust_ms` is how long it took to recognise it. `most_at_once` is how many of its
    calls are served at one time, None for any number.
    """

    name: str
    issuer: str | None
    tenant: str | None
    environment: str
    services: frozenset[str] | None = None
    trust_ms: float | None = None
    namespace: str | None = None
    profile: ClientProfile = GENERIC
    most_at_once: int | None = None

    def may_call(self, service_id: str) -> bool:
        """Whether this client is entitled to a service of that id, if there is one."""
        return self.services is None or service_id in self.services
