"""How the readmission model is made: the fit, the figures, and that the card says what the script printed."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cds_wrapper.demo import train_readmission
from cds_wrapper.demo.logistic import NoFit, Observation, expit, fit_logistic, linear
from cds_wrapper.demo.readmission import MODEL_FILE, load_model
from cds_wrapper.demo.readmission_card import GROUPS, SMALLEST
from cds_wrapper.demo.stay_figures import (
    Figure,
    Judged,
    auroc,
    newcombe,
    observed_over_expected,
    score_limits,
    share,
    wilson,
)
from cds_wrapper.demo.stays import ELSEWHERE, HOME, read_stays, split
from cds_wrapper.demo.train_readmission import equation, main, make, model_file, report

PACKAGE = Path(train_readmission.__file__).parent

# --- the fit


def made_up(seed: int, rows: int = 4000) -> list[Observation]:
    draw = random.Random(seed)
    truth = (-1.0, 0.8, -0.5)
    made = []
    for number in range(rows):
        row = (1.0, float(draw.randrange(3)), float(draw.randrange(2)))
        made.append(Observation(row, draw.random() < expit(linear(truth, row)), number // 2))
    return made


def test_at_the_fit_the_residuals_are_orthogonal_to_every_input() -> None:
    observations = made_up(1)
    fit = fit_logistic(observations)
    for column in range(3):
        total = math.fsum(
            one.row[column] * (one.event - expit(linear(fit.coefficients, one.row))) for one in observations
        )
        assert abs(total) < 1e-7


def test_the_truth_lies_within_four_errors() -> None:
    fit = fit_logistic(made_up(2))
    for found, truth, error in zip(fit.coefficients, (-1.0, 0.8, -0.5), fit.errors, strict=True):
        assert abs(found - truth) < 4 * error
        assert 0.02 < error < 0.2


def test_one_input_of_two_values_is_the_log_odds_ratio() -> None:
    counts = {(0.0, True): 30, (0.0, False): 70, (1.0, True): 45, (1.0, False): 55}
    observations = [
        Observation((1.0, x), event, f"{x}{event}{n}")
        for (x, event), count in counts.items()
        for n in range(count)
    ]
    fit = fit_logistic(observations)
    assert fit.coefficients[0] == pytest.approx(math.log(30 / 70), abs=1e-9)
    assert fit.coefficients[1] == pytest.approx(math.log(45 / 55 * 70 / 30), abs=1e-9)
    # One row a person: the robust error is the usual one of a log odds ratio, but for G/(G-1).
    usual = math.sqrt(1 / 30 + 1 / 70 + 1 / 45 + 1 / 55)
    assert fit.errors[1] == pytest.approx(usual * math.sqrt(200 / 199), abs=1e-9)


def test_rows_said_twice_by_the_same_person_make_nothing_surer() -> None:
    once = made_up(3, 1000)
    twice = fit_logistic([*once, *once])
    assert twice.errors == pytest.approx(fit_logistic(once).errors)


def test_the_order_of_the_rows_changes_no_digit() -> None:
    observations = made_up(4, 1000)
    shuffled = random.Random(5).sample(observations, len(observations))
    assert fit_logistic(shuffled) == fit_logistic(observations)


@pytest.mark.parametrize(
    "observations",
    [
        [],
        [Observation((1.0, 2.0), n % 2 == 0, n) for n in range(10)],
        [Observation((1.0, float(n)), n > 4, n) for n in range(10)],
    ],
    ids=["nobody", "an input that does not vary", "events apart from the rest"],
)
def test_data_that_do_not_allow_a_fit_are_said_to(observations: list[Observation]) -> None:
    with pytest.raises(NoFit):
        fit_logistic(observations)


# --- the figures, against worked examples of the methods


def test_published_intervals_are_found_again() -> None:
    assert wilson(3, 11) == pytest.approx((0.097461, 0.565645), abs=1e-6)
    assert wilson(45, 50) == pytest.approx((0.786398, 0.956524), abs=1e-6)
    assert score_limits(36, 60, 16) == pytest.approx((0.442002, 0.800804), abs=1e-6)
    assert newcombe(0.85, 20, 400) == pytest.approx((0.738979, 0.915842), abs=1e-6)
    assert newcombe(1.0, 6, 40) == pytest.approx((0.813456, 1.0), abs=1e-6)
    assert newcombe(0.0, 6, 40) == pytest.approx((0.0, 0.186544), abs=1e-6)


def judged(rows: list[tuple[float, bool]], people: int) -> list[Judged]:
    return [Judged(number % people, probability, event) for number, (probability, event) in enumerate(rows)]


def test_the_area_counts_ties_half() -> None:
    rows = [(0.1, False), (0.4, False), (0.4, True), (0.8, True)]
    assert auroc(judged(rows, 4)).estimate == pytest.approx((1 + 0.5 + 1 + 1) / 4)


def test_patients_who_come_again_make_the_interval_wider() -> None:
    draw = random.Random(6)
    alone = [(draw.random(), draw.random() < 0.3) for _ in range(600)]
    again = [row for row in alone for _ in range(4)]
    by_patient = [Judged(number // 4, *row) for number, row in enumerate(again)]
    for figure in (auroc, observed_over_expected):
        once, more = figure(judged(alone, 600)), figure(by_patient)
        if_strangers = figure(judged(again, len(again)))
        assert more.estimate == pytest.approx(once.estimate)
        assert width(more) == pytest.approx(width(once), rel=0.02)
        assert width(more) > 1.5 * width(if_strangers)


def width(figure: Figure) -> float:
    return figure.high - figure.low


def test_a_share_is_hits_over_those_it_is_a_share_of() -> None:
    rows = [(0.9, True), (0.9, False), (0.2, True), (0.1, False)]
    found = share(judged(rows, 4), lambda one: one.event, lambda one: one.probability >= 0.5)
    assert (found.estimate, found.low < 0.5 < found.high) == (0.5, True)


# --- reading the file

HEADER = (
    "encounter_id,patient_nbr,race,gender,age,discharge_disposition_id,time_in_hospital,number_emergency,"
    "number_inpatient,number_diagnoses,readmitted"
)


def write(folder: Path, *lines: str) -> Path:
    file = folder / "diabetic_data.csv"
    file.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return file


def test_a_stay_is_read_as_the_model_wants_it(tmp_path: Path) -> None:
    (one,) = read_stays(write(tmp_path, "1,7,?,Female,[70-80),3,5,1,2,9,<30"))
    assert one.stay.row == (1.0, 2.0, 1.0, 5.0, 9.0, 1.0)
    assert (one.patient, one.readmitted, one.age, one.race) == ("7", True, 70, "?")


@pytest.mark.parametrize(
    ("age", "disposition", "counts"),
    [
        ("[20-30)", 1, True),
        ("[90-100)", 22, True),
        ("[10-20)", 1, False),
        ("[70-80)", 11, False),
        ("[70-80)", 18, False),
        ("[70-80)", 12, False),
    ],
)
def test_only_adults_discharged_alive_to_a_known_place_count(
    tmp_path: Path, age: str, disposition: int, counts: bool
) -> None:
    file = write(tmp_path, f"1,7,Asian,Male,{age},{disposition},5,0,0,9,NO")
    assert bool(list(read_stays(file))) is counts


def test_home_and_elsewhere_are_different_places() -> None:
    assert not HOME & ELSEWHERE
    assert not (HOME | ELSEWHERE) & {11, 13, 14, 18, 19, 20, 21, 25, 26}


def test_a_person_is_on_one_side_alone_and_half_are_on_none(tmp_path: Path) -> None:
    lines = [f"{n},{n // 3},Asian,Male,[70-80),1,5,0,0,9,NO" for n in range(3000)]
    made_from, tested_on = split(read_stays(write(tmp_path, *lines)))
    sides = {one.patient for one in made_from}, {one.patient for one in tested_on}
    assert not sides[0] & sides[1]
    assert all(200 < len(side) < 300 for side in sides)
    assert len(made_from) == 3 * len(sides[0])


def test_another_file_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    assert main([str(other)]) == 1
    assert main([str(tmp_path / "missing.csv")]) == 1
    said = capsys.readouterr().err
    assert "no column" in said
    assert "data set 296" in said


def synthetic_file(folder: Path, stays: int = 6000) -> Path:
    draw = random.Random(8)
    lines = []
    for number in range(stays):
        before, elsewhere = draw.choice((0, 0, 0, 1, 2, 5)), draw.random() < 0.3
        risk = expit(-2.5 + 0.4 * before + 0.5 * elsewhere)
        lines.append(
            f"{number},{number // 2},{draw.choice(('Caucasian', 'AfricanAmerican', 'Asian', '?'))},"
            f"{draw.choice(('Female', 'Male'))},[{draw.choice((20, 50, 70, 80))}-x),"
            f"{3 if elsewhere else 1},{draw.randint(1, 14)},{draw.choice((0, 0, 1))},{before},"
            f"{draw.randint(1, 9)},{'<30' if draw.random() < risk else 'NO'}"
        )
    return write(folder, *lines)


def test_the_script_prints_yaml_that_says_what_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = synthetic_file(tmp_path)
    assert main([str(file)]) == 1  # made from other data: not the model that is shipped
    printed = capsys.readouterr()
    assert "not those that are shipped" in printed.err
    read = YAML(typ="safe").load(printed.out)
    made = make(read_stays(file))
    assert read["evidence"]["metrics"] == made.metrics
    assert read["training"]["demographics"] == made.training
    assert list(report(make(read_stays(file)))) == list(report(made))
    assert 0.25 < made.fit.coefficients[1] < 0.55


def test_a_group_without_enough_events_has_no_figure(tmp_path: Path) -> None:
    made = make(read_stays(synthetic_file(tmp_path)))
    hispanic = [row for row in made.metrics if row["id"].startswith("hispanic")]
    assert [row["state"] for row in hispanic] == ["not_available"]
    assert "estimate" not in hispanic[0]
    assert all(row["positives"] >= SMALLEST for row in made.metrics if "estimate" in row)
    assert len({row["id"] for row in made.metrics}) == len(made.metrics) > len(GROUPS)


# --- what is shipped

DATA = Path(__file__).parents[3] / "../shared/data/real/diabetes130_dev.csv.gz"
HAS_DATA = pytest.mark.skipif(
    not DATA.exists(), reason="the public diabetes data are not beside this checkout"
)


@pytest.fixture(scope="module")
def made_again() -> Any:
    return make(read_stays(DATA))


@HAS_DATA
def test_made_again_from_the_public_data_the_model_is_the_one_that_is_shipped(made_again: Any) -> None:
    assert made_again.model == load_model()
    assert (PACKAGE / MODEL_FILE).read_bytes() == model_file(made_again.model)


@HAS_DATA
def test_the_errors_by_patient_are_those_of_another_program() -> None:
    """Figures of a logistic score in the same file, computed with statsmodels and SQL by others."""
    with_score = list(csv.DictReader(_lines()))
    rows = [
        Judged(row["patient_nbr"], float(row["score_lr"]), row["readmitted"] == "<30") for row in with_score
    ]
    area, ratio = auroc(rows), observed_over_expected(rows)
    # Their standard errors: 0.004219 and 0.012553.
    logit = (math.log(area.high / (1 - area.high)) - math.log(area.low / (1 - area.low))) / (2 * 1.959964)
    assert logit * area.estimate * (1 - area.estimate) == pytest.approx(0.004219, abs=5e-6)
    assert (ratio.high - ratio.low) / (2 * 1.959964) == pytest.approx(0.012553, rel=0.01)


def _lines() -> list[str]:
    return gzip.decompress(DATA.read_bytes()).decode().splitlines()


def test_the_printed_equation_has_the_shipped_coefficients() -> None:
    written = json.loads((PACKAGE / MODEL_FILE).read_bytes())["coefficients"]
    said = equation(load_model())
    assert all(f"{abs(value):.4f}" in said for value in written.values())
