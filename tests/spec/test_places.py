"""Where a call was made, case by case: what the Encounter says, and the site, unit and care setting recorded.

Only names the site has given are kept. All encounters are made up; the call is at noon on 15 June 2026.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_wrapper.patient.demographics import NoResource, Place, PlaceRules, place_of
from tests.unit.patient.neighbours import ACT_CODE, at, encounter, raw
from tests.unit.patient.patients import NOON

NAMES = PlaceRules(
    sites={"Organization/north": "north", "https://ids.example|S": "south", "Location/tower": "tower"},
    units={"Location/6w": "6W", "Location/ed": "ED"},
    classes={"urn:oid:1.2.3|13": "support"},
)
KEEPING = replace(NAMES, keep_unlisted=True)
IMP, EMER = {"system": ACT_CODE, "code": "IMP"}, {"system": ACT_CODE, "code": "EMER"}
NORTH = {"reference": "https://ehr.example/fhir/Organization/north/_history/3", "display": "North"}

PLACES = (
    (
        "a ward of the north",
        encounter(class_=IMP, serviceProvider=NORTH, location=at("Location/6w")),
        Place("north", "6W", "inpatient"),
    ),
    (
        "left the emergency room for the ward",
        encounter(
            class_=IMP, location=[*at("Location/ed", status="completed"), *at("Location/6w", status="active")]
        ),
        Place(None, "6W", "inpatient"),
    ),
    (
        "planned for the ward, still in the emergency room",
        encounter(
            class_=EMER, location=[*at("Location/6w", status="planned"), *at("Location/ed", status="active")]
        ),
        Place(None, "ED", "emergency"),
    ),
    (
        "no statuses: the one not left yet",
        encounter(location=[*at("Location/ed", period={"end": "2026-06-15"}), *at("Location/6w", period={})]),
        Place(None, "6W", None),
    ),
    (
        "a bed on a ward, both listed: the one with a name",
        encounter(location=at("Location/bed-9", "Location/6w")),
        Place(None, "6W", None),
    ),
    (
        "a site known by its identifier",
        encounter(serviceProvider={"identifier": {"system": "https://ids.example", "value": "S"}}),
        Place("south", None, None),
    ),
    ("a site known by its tower", encounter(location=at("Location/tower")), Place("tower", None, None)),
    (
        "a place nobody has named",
        encounter(
            serviceProvider={"reference": "Organization/x", "display": "Dr Who"},
            location=[{"location": {"reference": "Location/home-of", "display": "Home of Mr Smith"}}],
        ),
        Place(),
    ),
    (
        "a class of the EHR's own, listed",
        encounter(class_={"system": "urn:oid:1.2.3", "code": "13"}),
        Place(care_setting="support"),
    ),
    (
        "a class of the EHR's own, not listed",
        encounter(class_={"system": "urn:oid:1.2.3", "code": "IMP"}),
        Place(),
    ),
    (
        "observation",
        encounter(class_={"system": ACT_CODE, "code": "OBSENC"}),
        Place(care_setting="observation"),
    ),
    ("by video", encounter(class_={"system": ACT_CODE, "code": "VR"}), Place(care_setting="virtual")),
    ("at home", encounter(class_={"system": ACT_CODE, "code": "HH"}), Place(care_setting="home")),
    (
        "as R5 writes it",
        encounter(class_=[{"coding": [{"system": ACT_CODE, "code": "AMB"}]}]),
        Place(care_setting="ambulatory"),
    ),
    (
        "as STU3 wrote it",
        encounter(class_={"system": "http://hl7.org/fhir/v3/ActCode", "code": "AMB"}),
        Place(care_setting="ambulatory"),
    ),
    ("as DSTU2 wrote it", encounter(class_="outpatient"), Place(care_setting="ambulatory")),
    ("nothing at all", encounter(), Place()),
)


@pytest.mark.parametrize(("where", "came", "place"), PLACES, ids=[row[0] for row in PLACES])
def test_where_the_patient_is(where: str, came: object, place: Place) -> None:
    assert place_of(raw(came), NOON.date(), NAMES) == place, where


def test_a_place_without_a_name_is_kept_by_its_bare_id_where_the_site_wants_it_and_never_by_its_display() -> (
    None
):
    came = encounter(
        serviceProvider={"reference": "https://ehr.example/Organization/x", "display": "Dr Who"},
        location=[{"location": {"reference": "Location/h1", "display": "Home of Mr Smith"}}],
    )

    assert place_of(raw(came), NOON.date(), KEEPING) == Place("Organization/x", "Location/h1", None)
    assert place_of(None, NOON.date(), KEEPING) == place_of(NoResource.ERROR, NOON.date(), KEEPING) == Place()
