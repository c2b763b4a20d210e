"""`check --probe` for models that answer with a bare score: each is asked about a patient who is nobody.

What is shown can be shown: nothing of it is about anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cds_wrapper.cds import Card
from cds_wrapper.commands.made_patient import MadeInputs, made_call, made_features
from cds_wrapper.commands.try_request import NoLedger, call_alone
from cds_wrapper.errors import Mistake, Trouble
from cds_wrapper.services import ServiceCatalog, ServiceDefinition, mistake_of
from cds_wrapper.services.vendor_kinds import CDS_HOOKS, MLFLOW, OPEN_INFERENCE, PYTHON, REST
from cds_wrapper.settings import Settings
from cds_wrapper.vendor_access import VendorAccess
from cds_wrapper.vendors.base import Status
from cds_wrapper.vendors.features import InputValue
from cds_wrapper.vendors.reasons import Reason

_SHOWN: Final = (
    "reason",
    "score",
    "score_kind",
    "flagged",
    "model_version",
    "model_version_source",
    "vendor_ms",
)
_FRACTION_OF_A_PER_CENT: Final = 0.01
_WHERE_IT_STANDS: Final[Mapping[str, tuple[str, ...]]] = {
    OPEN_INFERENCE: ("vendor", "inference", "output"),
    MLFLOW: ("vendor", "mlflow"),
    PYTHON: ("vendor", "python", "call"),
}
_PLACES: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.SCORE_MAY_BE_PERCENT: ("vendor", "score", "kind"),
    Reason.SCORE_OUT_OF_RANGE: ("vendor", "score", "range"),
    Reason.UNKNOWN_MODEL: ("vendor", "inference", "model"),
    Reason.OTHER_MODEL: ("vendor", "inference", "model"),
    Reason.INPUT_UNFIT: ("vendor", "inference", "inputs"),
    Reason.TIME_UNREADABLE: ("vendor", "rest", "look_up", "time"),
}
_WHAT_IS_ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    OPEN_INFERENCE: ("vendor", "inference", "inputs"),
    MLFLOW: ("vendor", "mlflow"),
    REST: ("vendor", "rest"),
}
_NOT_UNDERSTOOD: Final = frozenset({400, 422})
_NOT_LET_IN: Final = frozenset({401, 403})
_NOT_THERE: Final = 404
_OF_THE_SCORE: Final = frozenset(
    {
        Reason.SCORE_IS_A_CLASS,
        Reason.SCORE_NOT_FOUND,
        Reason.SCORE_NOT_A_NUMBER,
        Reason.WRONG_SHAPE,
        Reason.WRONG_OUTPUT,
    }
)


@dataclass(frozen=True, slots=True)
class ModelProbe:
    """What one model was asked, what it answered, and the cards that came of it; `record` is the row."""

    service: ServiceDefinition
    sent: Mapping[str, InputValue]
    record: Mapping[str, Any]
    cards: tuple[Card, ...]

    @property
    def status(self) -> str:
        """The status that would be recorded."""
        return str(self.record.get("status", Status.ERROR.value))

    @property
    def gives_no_probability(self) -> bool:
        """Whether a class came where a probability is declared."""
        return self.record.get("reason") == Reason.SCORE_IS_A_CLASS.value

    @property
    def is_usable(self) -> bool:
        """Whether the vendor works; one that is looked up need know nobody."""
        return self.status == Status.ANSWERED.value or self.record.get("reason") == Reason.NO_SCORE_YET.value

    @property
    def mistake(self) -> Mistake | None:
        """What to mend in `service.yaml`, with its line; None when there is nothing to mend."""
        if self.is_usable:
            return None
        reason = _reason_of(self.record.get("reason"))
        place = _PLACES.get(reason) if reason else self._place_without_reason
        if reason in _OF_THE_SCORE:
            place = _WHERE_IT_STANDS.get(self.service.vendor.protocol, ("vendor", "score"))
        usual = ("vendor", "url") if self.service.vendor.url else ("vendor", "protocol")
        said = self._without_reason if reason is None else _with_reason(reason)
        return mistake_of(self.service, place or usual, said)

    @property
    def _place_without_reason(self) -> tuple[str, ...] | None:
        """What was asked, where the server did not understand it; else nothing nearer than the address."""
        is_understood = self.record.get("vendor_http_status") not in _NOT_UNDERSTOOD
        return None if is_understood else _WHAT_IS_ASKED.get(self.service.vendor.protocol)

    @property
    def _without_reason(self) -> str:
        http_status = self.record.get("vendor_http_status")
        trouble = self.record.get("reason")
        next_step = _next_step(self.status, trouble, http_status)
        why = trouble or f"HTTP {http_status or 'without answer'}"
        said = f"gives no score: `{self.status}` ({why})."
        return f"{said} {next_step}" if next_step else said

    @property
    def doubt(self) -> str | None:
        """What is allowed and looks like the other unit."""
        score, declared = self.record.get("score"), self.service.vendor.score
        if declared is None or not declared.percent or score is None or score > _FRACTION_OF_A_PER_CENT:
            return None
        return "The answer is at most 1 per cent: should `vendor.score.kind` be `probability`?"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        service, record = self.service, self.record
        sent = ", ".join(f"{name} {value}" for name, value in self.sent.items()) or "no inputs"
        lines = [
            f"Model of {service.id} on {service.hook} ({service.vendor.protocol}): {self.status}.",
            f"  A made patient: {sent}",
        ]
        if record.get("score") is not None:
            flagged = {True: "flagged", False: "not flagged", None: "no threshold"}[record.get("flagged")]
            lines.append(f"  Score {record['score']:g} ({record.get('score_kind')}), {flagged}")
        lines.append(
            f"  Model version {record.get('model_version')} (from {record.get('model_version_source')})"
        )
        if self.doubt:
            lines.append(f"  {self.doubt}")
        for card in self.cards:
            text = f"[{card.indicator}] {card.summary}\n{card.detail or ''}".replace("\n", "\n    ")
            lines.append(f"  The EHR would receive:\n    {text}")
        return lines

    def plain(self) -> dict[str, object]:
        """The same for scripts."""
        return {
            "service": self.service.id,
            "hook": self.service.hook,
            "status": self.status,
            "sent": dict(self.sent),
            **{name: self.record.get(name) for name in _SHOWN},
            "mistake": str(self.mistake) if self.mistake else None,
            "doubt": self.doubt,
            "cards": [{"summary": card.summary, "detail": card.detail} for card in self.cards],
        }


def _with_reason(reason: Reason) -> str:
    what = "probability" if reason is Reason.SCORE_IS_A_CLASS else "score"
    return f"gives no {what} (`{reason.value}`): {reason.meaning}"


def _next_step(status: str, trouble: str | None, http_status: int | None) -> str | None:
    """Where to look when the vendor gave nothing that could be judged."""
    if trouble == Trouble.TLS.value:
        return "Is the certificate for this host, and its authority under `vendor.tls.ca`?"
    if status == Status.UNREACHABLE.value:
        return "Is the server running, and are host and port right?"
    if status == Status.TIMED_OUT.value:
        return "Did the server still load its model? If not, compare `time_budget` with its usual time."
    if http_status in _NOT_UNDERSTOOD:
        return "Compare names, types and number of inputs, and of outputs, with the model's; see its own log."
    if http_status in _NOT_LET_IN:
        return "See the key or certificate under `vendor`."
    if http_status == _NOT_THERE:
        return "Compare the path of the address with the server's."
    if status == Status.FAILED.value:
        return "See the server's own log: some fail in this way when the inputs are not the model's."
    return None


def _reason_of(name: object) -> Reason | None:
    return next((reason for reason in Reason if reason.value == name), None)


async def probe_models(
    catalog: ServiceCatalog, access: VendorAccess, settings: Settings
) -> tuple[ModelProbe, ...]:
    """Ask every model that speaks no CDS Hooks once, over the network; nothing is recorded."""
    return tuple(
        [
            await _probe(service, catalog, access, settings)
            for service in catalog
            if service.vendor.protocol != CDS_HOOKS
        ]
    )


async def _probe(
    service: ServiceDefinition, catalog: ServiceCatalog, access: VendorAccess, settings: Settings
) -> ModelProbe:
    features = made_features(service)
    made = replace(service, features=MadeInputs(features))
    ledger = NoLedger()
    call = made_call(service, datetime.now(UTC))
    reply = await call_alone(call, made, catalog, settings, access, ledger)
    record = ledger.entry.plain() if ledger.entry else {}
    return ModelProbe(service, features.values, record, tuple(reply.cards))


def as_json(lists: list[dict[str, object]], models: tuple[ModelProbe, ...]) -> str:
    """Both parts of the command for scripts."""
    return json.dumps({"vendors": lists, "models": [one.plain() for one in models]}, indent=2)
