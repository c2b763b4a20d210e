"""`outcome`, `outcomes` and `episodes` of service.yaml: what is understood, and what is refused in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from cds_wrapper.services.outcome_file import EpisodesFile, EventFile, FurtherOutcomeFile, OutcomeFile
from cds_wrapper.services.outcomes import Codes, EpisodeKind, Index, OutcomeKind, Role

STAY: dict[str, Any] = {"resource": "Encounter", "where": {"class": ["IMP"]}, "at": ["period.start"]}


def problem(model: Any, **said: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(said)
    return str(caught.value.errors()[0]["msg"])


def test_an_outcome_with_its_sources_is_built() -> None:
    outcome = OutcomeFile.model_validate(
        {
            "name": "readmission",
            "horizon": "P30D",
            "lead_time": "PT6H",
            "events": [{**STAY, "unless": {"priority": ["x|EL"]}}],
            "columns": {"patient": "mrn", "at": "admitted"},
        }
    ).built()

    assert (outcome.phrase, outcome.kind, outcome.role) == ("readmission", OutcomeKind.BINARY, Role.LABEL)
    assert outcome.lead_time == timedelta(hours=6)
    assert outcome.events[0].unless == {"priority": Codes.written("x|EL")}
    assert outcome.table is not None
    assert outcome.table.at == "admitted"


def test_a_need_is_counted_and_a_cost_added_up() -> None:
    illness = FurtherOutcomeFile.model_validate(
        {"name": "illness", "horizon": "P1Y", "role": "need", "kind": "count", "columns": {"patient": "id",
         "value": "n"}}
    ).built()  # fmt: skip

    assert (illness.role, illness.kind) == (Role.NEED, OutcomeKind.COUNT)


def test_episodes_are_by_encounter_or_by_horizon() -> None:
    rule = EpisodesFile.model_validate({"kind": "encounter", "index": "maximum"}).built()

    assert (rule.kind, rule.index) == (EpisodeKind.ENCOUNTER, Index.MAXIMUM)
    assert EpisodesFile().built().kind is EpisodeKind.HORIZON


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"where": {"clas": ["IMP"]}}, "`clas` is not a coded element of Encounter"),
        ({"where": {"class": ["I*P"]}}, "behind the beginning of a code"),
        ({"where": {"class": ["*"]}}, "behind the beginning of a code"),
        ({"where": {"class": ["http://hl7.org/fhir/sid/icd-10-cm|*"]}}, "behind the beginning of a code"),
        ({"unless": {"prority": ["EL"]}}, "`prority` is not a coded element"),
        ({"at": ["period.begin"]}, "`period.begin` is not a moment of Encounter"),
        ({"above": 2.0}, "`above` needs `value`"),
    ],
)
def test_a_misspelt_element_is_refused(changed: dict[str, Any], words: str) -> None:
    assert words in problem(EventFile, **{**STAY, **changed})


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"at": "day"}, "name whose outcome a row is"),
        ({"patient": "mrn"}, "name what a row says"),
        ({"patient": "mrn", "label": "y", "state": "s"}, "name one of `label` and `state`"),
    ],
)
def test_columns_that_say_too_little_are_refused(columns: dict[str, str], words: str) -> None:
    assert words in problem(OutcomeFile, name="x", horizon="P1D", columns=columns)
