"""What somebody can write wrong, where it is found, and what is said about it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cds_wrapper.services.folders import read_folder
from cds_wrapper.services.reading import FILE_NAMES, SourceFile, in_order, read_service
from tests.unit.services.files import CVD_RISK, spoil

# file, what stands there, what somebody wrote instead, part of the message, the spelling offered
SERVICE = [
    ("hook: patient-view", "hook: patient-veiw", "no hook of the CDS Hooks library", "patient-view"),
    ("hook: patient-view", "hook: something", "no hook of the CDS Hooks library", None),
    ("hook: patient-view", "hook: no", "no hook of the CDS Hooks library", None),
    ("Patient/{{context.patientId}}", "Patient/{{context.patientID}}", "prefetch token", "context.patientId"),
    ("Patient/{{context.patientId}}", "Patient/{{context.draftOrders}}", "prefetch token", None),
    ("Patient/{{context.patientId}}", "Patient/{{patientId}}", "prefetch token", "context.patientId"),
    ("Patient/{{context.patientId}}", "Patient/{{context.patientId}", "braces outside", None),
    ('patient: "Patient/{{context.patientId}}"', "patient: 3", "valid string. Write it in quotes", None),
    ("\npatient: patient", "\npatient: pateint", "no key of `prefetch`", "patient"),
    ("time_budget: PT0.5S", "time_budget: 0.5", "not an ISO 8601 duration", None),
    ("time_budget: PT0.5S", "time_budget: PT0S", "more than nothing", None),
    ("time_budget: PT0.5S", "time_budget: PT11S", "at most `PT10S`", None),
    ("time_budget: PT0.5S", "time_budget: P1D", "hours, minutes and seconds", None),
    ("ledger_reserve: PT0.1S", "ledger_reserve: PT0.5S", "less than `time_budget`", None),
    ("protocol: cds-hooks", "protocol: cds-hook", "one of: cds-hooks", "cds-hooks"),
    ("protocol: cds-hooks", "protocol: grpc", "one of: cds-hooks", None),
    ("url: http://", "url: ftp://", "not an http(s) address", None),
    ("url: http://", "url: http://user:secret@", "not an http(s) address", None),
    ("path: 'cards[0].extension", "path: 'cards[0.extension", "not a JMESPath", None),
    ("path: 'issue[]", "path: 'issue[", "not a JMESPath", None),
    ("kind: probability", "kind: probabilty", "one of: probability, percent", "probability"),
    ("range: [0, 1]", "range: [0, 100]", "must lie within 0 to 1", None),
    ("range: [0, 1]", "range: [1, 0]", "from the lowest to the highest", None),
    ("range: [0, 1]", "range: [0]", "at least 2 items", None),
    ("id: prevent-base", "id: prevent", "the model card is about `prevent-base`", None),
    ('version: "2023.1"', "version: 2023.1", "Write it in quotes", None),
    ('version: "2023.1"', 'version: "2023.2"', "not among the versions", "2023.1"),
    ("hdl: HDL cholesterol", "hdl: the good kind of cholesterol today", "more than 5 words", None),
    ("name: cardiovascular disease", "name: disease of the heart", "more than 2 words", None),
    ("horizon: P10Y", "horizon: 10 years", "not an ISO 8601 duration", None),
    ("{id: treat, at: 0.075}", "{id: treat, at: 7.5}", "outside the score's range", None),
    ("{id: treat, at: 0.075}", '{id: treat, at: "0.075"}', "must be a number", None),
    ("contact: the clinical", "contacts: the clinical", "not a key known here", "contact"),
    ("on_vendor_failure: card", "on_vendor_failure: crash", "one of: card, empty, error", None),
    ("displayed: shown", "displayed: show", "one of: shown, silent, unknown", "shown"),
    ("displayed: shown", "authentication: {}", "not a key known here", None),
    ("id: cvd-risk", "id: CVD risk", "small letters, digits", None),
]
SUBGROUPS = [
    ('bands: ["<30", "30-39"', 'bands: ["<30", "29-39"', "overlaps the band before it", None),
    ('bands: ["<30", "30-39"', 'bands: ["<30", "31-39"', "leaves a gap before it", None),
    ('bands: ["<30", "30-39"', 'bands: ["<30", "30 to 39"', "is not an age band", None),
    ('"<30": people under 30', '"<31": people under 31', "no group of `age_band`", "<30"),
    ('"<30": people under 30', '"<30": people who are not yet thirty', "more than 5 words", None),
    ("female: women", "femal: women", "no group of `sex`", "female"),
    ("display: generic", "display: hide", "one of: show, generic, never", None),
    ("core: true", "core: yes", "`true` or `false`", None),
    ("profile: us-core", "profile: uscore", "one of: us-core, none", "us-core"),
    ("scheme: spd15-1997", "scheme: spd15-97", "one of: spd15-1997, spd15-2024", "spd15-1997"),
    ("sources: [us-core-individual-sex", "sources: [us-core-individual", "one of:", "us-core-individual-sex"),
    (
        "sources: [us-core-individual-sex, us-core-sex, us-core-birthsex, gender]",
        "sources: []",
        "1 item",
        None,
    ),
    ("languages: [es, zh, vi]", "languages: [es, NO]", "language subtag", None),
    ("file: deprivation_synthetic.csv", "file: ../secrets.csv", "name of a CSV file", None),
    ("file: deprivation_synthetic.csv", "file: other.csv", "not in the folder", None),
    ("  - [race, age_band]", "  - [race, age_bend]", "which `attributes` does not list", "age_band"),
    ("  - [race, age_band]", "  - [race]", "two or more different attributes", None),
]
CARD = [
    ("metric: oe_ratio", "metric: o_e_ratio", "one of: auroc", "oe_ratio"),
    ("where: {sex: [female]}", "where: {gender: [female]}", "no attribute that `subgroups.yaml` lists", None),
    ("where: {sex: [female]}", "where: {sex: [femal]}", "no group of `sex`", "female"),
    ("where: {sex: [female]}", "where: {sex: femal}", "no group of `sex`", "female"),
    ("where: {sex: [female]}", "where: {sex: []}", "names no group", None),
    ("where: {race: [black], age", "where: {race: [balck], age", "no group of `race`", "black"),
    (
        'where: {age_band: ["<30", "80+"]}',
        'where: {age_band: ["<300", "80+"]}',
        "no group of `age_band`",
        "<30",
    ),
    ("say: ages outside 30 to 79", "say: all the ages outside of 30 to 79", "more than 6 words", None),
    ("ci: [0.763, 0.809]", "ci: [0.80, 0.809]", "does not hold the estimate", None),
    ("ci: [0.763, 0.809]", "ci: [0.809, 0.763]", "from the lower to the upper", None),
    ("estimate: 0.764", "estimate: 76.4", "fraction of 1, not a per cent", None),
    ("positives: 407342", "positives: 4073420", "more than `n`", None),
    ("n: 2500291", "n: -1", "greater than or equal to 0", None),
    ("n: 2500291", "n: many", "whole number", None),
    ("as_of: 2026-06-30", "as_of: 30.6.2026", "valid date", None),
    ("as_of: 2026-06-30", "as_of: 2026-06-31", "valid date", None),
    ("data_ended: 2019", "data_ended: 2029", "after `evidence.as_of`", None),
    ("- id: derivation-men-c", "- id: derivation-women-c", "used twice", None),
    ("source: development", "source: local", "one of: development, external", None),
    ("interval_kind: iqr", "interval_kind: irq", "one of: ci, iqr, se", "iqr"),
    ("reference: rest", "reference: others", "one of: rest", None),
    ("contact: not_reported", "contact: {state: reported}", "needs a `value`", None),
    ("contact: not_reported", "contact: {state: unknown}", "one of: reported", None),
    ("is_demographic: true", "is_demographic: maybe", "`true` or `false`", None),
]
PLAN = [
    ("on_error: card", "live_since: soon\non_error: card", "not a valid date", None),
    ("on_error: card", "live_since: 2026-02-30\non_error: card", "not a valid date", None),
    ("on_error: card", "live_sicne: never\non_error: card", "not a key", "live_since"),
    ("on_error: card", "paused_card_for: 14\non_error: card", "not an ISO 8601 duration", None),
    ("on_error: card", "paused_card_for: P1M\non_error: card", "counted in weeks and days", None),
    ("on_error: card", "paused_card_for: P367D\non_error: card", "longer than 366 days", None),
    ("version: 1", "version: 0", "greater than or equal to 1", None),
    ("version: 1", "version: one", "whole number", None),
    ('versions: ["2023.1"]', "versions: []", "1 item", None),
    ("limited: annotate", "limited: anotate", "one of: annotate, withhold, shadow", "annotate"),
    ("limited: annotate", "limited: stop", "one of: annotate, withhold, shadow", None),
    ("without_ledger: withhold", "without_ledger: show", "one of: withhold", None),
    ("limits: {}", "limits: {thin_event: 5}", "not a cut-off known here", "thin_events"),
    ("limits: {}", "limits: {small_cell: 5}", "may be raised, not lowered", None),
    ("limits: {}", "limits: {tau_rest: -1}", "above 0", None),
]
CASES = [
    (kind, *case)
    for kind, cases in (
        ("service", SERVICE),
        ("subgroups", SUBGROUPS),
        ("model_card", CARD),
        ("plan", PLAN),
    )
    for case in cases
]


@pytest.mark.parametrize(("kind", "right", "wrong", "said", "offered"), CASES)
def test_a_mistake_is_found_in_its_line(
    kind: str, right: str, wrong: str, said: str, offered: str | None
) -> None:
    spoilt = spoil(kind, right, wrong)
    line = spoilt.line + (1 if right.startswith("\n") else 0)
    found = [
        one for one in spoilt.mistakes if one.file == f"cvd-risk/{FILE_NAMES[kind]}" and one.line == line
    ]
    assert [one for one in found if said in one.problem and one.suggestion == offered], spoilt.mistakes
    assert all(one.column is not None and one.column >= 1 for one in found)


def test_a_missing_key_is_reported_where_its_parent_stands() -> None:
    spoilt = spoil("service", "contact: the clinical informatics desk (demonstration)\n", "")
    assert [(one.line, one.key, one.problem) for one in spoilt.mistakes] == [(1, "contact", "is missing.")]
    spoilt = spoil("service", '    version: "2023.1"\n', "")
    assert [(one.line, one.key) for one in spoilt.mistakes] == [(spoilt.line - 2, "vendor.model.version")]


def test_a_threshold_metric_without_a_threshold_is_refused() -> None:
    spoilt = spoil("model_card", "metric: auroc", "metric: sensitivity")
    assert ["needs a `threshold`" in one.problem for one in spoilt.mistakes if "plan" not in one.file] == [
        True
    ]


def test_a_changed_card_names_the_digest_the_board_would_sign() -> None:
    spoilt = spoil("model_card", "# Model card of", "# The model card of")
    (mistake,) = spoilt.mistakes
    assert (mistake.file, mistake.key) == ("cvd-risk/plan.yaml", "approved.model_card")
    assert "write sha256:" in mistake.problem


def test_every_mistake_of_every_file_is_reported_at_once() -> None:
    folder = read_folder(CVD_RISK)
    changes = {
        "service": ("displayed: shown", "dispalyed: shown"),
        "subgroups": ("core: true", "cor: true"),
        "plan": ("on_error: card", "on_eror: card"),
        "model_card": ("estimate: 0.764", "estimate: 76.4"),
    }
    sources = {
        kind: SourceFile(kind, source.name, source.content.decode().replace(*changes[kind], 1).encode())
        for kind, source in folder.sources.items()
    }
    found = in_order(read_service(sources, folder.table).mistakes)
    assert {one.file for one in found} == {f"cvd-risk/{name}" for name in FILE_NAMES.values()}
    assert all((a.file, a.line or 0) <= (b.file, b.line or 0) for a, b in pairwise(found))


def test_no_message_repeats_a_value_that_could_be_a_secret() -> None:
    spoilt = spoil("service", "url: http://", "url: http://user:hunter2@")
    assert not [one for one in spoilt.mistakes if "hunter2" in str(one)]
