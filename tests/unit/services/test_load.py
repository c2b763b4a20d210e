"""Folders of services: what loads, what does not, and what is said about it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from cds_wrapper.caveats.plan import NEVER, OnError
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.services import (
    ServiceCatalog,
    definition_from_files,
    examine_services,
    load_problems,
    load_services,
    warnings_of,
)
from cds_wrapper.services.reading import digest_of
from tests.unit.services.files import CVD_RISK, HOOKS

Change = Callable[[Path], object]


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    shutil.copytree(CVD_RISK, tmp_path / "hooks" / "cvd-risk")
    return tmp_path / "hooks"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def sign(folder: Path) -> None:
    """Write the digest of the card into the plan, as a board does."""
    plan = folder / "plan.yaml"
    lines = plan.read_text().splitlines()
    digest = digest_of((folder / "model_card.yaml").read_bytes())
    signed = [f'  model_card: "{digest}"' if line.startswith("  model_card:") else line for line in lines]
    plan.write_text("\n".join(signed) + "\n")


@pytest.mark.parametrize(
    ("written", "live_since", "told_for"),
    [
        ("", date.min, 14),
        ("live_since: never", NEVER, 14),
        ("live_since: 2026-07-01\npaused_card_for: P2W1D", date(2026, 7, 1), 15),
        ("paused_card_for: P0D", date.min, 0),
    ],
)
def test_a_plan_says_since_when_a_service_is_seen_and_how_long_a_card_tells_of_an_order(
    written: str, live_since: date, told_for: int, hooks: Path
) -> None:
    edit(hooks / "cvd-risk" / "plan.yaml", "on_error: card", f"on_error: card\n{written}")
    (service,) = load_services(hooks)
    assert service.plan.live_since == live_since
    assert service.plan.paused_card_for == timedelta(days=told_for)


def only(mistakes: tuple[Mistake, ...]) -> Mistake:
    (mistake,) = mistakes
    return mistake


def test_what_the_repository_ships_has_no_mistake() -> None:
    assert load_problems(HOOKS) == ()
    catalog = load_services(HOOKS)
    assert [(service.id, service.hook) for service in catalog] == [
        ("cvd-risk", "patient-view"),
        ("deterioration", "encounter-start"),
        ("readmission", "encounter-discharge"),
    ]
    assert catalog.of("cvd-risk") == catalog.services[:1]
    assert catalog.of("another") == ()


def test_an_empty_folder_is_a_site_without_services(tmp_path: Path) -> None:
    assert load_services(tmp_path) == ServiceCatalog()


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    mistake = only(load_problems(tmp_path / "hoks"))
    assert "CDS_WRAPPER_HOOKS" in mistake.problem
    assert mistake.line is None


def test_hidden_folders_and_loose_files_are_left_alone(hooks: Path) -> None:
    (hooks / ".git").mkdir()
    (hooks / "README.md").write_text("about")
    assert load_problems(hooks) == ()


@pytest.mark.parametrize("name", ["service.yaml", "model_card.yaml", "subgroups.yaml", "plan.yaml"])
def test_a_missing_file_is_named(hooks: Path, name: str) -> None:
    (hooks / "cvd-risk" / name).unlink()
    mistake = only(load_problems(hooks))
    assert (mistake.file, mistake.line) == (f"cvd-risk/{name}", None)
    assert "is missing" in mistake.problem


def test_a_file_under_a_slightly_other_name_is_recognised(hooks: Path) -> None:
    (hooks / "cvd-risk" / "plan.yaml").rename(hooks / "cvd-risk" / "plan.yml")
    assert "Rename `plan.yml`?" in only(load_problems(hooks)).problem


def test_a_service_lives_in_the_folder_of_its_name(hooks: Path) -> None:
    (hooks / "cvd-risk").rename(hooks / "cvd")
    mistake = only(load_problems(hooks))
    assert (mistake.file, mistake.key) == ("cvd/service.yaml", "id")
    assert "the folder is called `cvd`" in mistake.problem


def test_every_mistake_of_every_service_is_raised_at_once(hooks: Path) -> None:
    shutil.copytree(hooks / "cvd-risk", hooks / "other")
    edit(hooks / "cvd-risk" / "plan.yaml", "on_error", "on_eror")
    edit(hooks / "other" / "service.yaml", "displayed", "dispalyed")
    with pytest.raises(ConfigurationRefused) as refused:
        load_services(hooks)
    assert [mistake.file for mistake in refused.value.mistakes] == [
        "cvd-risk/plan.yaml",
        "other/service.yaml",
    ]
    assert "cvd-risk/plan.yaml" in str(refused.value)


def test_one_wrong_service_does_not_hide_what_the_others_are(hooks: Path) -> None:
    shutil.copytree(hooks / "cvd-risk", hooks / "other")
    examined = examine_services(hooks)
    assert [service.id for service in examined.services] == ["cvd-risk"]
    assert [mistake.file for mistake in examined.mistakes] == ["other/service.yaml"]


def test_a_card_the_plan_does_not_approve_is_refused_until_it_is_signed(hooks: Path) -> None:
    folder = hooks / "cvd-risk"
    edit(folder / "model_card.yaml", "stage: Demonstration only", "stage: For demonstration only")
    assert only(load_problems(hooks)).file == "cvd-risk/plan.yaml"
    sign(folder)
    assert load_problems(hooks) == ()


@pytest.mark.parametrize(
    ("old", "new", "key", "said", "offered"),
    [
        ("wording: {}", "wording: {KK1: {never: x}}", "wording.KK1", "no text of the approved words", "K1"),
        ("wording: {}", "wording: {K1: {nevr: x}}", "wording.K1.nevr", "not a key known here", "never"),
        ("wording: {}", f"wording: {{K1: {{never: '{'word ' * 26}.'}}}}", "wording.K1.never", "25", None),
        ("wording: {}", "wording: {K1: {never: 'One. Two. Three.'}}", "wording.K1.never", "sentences", None),
        ("wording: {}", "wording: {N1: {never: 'No results in {whom}.'}}", "wording.N1.never", "who", None),
        (
            "wording: {}",
            "wording: {N1: {short: 'nothing for {who}'}}",
            "wording.N1.short",
            "placeholder",
            None,
        ),
        ("wording: {}", "wording: {N1: {never: 'A biased score.'}}", "wording.N1.never", "biased", None),
    ],
)
def test_the_boards_own_words_keep_the_limits_of_a_card(
    hooks: Path, old: str, new: str, key: str, said: str, offered: str | None
) -> None:
    edit(hooks / "cvd-risk" / "plan.yaml", old, new)
    mistake = only(load_problems(hooks))
    assert (mistake.file, mistake.key, mistake.suggestion) == ("cvd-risk/plan.yaml", key, offered)
    assert said in mistake.problem
    assert mistake.line == 17


def test_the_boards_own_words_are_used(hooks: Path) -> None:
    edit(hooks / "cvd-risk" / "plan.yaml", "wording: {}", "wording: {K1: {never: 'Could not be checked.'}}")
    (service,) = load_services(hooks)
    assert service.wording.texts["K1"].never == "Could not be checked."


def test_a_title_too_long_for_a_card_is_refused(hooks: Path) -> None:
    path = hooks / "cvd-risk" / "service.yaml"
    edit(path, "title: 10-year", "title: A very long name that nobody can read at a glance, for 10-year")
    found = load_problems(hooks)
    assert found
    assert {mistake.key for mistake in found} == {"title"}


SEVERAL = "hook: [patient-view, encounter-start, org.example.ward-round]"


def test_one_id_may_answer_several_hooks_with_the_same_files(hooks: Path) -> None:
    (alone,) = load_services(hooks)
    edit(hooks / "cvd-risk" / "service.yaml", "hook: patient-view", SEVERAL)
    catalog = load_services(hooks)
    assert [one.hook for one in catalog] == ["patient-view", "encounter-start", "org.example.ward-round"]
    assert {one.id for one in catalog} == {"cvd-risk"} and len({one.book.digest for one in catalog}) == 1
    assert catalog.of("cvd-risk") == catalog.services
    for one in catalog:
        kept = {file.kind: file.content for file in one.files if file.kind != "edition"}
        assert definition_from_files(kept, one.hook).hook == one.hook
    assert definition_from_files(kept).hook == "patient-view"
    with pytest.raises(ConfigurationRefused):
        definition_from_files(kept, "order-sign")
    book = dataclasses.replace(alone.book, edition="another")
    assert {one.book.edition for one in catalog.with_book(book)} == {"another"}


@pytest.mark.parametrize(
    ("written", "key", "said"),
    [
        ("hook: [patient-view, patient-view]", "hook[1]", "a second time"),
        ("hook: [patient-view, patient-veiw]", "hook[1]", "no hook of the CDS Hooks library"),
        ("hook: patient-veiw", "hook", "no hook of the CDS Hooks library"),
        ("hook: []", "hook", "at least 1"),
        ("hook: {a: b}", "hook", "array"),
        ("hook: [patient-view, 5]", "hook[1]", "string"),
    ],
)
def test_hooks_that_cannot_be_told_apart_or_are_none_are_refused(
    written: str, key: str, said: str, hooks: Path
) -> None:
    edit(hooks / "cvd-risk" / "service.yaml", "hook: patient-view", written)
    mistake = only(load_problems(hooks))
    assert (mistake.file, mistake.key) == ("cvd-risk/service.yaml", key)
    assert said in mistake.problem


def test_a_template_must_be_one_that_every_hook_can_fill(hooks: Path) -> None:
    path = hooks / "cvd-risk" / "service.yaml"
    edit(path, "hook: patient-view", "hook: [patient-view, order-dispatch]")
    assert only(load_problems(hooks)).key == "vendor.context"
    edit(path, "  protocol: cds-hooks", "  context: [dispatchedOrders]\n  protocol: cds-hooks")
    assert load_problems(hooks) == ()
    edit(path, "Patient/{{context.patientId}}", "Patient/{{context.patientId}}?x={{context.userId}}")
    mistake = only(load_problems(hooks))
    assert mistake.key == "prefetch.patient" and "`order-dispatch` does not offer" in mistake.problem


def test_what_the_vendor_may_see_is_something_that_one_of_the_hooks_has(hooks: Path) -> None:
    path = hooks / "cvd-risk" / "service.yaml"
    edit(path, "hook: patient-view", "hook: [patient-view, order-sign]")
    edit(path, "  protocol: cds-hooks", "  context: [draftOrders, orders]\n  protocol: cds-hooks")
    mistake = only(load_problems(hooks))
    assert mistake.key == "vendor.context[1]" and "`patient-view` or `order-sign`" in mistake.problem
    edit(path, "draftOrders, orders", "draftOrders")
    assert [one.vendor.forwarding.hook for one in load_services(hooks)] == ["patient-view", "order-sign"]


def test_a_deprecated_hook_is_worth_a_second_look(hooks: Path) -> None:
    path = hooks / "cvd-risk" / "service.yaml"
    edit(path, "hook: patient-view", "hook: [patient-view, order-review]")
    edit(path, "  protocol: cds-hooks", "  context: [orders]\n  protocol: cds-hooks")
    (warning,) = [one for one in load_services(hooks).warnings if one.key.startswith("hook")]
    assert warning.key == "hook[1]" and "order-sign" in warning.problem


def test_a_table_with_a_wrong_line_is_named(hooks: Path) -> None:
    edit(hooks / "cvd-risk" / "deprivation_synthetic.csv", "00003,3", "00003,9")
    mistake = only(load_problems(hooks))
    assert (mistake.file, mistake.line) == ("cvd-risk/deprivation_synthetic.csv", 4)


def test_bytes_that_are_not_a_service_are_refused_in_replay() -> None:
    with pytest.raises(ConfigurationRefused):
        definition_from_files({"service": b"id: x\n"})
    (service,) = load_services(HOOKS).of("cvd-risk")
    files = {file.kind: file.content for file in service.files} | {"plan": b"version: 1\n"}
    with pytest.raises(ConfigurationRefused):
        definition_from_files(files)


def test_what_is_kept_has_the_digest_of_its_bytes() -> None:
    (service,) = load_services(HOOKS).of("cvd-risk")
    assert {file.kind for file in service.files} == {
        "service", "model_card", "subgroups", "plan", "wording", "deprivation", "edition",
    }  # fmt: skip
    assert all(file.digest == digest_of(file.content) for file in service.files)
    assert service.versions.card == digest_of((CVD_RISK / "model_card.yaml").read_bytes())
    assert service.card.digest == service.versions.card


def test_what_is_left_out_has_the_documented_default(hooks: Path) -> None:
    path = hooks / "cvd-risk" / "service.yaml"
    kept, skipping = [], False
    optional = ("usage_requirements:", "ledger_reserve:", "thresholds:", "bands:", "identifiers:")
    for line in path.read_text().splitlines():
        skipping = (skipping and line.startswith((" ", "#"))) or line.startswith(optional)
        if not skipping and not line.startswith(("on_vendor_failure", "displayed")):
            kept.append(line)
    path.write_text("\n".join(kept) + "\n")
    (service,) = load_services(hooks)
    assert service.usage_requirements is None
    assert service.ledger_reserve == timedelta(milliseconds=100)
    assert (service.threshold, service.bands, service.band_of(0.5)) == (None, (), None)
    assert service.on_vendor_failure is OnError.CARD
    assert service.displayed == "unknown"


def test_the_vendor_is_sent_only_the_keys_it_asked_for(hooks: Path) -> None:
    edit(hooks / "cvd-risk" / "service.yaml", "  protocol:", "  prefetch: [lipids]\n  protocol:")
    (service,) = load_services(hooks)
    assert service.vendor.keys == {"lipids"}
    assert set(service.prefetch) > {"lipids", "patient"}


def test_a_percent_is_read_as_one(hooks: Path) -> None:
    path = hooks / "cvd-risk" / "service.yaml"
    edit(path, "kind: probability", "kind: percent")
    edit(path, "range: [0, 1]", "range: [0, 100]")
    (service,) = load_services(hooks)
    assert service.vendor.score is not None
    assert (service.vendor.score.percent, service.vendor.score.highest) == (True, 100)
    assert service.threshold == 0.075


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("url: http://", "url: http://", "vendor.url", "plain http"),
        ("&clinical-status=active", "&clinical-status:not=resolved", "prefetch.conditions", "`:not`"),
        (
            "&status=active",
            "&status=active&_include=MedicationRequest:medication",
            "prefetch.medications",
            "_inc",
        ),
        ('patient: ["urn:oid:1.2.3.4"]', "patient: []", "identifiers.patient", "is empty"),
        ("displayed: shown", "displayed: unknown", "displayed", "is `unknown`"),
    ],
)
def test_what_deserves_a_second_look_is_a_warning_and_no_mistake(
    hooks: Path, old: str, new: str, key: str, said: str
) -> None:
    edit(hooks / "cvd-risk" / "service.yaml", old, new)
    catalog = load_services(hooks)
    (warning,) = (one for one in warnings_of(catalog) if one.key == key)
    assert said in warning.problem


def test_a_figure_at_somebody_elses_threshold_is_a_warning(hooks: Path) -> None:
    card = hooks / "cvd-risk" / "model_card.yaml"
    edit(card, "metric: auroc", "metric: sensitivity\n      threshold: 0.2")
    sign(hooks / "cvd-risk")
    (warning,) = (one for one in warnings_of(load_services(hooks)) if one.key.endswith("threshold"))
    assert "speaks to nobody" in warning.problem


def test_a_board_is_told_whose_cards_will_be_marked() -> None:
    warnings = [one for one in warnings_of(load_services(HOOKS)) if one.key == "respond"]
    (warning,) = (one for one in warnings if one.file.startswith("cvd-risk"))
    assert warning.problem.startswith(
        "marks the summary of every card for age_band=<30; race=aian; race=other; sex=other; age_band=80+; "
        "age_band=30-39 with race=black."
    )


def test_a_plan_that_withholds_marks_no_summary(hooks: Path) -> None:
    plan = hooks / "cvd-risk" / "plan.yaml"
    plan.write_text(plan.read_text().replace(": annotate", ": withhold"))
    assert not [one for one in warnings_of(load_services(hooks)) if one.key == "respond"]
