"""The laboratory's columns: how each adapter is connected in YAML, and a right answer of its protocol."""

from __future__ import annotations

import enum
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cds_wrapper.services.reading import digest_of
from tests import fakes
from tests.service import laboratory_model
from tests.service.harness import NOON, ROOT

SHIPPED = ROOT / "hooks" / "cvd-risk"
NOON_WRITTEN = json.dumps(NOON.isoformat())
PATIENT = "white-55"
PLANTED: Final = laboratory_model.PLANTED
"""Stands in every body that a vendor makes up: it may turn up nowhere."""

MODULE = "laboratory_model"


class Adapter(enum.Enum):
    """Every adapter; `rest` twice, since a look-up reads other things of an answer."""

    CDS_HOOKS = "cds-hooks"
    OPEN_INFERENCE = "open-inference"
    MLFLOW = "mlflow"
    REST = "rest"
    LOOK_UP = "look-up"
    PYTHON = "python"

    @property
    def is_worded_here(self) -> bool:
        """Whether it brings a bare score, which the site words."""
        return self is not Adapter.CDS_HOOKS


class Place(enum.Enum):
    """Which of an adapter's services is asked: they differ in their address, time and guard."""

    USUAL = "usual"
    """Takes one call at a time."""
    HASTY = "hasty"
    """For what ends with the time budget: little for the vendor, much for the record."""
    REFUSED = "refused"
    NO_NAME = "no-name"
    OTHER_CA = "other-ca"
    FLAPPING = "flapping"
    """Its circuit opens after three failures, for one second."""
    SLEEPS = "sleeps"
    LOOPS = "loops"
    ENDS = "ends"
    KILLED = "killed"
    NO_IMPORT = "no-import"
    """A callable's own: what ends its process leaves another's alone."""


_CALLABLES = {Place.SLEEPS, Place.LOOPS, Place.ENDS, Place.KILLED, Place.NO_IMPORT}
_BY_HTTP = {Place.HASTY, Place.REFUSED, Place.NO_NAME, Place.OTHER_CA}


def places_of(adapter: Adapter) -> set[Place]:
    """Where an adapter is asked."""
    return set(Place) - (_BY_HTTP if adapter is Adapter.PYTHON else _CALLABLES)


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says, each as JSON writes it; None leaves it out."""

    score: str | None = "0.031"
    version: str | None = '"2023.1"'
    at: str | None = NOON_WRITTEN
    whose: str | None = f'"{PATIENT}"'
    model: str | None = '"risk"'
    output: str = '"predict_proba"'
    datatype: str = '"FP64"'
    rows: int = 1


RIGHT = Said()


def answer_of(adapter: Adapter, said: Said) -> bytes:
    """A whole body in the protocol's form."""
    match adapter:
        case Adapter.CDS_HOOKS:
            own = _object(probability=said.score, version=said.version)
            members = {name: json.dumps(value) for name, value in fakes.DEFAULT_CARD.items()}
            members["extension"] = _object(**{"org.example.prevent": own})
            return _object(cards=f"[{_object(**members)}]").encode()
        case Adapter.OPEN_INFERENCE:
            return _inferred(said)
        case Adapter.MLFLOW:
            row = f"[0.969, {said.score}]" if said.score is not None else "[0.969]"
            return f'{{"predictions": [{", ".join([row] * said.rows)}]}}'.encode()
        case Adapter.REST | Adapter.LOOK_UP:
            risk = _object(risk=said.score if said.rows == 1 else f"[{said.score}]")
            return _object(result=risk, version=said.version, at=said.at, mrn=said.whose).encode()
        case Adapter.PYTHON:
            value = said.score if said.rows == 1 else f"[{said.score}]"
            return _object(score=value, version=said.version).encode()


def _inferred(said: Said) -> bytes:
    row = ["0.969"] if said.score is None else ["0.969", said.score]
    output = _object(
        name=said.output,
        datatype=said.datatype,
        shape=f"[{said.rows}, {len(row)}]",
        data=f"[{', '.join(row * said.rows)}]",
    )
    return _object(model_name=said.model, model_version=said.version, outputs=f"[{output}]").encode()


def _object(**members: str | None) -> str:
    return "{" + ", ".join(f'"{name}": {text}' for name, text in members.items() if text is not None) + "}"


# How each is connected --------------------------------------------------------------------------------------

