"""Which words are chosen, and that none of them ever says what a card must not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import product

import msgspec
import pytest

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, CaveatReason, Disposition, Reason, Scope, Side
from cds_wrapper.caveats.evidence import Direction, Evidence, Figures, Grade, LocalResult
from cds_wrapper.caveats.policy import side_of
from cds_wrapper.caveats.reason_words import Said, put_into_words
from cds_wrapper.caveats.wording import (
    WORDING_IDS,
    CaveatWords,
    OwnCard,
    Wording,
    choose_words,
    own_words,
    wording_id,
)
from cds_wrapper.patient.subgroups import AttributePolicy, Display, SubgroupScheme
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall
from tests.spec.prevent import AS_OF, MODEL, SERVICE, WORDING, policy, prediction

LABEL = "people from Ruritania"
GROUPS = {"show": ("age_band", "80+"), "generic": ("race", "ruritanian"), "never": ("tribe", "any")}
SCHEME = SubgroupScheme(
    {
        "age_band": policy("age_band", {"80+": "people aged 80 and over"}, Display.SHOW),
        "race": policy("race", {"ruritanian": LABEL}, Display.GENERIC),
        "tribe": policy("tribe", {"any": LABEL}, Display.NEVER),
    }
)
EVIDENCE = Evidence("2026-03-01.abcdef01", AS_OF, any_reported=True)
SIDES: dict[Direction | None, tuple[Side | None, ...]] = {None: (None,)}
SIDES |= {one: (side_of(one, False), side_of(one, True)) for one in Direction}


def every_reason() -> Iterator[tuple[Display, CaveatReason]]:
    """All that a reason can be: kind, scope, direction, side, display policy, figures, here or elsewhere."""
    directions = [(direction, side) for direction in SIDES for side in SIDES[direction]]
    axes = (Reason, Scope, directions, Display, (None, Figures(61, 78)), (False, True))
    for kind, scope, (direction, side), display, figures, external in product(*axes):
        group = GROUPS[display.value]
        attributes, groups = ((group[0],), (group,)) if scope is Scope.PATIENT else ((), ())
        yield (
            display,
            CaveatReason(
                kind,
                scope,
                direction,
                side,
                attributes,
                groups,
                rule_say="ages over 80",
                figures=figures,
                external=external,
            ),
        )


def put(reason: CaveatReason) -> Said:
    return put_into_words(reason, SCHEME, WORDING, SERVICE)


def choose(
    *reasons: CaveatReason,
    answered: Prediction | NoPrediction | None = None,
    evidence: Evidence = EVIDENCE,
    wording: Wording = WORDING,
    disposition: Disposition = Disposition.ANNOTATE,
    scheme: SubgroupScheme = SCHEME,
) -> CaveatWords:
    caveat = Caveat(CaveatLevel.worst(reason.level for reason in reasons), reasons)
    vendor = answered if answered is not None else prediction()
    return choose_words(caveat, disposition, vendor, evidence, scheme, wording, SERVICE)


def gap(
    direction: Direction | None = Direction.SCORES_TOO_LOW,
    side: Side | None = Side.ANY,
    group: tuple[str, str] | None = GROUPS["generic"],
    kind: Reason = Reason.KNOWN_GAP,
    figures: Figures | None = None,
) -> CaveatReason:
    attributes, groups = ((group[0],), (group,)) if group else ((), ())
    return CaveatReason(kind, Scope.PATIENT, direction, side, attributes, groups, figures=figures)


THIN = CaveatReason(Reason.THIN_EVIDENCE, Scope.MODEL)
UNKNOWN = CaveatReason(Reason.GROUP_UNKNOWN, Scope.PATIENT, attributes=("race",))
UNREPORTED = CaveatReason(
    Reason.NOT_REPORTED, Scope.PATIENT, attributes=("race",), groups=(GROUPS["generic"],)
)

SINCE_NOVEMBER = "Known since November 2025; the hospital's plan: see link."
NEVER_SAID = re.compile(
    r"\b(biased|fair|safe|validated for you|high-risk group|minority|non-compliant|should not|algorithm|AUROC"
    r"|p|this patient declined)\b",
    re.IGNORECASE,
)
A_SMALL_COUNT = re.compile(r"(?<![\d-])([1-9]|10)(?![\d-])")


def test_every_text_that_can_be_filled_keeps_the_rules() -> None:
    """No word of the list, no group where it may not be named, no count from 1 to 10, no long sentence."""
    seen = set()
    for display, reason in every_reason():
        said = put(reason)
        seen.add(said.id)
        for text in (said.line, said.short or ""):
            assert not NEVER_SAID.search(text), text
            assert not A_SMALL_COUNT.search(text), text
            assert "{" not in text, text
            if display is not Display.SHOW:
                assert "uritania" not in text.casefold(), text
            if display is Display.NEVER and reason.scope is Scope.PATIENT:
                assert not re.search(r"\d", text), text
        assert len(said.line.split()) <= 25, said.line
        assert len(re.findall(r"[.!?](?= |$)", said.line)) <= 2, said.line
        assert len(said.short or "") <= 60, said.short
        assert "people" not in (said.short or ""), "a short form never names a group"
    assert seen == set(WORDING_IDS)


def test_what_was_seen_elsewhere_says_so_in_every_form() -> None:
    for _, reason in every_reason():
        found_elsewhere = reason.external and reason.reason in {Reason.KNOWN_GAP, Reason.UNDER_REVIEW}
        if found_elsewhere and wording_id(reason) != "U3":
            assert "elsewhere" in put(reason).line.casefold()


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (gap(Direction.MISSES_MORE, Side.LOW), "G1"),
        (gap(Direction.MISSES_MORE, Side.HIGH), "G2"),
        (gap(Direction.FALSE_ALARMS_MORE, Side.HIGH), "G3"),
        (gap(Direction.FALSE_ALARMS_MORE, Side.LOW), "G4"),
        (gap(Direction.SCORES_TOO_LOW, Side.ANY), "G5"),
        (gap(Direction.SCORES_TOO_HIGH, Side.LOW), "G6"),
        (gap(Direction.SCORES_TOO_HIGH, Side.HIGH), "G7"),
        (gap(None, None), "G8"),
        (gap(Direction.MISSES_MORE, Side.LOW, kind=Reason.UNDER_REVIEW), "U1"),
        (gap(Direction.SCORES_TOO_LOW, Side.ANY, kind=Reason.UNDER_REVIEW), "U1"),
        (gap(Direction.FALSE_ALARMS_MORE, Side.LOW, kind=Reason.UNDER_REVIEW), "U2"),
        (gap(Direction.SCORES_TOO_HIGH, Side.LOW, kind=Reason.UNDER_REVIEW), "U2"),
        (gap(None, None, kind=Reason.UNDER_REVIEW), "U3"),
        (CaveatReason(Reason.OUT_OF_SCOPE, Scope.PATIENT), "S1"),
        (CaveatReason(Reason.NOT_REPRESENTED, Scope.PATIENT), "R1"),
        (UNREPORTED, "N1"),
        (CaveatReason(Reason.NOT_REPORTED, Scope.MODEL), "N2"),
        (CaveatReason(Reason.THIN_EVIDENCE, Scope.PATIENT), "T1"),
        (THIN, "T2"),
        (UNKNOWN, "K1"),
    ],
)
def test_each_reason_has_its_text(reason: CaveatReason, name: str) -> None:
    assert wording_id(reason) == name


@pytest.mark.parametrize(
    ("group", "figures", "line"),
    [
        (GROUPS["show"], Figures(20, 34), "For people aged 80 and over this score said 20 in 100 and 34 had"),
        (GROUPS["show"], None, "This score has been too low for people aged 80 and over."),
        (GROUPS["generic"], Figures(20, 34), "For similar patients this score said 20 in 100 and 34 had"),
        (GROUPS["generic"], None, "This score has been too low for similar patients."),
        (GROUPS["never"], Figures(20, 34), "This score has been too low for similar patients."),
    ],
)
def test_the_display_policy_decides_names_and_figures(
    group: tuple[str, str], figures: Figures | None, line: str
) -> None:
    assert put(gap(group=group, figures=figures)).line.startswith(line)


def test_a_crossing_follows_its_strictest_attribute_and_is_never_half_named() -> None:
    crossing = replace(gap(), attributes=("age_band", "race"), groups=(GROUPS["show"], GROUPS["generic"]))
    assert "similar patients" in put(crossing).line
    both_shown = replace(crossing, attributes=("age_band", "age_band"))
    assert "similar patients" in put(both_shown).line


def test_a_group_without_a_label_is_not_named() -> None:
    assert "similar patients" in put(gap(group=("age_band", "75-79"))).line


@pytest.mark.parametrize(
    ("group", "say", "line"),
    [
        (GROUPS["show"], "ages over 80", "The developer advises against this score for ages over 80."),
        (GROUPS["generic"], "Black adults", "This patient is outside the use the developer intended."),
        (GROUPS["generic"], "dialysis patients", "This patient is outside the use the developer intended."),
        (GROUPS["never"], "dialysis patients", "This patient is outside the use the developer intended."),
    ],
)
def test_the_developers_rule_is_said_only_where_its_group_may_be_named(
    group: tuple[str, str], say: str, line: str
) -> None:
    reason = CaveatReason(
        Reason.OUT_OF_SCOPE, Scope.PATIENT, attributes=(group[0],), groups=(group,), rule_say=say
    )
    assert put(reason).line.startswith(line)


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        (gap(Direction.MISSES_MORE, Side.LOW), "low scores miss more in similar patients"),
        (gap(Direction.MISSES_MORE, Side.HIGH), None),
        (gap(Direction.FALSE_ALARMS_MORE, Side.LOW), None),
        (gap(Direction.MISSES_MORE, Side.HIGH, kind=Reason.UNDER_REVIEW), None),
        (gap(Direction.MISSES_MORE, Side.LOW, kind=Reason.UNDER_REVIEW), "under review: may be too low"),
        (gap(Direction.SCORES_TOO_LOW, Side.ANY), "true risk may be higher for this patient"),
        (replace(gap(group=None), scope=Scope.MODEL), None),
        (THIN, None),
        (UNKNOWN, None),
        (UNREPORTED, "no results for similar patients"),
    ],
)
def test_a_summary_is_touched_only_by_what_is_specific_to_the_patient_and_matters_for_the_score(
    reason: CaveatReason, short: str | None
) -> None:
    assert choose(reason).short == short


def test_a_finding_about_everybody_names_no_group() -> None:
    reason = replace(gap(group=None), scope=Scope.MODEL)
    assert (
        put(reason).line
        == "This score has been too low for patients here. True risk may be higher than shown."
    )
    assert put(replace(reason, external=True)).line.startswith(
        "Elsewhere, this score has been too low for the"
    )


def test_at_most_two_reasons_stand_on_a_card_the_same_sentence_once() -> None:
    words = choose(gap(), replace(gap(), attributes=("race",), finding_id="outside-2"), UNREPORTED, UNKNOWN)
    assert words.wording_ids == ("G5", "N1")
    assert len(words.lines) == 2


def test_the_first_reason_with_a_short_form_gives_it() -> None:
    words = choose(gap(Direction.MISSES_MORE, Side.HIGH), UNREPORTED)
    assert words.wording_ids == ("G2", "N1")
    assert words.short == "no results for similar patients"


def test_that_nothing_was_checked_here_is_said_once() -> None:
    """As a sentence where it is all there is to say, else by the evidence line."""
    assert choose(THIN).wording_ids == ("T2",)
    words = choose(gap(), THIN)
    assert words.wording_ids == ("G5",)
    assert words.evidence_line is not None
    assert words.evidence_line.startswith("Not yet checked here.")


def checked(n: int) -> Evidence:
    return replace(EVIDENCE, local=(LocalResult({}, False, Grade.PARTIAL, False, n, ("own",)),))


@pytest.mark.parametrize(
    ("reasons", "evidence", "line"),
    [
        (
            (),
            checked(1_234),
            "Last checked here March 2026: results for similar patients were about as expected.",
        ),
        ((THIN,), EVIDENCE, "Not yet checked here."),
        ((THIN,), checked(1_234), "Last checked here March 2026, on 1,200 patients."),
        ((THIN,), checked(47), "Last checked here March 2026, on 47 patients."),
        ((THIN,), checked(10), "Not yet checked here."),
        ((UNKNOWN,), EVIDENCE, "Not yet checked here."),
        ((UNREPORTED,), EVIDENCE, "No local results yet."),
        ((gap(),), EVIDENCE, "Not yet checked here. The hospital's plan: see link."),
        (
            (replace(gap(), since=date(2025, 11, 3)),),
            checked(987_654),
            f"Last checked here March 2026, on 980,000 patients. {SINCE_NOVEMBER}",
        ),
    ],
)
def test_the_evidence_line_says_when_and_on_how_many(
    reasons: tuple[CaveatReason, ...], evidence: Evidence, line: str
) -> None:
    assert choose(*reasons, evidence=evidence).evidence_line == line


def test_only_what_reduces_trust_is_known_since_a_month() -> None:
    older = replace(gap(kind=Reason.UNDER_REVIEW), since=date(2024, 5, 1))
    words = choose(replace(gap(), since=date(2025, 11, 3)), older)
    assert words.evidence_line == f"Not yet checked here. {SINCE_NOVEMBER}"


def test_words_kept_before_a_plans_own_line_existed_are_said_as_they_were() -> None:
    kept = replace(WORDING, lines=msgspec.structs.replace(WORDING.lines, plan_link=None))
    since = "Known since March 2026; the hospital's plan: see link."
    assert choose(gap(), wording=kept).evidence_line == f"Not yet checked here. {since}"


def test_every_card_with_a_score_says_that_nobody_reviewed_it() -> None:
    line = "Calculated by PREVENT base 2023.1 (American Heart Association). Not reviewed by a person."
    assert choose().ai_line == line
    long = choose(answered=prediction(version="v" * 200 + "\n\n# headline"))
    assert long.ai_line is not None
    assert "#" not in long.ai_line


@pytest.mark.parametrize("status", list(Status))
def test_a_failure_is_a_card_that_does_not_look_like_low_risk(status: Status) -> None:
    words = choose(THIN, answered=NoPrediction(status, MODEL, VendorCall()))
    assert words.replacement is not None
    summary, detail = words.replacement
    assert "This does not mean low risk." in summary
    assert "Use your usual assessment" in detail
    expected = "not_calculated" if status is Status.MISSING_INPUT else "no_result"
    assert words.wording_ids == (expected,)
    assert words.lines == ()


@pytest.mark.parametrize(
    ("missing", "summary", "inputs"),
    [
        (("HDL cholesterol",), "not calculated, HDL cholesterol missing.", "without HDL cholesterol."),
        (("lactate", "heart rate"), "not calculated, lactate missing.", "without lactate, heart rate."),
        (("lactate", "heart rate", "pH"), "lactate missing.", "without lactate, heart rate, pH."),
        (("a", "b", "c", "d", "e", "f"), "a missing.", "without a, b, c, 3 more."),
        ((), "not calculated, input missing.", "without all its inputs."),
    ],
)
def test_missing_inputs_are_named(missing: tuple[str, ...], summary: str, inputs: str) -> None:
    words = choose(
        THIN, answered=NoPrediction(Status.MISSING_INPUT, MODEL, VendorCall(), missing_inputs=missing)
    )
    assert words.replacement is not None
    assert summary in words.replacement[0]
    assert inputs in words.replacement[1]


@pytest.mark.parametrize(
    ("disposition", "name", "summary"),
    [
        (Disposition.WITHHOLD, "withheld", "not shown for this patient. This does not mean low risk."),
        (
            Disposition.SHADOW,
            "paused",
            "is paused; scores are being checked. They are calculated, not shown.",
        ),
    ],
)
def test_a_card_that_is_not_shown_is_replaced_by_the_same_words_for_every_reason(
    disposition: Disposition, name: str, summary: str
) -> None:
    told = {choose(*reasons, disposition=disposition) for reasons in ((gap(),), (UNREPORTED,), (THIN,))}
    (words,) = told
    assert words.wording_ids == (name,)
    assert words.replacement is not None
    assert words.replacement[0].endswith(summary)


@pytest.mark.parametrize("disposition", [Disposition.ANNOTATE, Disposition.WITHHOLD])
def test_a_vendor_with_nothing_to_say_is_answered_with_nothing(disposition: Disposition) -> None:
    words = choose(THIN, answered=replace(prediction(), cards=()), disposition=disposition)
    assert (words.replacement, words.lines, words.wording_ids) == (None, (), ())


def test_a_card_in_shadow_does_not_tell_whom_the_vendor_had_something_to_say_about() -> None:
    """Whether a card stands there is the same for everybody: it would give the score away."""
    silent, speaking = (
        choose(THIN, answered=replace(prediction(), cards=cards), disposition=Disposition.SHADOW)
        for cards in ((), prediction().cards)
    )
    assert silent == speaking
    assert silent.wording_ids == ("paused",)


def test_a_long_title_is_cut_and_our_words_are_not() -> None:
    long = replace(SERVICE, title="A very long title of a service " * 8)
    for card in OwnCard:
        if card is OwnCard.STALE:
            continue
        summary, _ = own_words(card, WORDING, long, since=date(2026, 9, 30))
        assert len(summary) <= 139
        assert "…" in summary
        assert summary.endswith((".", "shown."))


def test_the_digest_tells_words_apart() -> None:
    assert choose(gap()).digest == choose(gap()).digest
    assert choose(gap()).digest != choose(UNREPORTED).digest
    assert len(choose().digest) == 64


def test_labels_of_a_policy_are_the_only_names() -> None:
    unnamed = AttributePolicy("race", core=True, monitor=True, display=Display.SHOW, labels={})
    scheme = SubgroupScheme({**SCHEME.attributes, "race": unnamed})
    assert "similar patients" in choose(gap(), scheme=scheme).lines[0]
