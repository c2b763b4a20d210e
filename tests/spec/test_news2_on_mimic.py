"""NEWS2 on real, messy FHIR: the feature map and the vendor against a computation of its own.

The independent one reads the resources itself: the newest value of each code within twelve hours, in whatever
unit, no value that nobody can have; then the chart. No code of the product is used for it.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.cds import CDSRequest, read_request
from cds_wrapper.demo.open_inference import infer
from cds_wrapper.ehr.fhir import sort_prefetch
from cds_wrapper.outbound import Answer, Outbound
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.vendors.base import Prediction, VendorCall
from cds_wrapper.vendors.features import Features, Lack
from cds_wrapper.vendors.open_inference import InferenceModel, OpenInferenceVendor
from cds_wrapper.vendors.peer import VendorPeer
from cds_wrapper.vendors.score_only import BareScore
from tests.spec.news2 import independent_news2

ROOT = Path(__file__).parents[2]
MIMIC = ROOT / "../shared/data/real/mimic_iv_demo_fhir_dev.ndjson.gz"
TWELVE_HOURS = timedelta(hours=12)

pytestmark = pytest.mark.skipif(not MIMIC.exists(), reason="the MIMIC sample is not beside this checkout")

# code -> name of the row of the chart, what can be true, and what turns a written unit into the chart's
NUMBERS: dict[str, tuple[str, tuple[float, float]]] = {
    "9279-1": ("respirations", (1, 80)),
    "2708-6": ("saturation", (40, 100)),
    "59408-5": ("saturation", (40, 100)),
    "8480-6": ("systolic", (30, 300)),
    "8867-4": ("pulse", (15, 300)),
    "8310-5": ("temperature", (25, 45)),
}


@cache
def by_patient() -> dict[str, list[dict[str, Any]]]:
    """Patient -> Observations, as the file has them."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in gzip.decompress(MIMIC.read_bytes()).decode().splitlines():
        resource = json.loads(line)
        if resource["resourceType"] == "Observation":
            found[resource["subject"]["reference"].removeprefix("Patient/")].append(resource)
    return found


def moments(observations: list[dict[str, Any]]) -> list[datetime]:
    """Half an hour after each set of observations, and once when all are old."""
    times = sorted({datetime.fromisoformat(one["effectiveDateTime"]) for one in observations})
    return [time + timedelta(minutes=30) for time in times] + [times[-1] + timedelta(days=2)]


# The independent reading ------------------------------------------------------------------------------------


def seen(observations: list[dict[str, Any]], now: datetime) -> dict[str, float]:
    """What the chart would be filled in with at a moment."""
    newest: dict[str, tuple[datetime, float | None]] = {}
    for one in observations:
        taken = datetime.fromisoformat(one["effectiveDateTime"])
        if not now - TWELVE_HOURS <= taken <= now:
            continue
        for part in (one, *one.get("component", [])):
            for coding in part["code"]["coding"]:
                if coding["code"] in NUMBERS and part.get("valueQuantity"):
                    name, limits = NUMBERS[coding["code"]]
                    value = as_charted(part["valueQuantity"])
                    possible = value if limits[0] <= value <= limits[1] else None
                    if name not in newest or taken > newest[name][0]:
                        newest[name] = (taken, possible)
    return {name: value for name, (_, value) in newest.items() if value is not None}


def as_charted(quantity: dict[str, Any]) -> float:
    value = float(quantity["value"])
    return (value - 32) * 5 / 9 if quantity["code"] == "[degF]" else value


# The product's ----------------------------------------------------------------------------------------------


@cache
def service() -> ServiceDefinition:
    (definition,) = load_services(ROOT / "hooks").of("deterioration")
    return definition


def request_of(patient: str, observations: list[dict[str, Any]], now: datetime) -> CDSRequest:
    """What an EHR would send at a moment: nothing of later."""
    known = [one for one in observations if datetime.fromisoformat(one["effectiveDateTime"]) <= now]
    newest_first = sorted(known, key=lambda one: str(one["effectiveDateTime"]), reverse=True)
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": o} for o in newest_first]}
    body = {
        "hook": "encounter-start",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": patient, "encounterId": "e"},
        "prefetch": {"vitals": bundle},
    }
    return read_request(json.dumps(body).encode(), now)


def features_of(request: CDSRequest) -> Features:
    reader = service().features
    assert reader is not None
    return reader.read(request, sort_prefetch(request, service().prefetch, "patient"))


@cache
def vendor() -> OpenInferenceVendor:
    config = service().vendor
    assert isinstance(config.asking, InferenceModel)
    assert config.score is not None
    bare = BareScore(config.score, config.model, 5.0, config.stand_ins, config.flags)
    return OpenInferenceVendor(VendorPeer(config.url, 100_000, Outbound()), config.asking, bare)


def scored(features: Features) -> tuple[int, bool] | None:
    """What the vendor's own code answers to the adapter's own question; None when nothing can be asked."""
    if not features.values:
        return None
    status, answer = infer(vendor().question(features.values))
    assert status == 200
    read = vendor().read(Answer(status, json.dumps(answer).encode()), VendorCall())
    assert isinstance(read, Prediction)
    assert read.score is not None
    return int(read.score), "single_three" in read.flags


def test_every_partial_score_equals_the_independent_one(capsys: pytest.CaptureFixture[str]) -> None:
    lacks: Counter[str] = Counter()
    compared = unscored = 0
    for patient, observations in sorted(by_patient().items()):
        for now in moments(observations):
            features = features_of(request_of(patient, observations, now))
            expected = seen(observations, now)
            assert set(features.values) == set(expected)
            found = scored(features)
            assert found == (independent_news2(expected) if expected else None)
            compared += found is not None
            unscored += found is None
            lacks.update(f"{one.label}: {one.lack.value}" for one in features.missing if one.lack)
    with capsys.disabled():
        counts = "".join(f"\n  {count:>5}  {lack}" for lack, count in lacks.most_common())
        sys.stdout.write(f"\n{compared} partial scores, {unscored} moments without any value{counts}\n")
    assert compared > 300
    # Two days later nothing is recent enough, whoever the patient is.
    assert unscored >= len(by_patient())


def test_no_record_there_says_whether_somebody_is_alert_or_on_oxygen() -> None:
    """So every score on these records is a partial one, and every card has to say so."""
    for patient, observations in by_patient().items():
        features = features_of(request_of(patient, observations, moments(observations)[0]))
        assert {"alert", "on_oxygen"} <= {one.name for one in features.missing}


def test_a_temperature_that_nobody_can_have_is_missing_and_not_a_sign_of_illness() -> None:
    """One record has 31.4 degrees Fahrenheit, below freezing."""
    odd = [
        (patient, datetime.fromisoformat(one["effectiveDateTime"]))
        for patient, observations in by_patient().items()
        for one in observations
        if one.get("valueQuantity", {}).get("code") == "[degF]" and one["valueQuantity"]["value"] < 70
    ]
    assert odd
    for patient, taken in odd:
        features = features_of(request_of(patient, by_patient()[patient], taken + timedelta(minutes=1)))
        (temperature,) = (one for one in features.inputs if one.name == "temperature")
        assert temperature.lack is Lack.OUT_OF_RANGE