_MODEL = '  model: {id: prevent-base, version: "2023.1"}\n'
_NAMED = '  model: {id: prevent-base, version: "2023.1", version_path: version}\n'
_SCORE = "  score: {kind: probability, range: [0, 1]}\n"
_RISK = "  score: {path: result.risk, kind: probability, range: [0, 1]}\n"
_VENDORS: Mapping[Adapter, str] = {
    Adapter.OPEN_INFERENCE: """\
  protocol: open-inference
  url: BASE
  inference:
    model: risk
    inputs: [{name: input-0, features: [age]}]
    output: predict_proba
    column: 1
"""
    + _MODEL
    + _SCORE,
    Adapter.MLFLOW: """\
  protocol: mlflow
  url: BASE
  mlflow: {inputs: [age], column: 1}
"""
    + _MODEL
    + _SCORE,
    Adapter.REST: """\
  protocol: rest
  url: BASE/scores
  rest: {body: {age: "{age}"}}
"""
    + _NAMED
    + _RISK,
    Adapter.LOOK_UP: """\
  protocol: rest
  url: BASE/scores/{patient}
  rest:
    method: GET
    look_up: {patient: fhir-id, time: at, oldest: PT6H, echo: mrn}
"""
    + _NAMED
    + _RISK,
    Adapter.PYTHON: """\
  protocol: python
  python: {call: "CALL", folder: BASE}
"""
    + _NAMED
    + _SCORE,
}
_IMPATIENT = "time_budget: PT2.25S\nledger_reserve: PT2S\n"
_BUDGETS = dict.fromkeys((Place.HASTY, Place.SLEEPS, Place.LOOPS), _IMPATIENT)
_USUAL_BUDGET = "time_budget: PT10S\nledger_reserve: PT2S\n"
_GUARDS = {
    Place.FLAPPING: "  circuit: {failures: 3, lasting: PT0S, open_for: PT1S}",
}
_NEVER_RESTS = "  circuit: {failures: 1000}\n  most_in_flight: 1"
_FEATURES = """
features:
  age:
    label: age
    prefetch: patient
    type: Patient
    path: birthDate
    kind: elapsed
    unit: a
    if_missing: required
"""
_CARD = 'score_card: {summary: "Risk {score}, {band}", detail: "Calculated from what is on file."}\n'


def name_of(adapter: Adapter, place: Place) -> str:
    """The id of a service."""
    return f"{adapter.value}-{place.value}"


def write_service(hooks: Path, adapter: Adapter, place: Place, base: str) -> None:
    """A service of its own for one adapter, whose vendor is at `base`: an address, or a callable's folder."""
    name = name_of(adapter, place)
    folder = hooks / name
    shutil.copytree(SHIPPED, folder)
    file = folder / "service.yaml"
    before, _, rest = file.read_text().partition("vendor:\n")
    vendor, _, after = rest.partition("\n\n")
    if adapter.is_worded_here:
        call = f"{MODULE}:{'nothing' if place is Place.NO_IMPORT else 'score'}"
        vendor = _VENDORS[adapter].replace("BASE", base).replace("CALL", call).rstrip()
        after = re.sub(r"- {id: (\w+)(, below|})", r"- {id: \1, say: \1, indicator: info\2", after)
        after = after[: after.index("features:")] + after[after.index("# Cut points") :]
        after = after.replace("identifiers:", f"{_CARD}\nidentifiers:", 1)
    else:
        vendor = re.sub(r"url: \S+", f"url: {base}/cds-services/prevent", vendor)
    before = before.replace("id: cvd-risk", f"id: {name}", 1)
    before = re.sub(r"time_budget: .*\nledger_reserve: .*\n", _BUDGETS.get(place, _USUAL_BUDGET), before)
    features = _FEATURES if adapter.is_worded_here and adapter is not Adapter.LOOK_UP else ""
    _shorten_card(folder)
    file.write_text(f"{before}vendor:\n{vendor}\n{_GUARDS.get(place, _NEVER_RESTS)}\n\n{after}{features}")


def _shorten_card(folder: Path) -> None:
    """Leave the model card its first row of evidence: the others take long to read, and say nothing here."""
    card, plan = folder / "model_card.yaml", folder / "plan.yaml"
    text = card.read_text()
    first = text.index("\n    - id:", text.index("\nevidence:"))
    short = text[: text.index("\n    - id:", first + 1)] + text[text.index("\nmaintenance:") :]
    plan.write_text(plan.read_text().replace(digest_of(card.read_bytes()), digest_of(short.encode())))
    card.write_text(short)
