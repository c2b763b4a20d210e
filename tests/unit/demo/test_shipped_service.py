"""What the hospital's files and the demonstration must agree on, since each is written on its own."""

import csv
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cds_wrapper.demo.patient_resource import MRN_SYSTEM, POSTAL_CODES
from cds_wrapper.demo.prevent import MODEL_ID, MODEL_VERSION
from cds_wrapper.demo.prevent_inputs import TEMPLATES
from cds_wrapper.demo.refusals import Input
from cds_wrapper.demo.vendor import SERVICE_ID
from cds_wrapper.demo.vendor_card import EXTENSION

SERVICE = Path(__file__).parents[3] / "hooks" / "cvd-risk"


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((SERVICE / "service.yaml").read_text(encoding="utf-8"))
    return loaded


def test_the_queries_are_the_vendors_own_word_for_word(service: dict[str, Any]) -> None:
    assert service["prefetch"] == dict(TEMPLATES)


def test_the_vendor_stands_where_the_service_looks_for_it(service: dict[str, Any]) -> None:
    assert service["vendor"]["url"].endswith(f":8081/cds-services/{SERVICE_ID}")


def test_the_score_is_read_where_the_vendor_writes_it(service: dict[str, Any]) -> None:
    assert service["vendor"]["score"]["path"] == f'cards[0].extension."{EXTENSION}".probability'


def test_model_and_version_are_those_the_vendor_reports(service: dict[str, Any]) -> None:
    model = service["vendor"]["model"]
    assert (model["id"], model["version"]) == (MODEL_ID, MODEL_VERSION)
    assert model["version_path"] == f'cards[0].extension."{EXTENSION}".version'


def test_every_input_the_vendor_can_miss_has_a_name_for_the_card(service: dict[str, Any]) -> None:
    assert set(service["vendor"]["missing_inputs"]["names"]) == set(Input) - {Input.BMI}


def test_the_patients_carry_an_identifier_the_service_declares(service: dict[str, Any]) -> None:
    assert MRN_SYSTEM in service["identifiers"]["patient"]


def test_the_deprivation_table_knows_every_postal_code_but_one() -> None:
    lines = (SERVICE / "deprivation_synthetic.csv").read_text(encoding="utf-8").splitlines()
    table = {row[0]: row[1] for row in csv.reader(line for line in lines if not line.startswith("#"))}
    for quintile, postal_code in POSTAL_CODES.items():
        assert table.get(postal_code) == (None if quintile is None else str(quintile))
