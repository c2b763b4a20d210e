"""Question 3: who can interpret that? Plain words, a worked example a glossary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cds_wrapper.monitoring.report.blocks import Block, Bullets, Heading, Section, Terms, Words
from cds_wrapper.monitoring.report.figures import Shown
from cds_wrapper.monitoring.report.judgement import TITLES
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import group_words
from cds_wrapper.monitoring.report.verdicts import Judged, Verdict
from cds_wrapper.monitoring.values import EVERYBODY, Measure

_GLOSSARY: Final = (
    (
        TITLES[Verdict.SHOWN],
        (
            "Enough patients have been followed here, with and without the outcome, and every limit that the"
            " board set is kept. It is a statement about the past, made on a day."
        ),
    ),
    (
        TITLES[Verdict.FALLS_SHORT],
        "A difference was found by a rule that was fixed ahead, and stands until a person closes it.",
    ),
    (
        TITLES[Verdict.NOT_KNOWN],
        (
            "Too few patients, too few outcomes learnt, or results that leave it open. It is neither good nor"
            " bad news; most groups of a small hospital stay there for years."
        ),
    ),
    ("Predicted", "How many would have the outcome if every score were right: the scores added up."),
    (
        "Seen for each predicted (O/E)",
        (
            "Outcomes that came, divided by those predicted. 1: as many as predicted. 1.5: half as many"
            " again,"
            " so scores were too low. 0.5: half as many, so scores were too high, or treatment prevented"
            " some."
        ),
    ),
    (
        "Range that chance leaves open",
        (
            "If the same patients came again, results would differ a little. The range (95 %) holds what is"
            " compatible with what was seen. A wide range means: not enough patients to say."
        ),
    ),
    ("Cases found beforehand (sensitivity)", "Of those who had the outcome, how many had been flagged."),
    ("Alerts that were right (PPV)", "Of those who were flagged, how many had the outcome."),
    (
        "Ordering (C statistic, AUROC)",
        (
            "Take one patient with the outcome and one without: how often the first had the higher score."
            " 0.50"
            " is tossing a coin, 1.00 is always."
        ),
    ),
    ("Flagged", "With a score at or above the threshold from which this hospital acts."),
    (
        "Group alone or in combination",
        "A person of two races counts in both; elsewhere everybody counts once.",
    ),
    (
        "Not represented, not reported",
        (
            "Not represented: the data are known to have had nobody of the group. Not reported: nobody"
            " told us."
            " The first is a fact, the second a gap in what we were told."
        ),
    ),
    (
        "Small numbers",
        "Counts from 1 to 10 are never shown, nor what would give them away: they could point to a person.",
    ),
)


def reading(known: Known, shown: Shown | None) -> Section:
    """The section that teaches how to read the others."""
    return Section(
        "reading", "3. Who can interpret that? How to read these figures", tuple(_blocks(known, shown))
    )


def _blocks(known: Known, shown: Shown | None) -> Iterator[Block]:
    yield Words(
        "Anybody who can say “so many out of a hundred”. Questions about the figures go to"
        f" {known.service.contact}."
    )
    chosen = _example(shown) if shown else None
    if shown and chosen:
        yield Heading("A worked example")
        yield Bullets(tuple(_worked(chosen, known, shown)))
    yield Heading("What these figures cannot show")
    yield Bullets(
        (
            "Results for a group are no reason to treat one of its members differently.",
            "A group is what is on file. It stands for what people meet with, not for what they are.",
            (
                "A patient with a high score who was treated may have been spared the outcome. It looks"
                " like a"
                " wrong score and may reflect treatment."
            ),
            "An outcome that nobody looked for is not the same as one that did not come.",
            "No finding is no certificate: small groups can hide a large difference for years (question 4).",
        )
    )
    yield Heading("Glossary")
    yield Terms(_GLOSSARY)


def _example(shown: Shown) -> Judged | None:
    """A group to explain: one with a finding, else the largest; all patients where no group can be shown."""
    groups = [one for one in shown.judged if shown.predicted_and_seen(one.figures)]
    short = [one for one in groups if one.verdict is Verdict.FALLS_SHORT]
    single = [
        one for one in groups if one.figures.group != EVERYBODY and "*" not in one.figures.group.attribute
    ]
    chosen = short or sorted(single, key=lambda one: -sum(one.figures.counts.values())) or groups
    return chosen[0] if chosen else None


def _worked(one: Judged, known: Known, shown: Shown) -> Iterator[str]:
    name = group_words(one.figures.group, known.service.scheme)
    out_of, phrase = f"{shown.out_of:,}", known.service.outcome.phrase
    both = shown.predicted_and_seen(one.figures)
    ratio = one.figures.of(Measure.OE_RATIO)
    if both is None or ratio is None or ratio.value is None:
        return
    yield (
        f"Take {out_of} {name}, as they came here."
        if one.figures.group != EVERYBODY
        else f"Take {out_of} patients."
    )
    yield f"Their scores added up say that {both[0]} would have {phrase}. In fact {both[1]} did."
    yield f"Seen for each predicted: {ratio.value:.2f}. {_meaning(ratio.value)}"
    if ratio.low is not None and ratio.high is not None:
        yield (
            f"Chance leaves open anything from {ratio.low:.2f} to {ratio.high:.2f}."
            f" {_open(ratio.low, ratio.high)}"
        )
    found = shown.share(one.figures, Measure.SENSITIVITY)
    if found[0].isdigit():
        flagged = found.split(" ")[0]
        yield f"Of {out_of} of them who had the outcome, {flagged} had been flagged; the others had not."
    yield f"So the answer for them today is: {TITLES[one.verdict].lower()}."


def _meaning(ratio: float) -> str:
    if ratio > 1:
        return f"For every 100 predicted, {round(100 * ratio)} came: scores were too low."
    return f"For every 100 predicted, {round(100 * ratio)} came: scores were too high, or treatment helped."


def _open(low: float, high: float) -> str:
    if low > 1:
        return "All of that lies above 1: more came than predicted, and chance alone does not explain it."
    if high < 1:
        return "All of that lies below 1: fewer came than predicted, and chance alone does not explain it."
    return "1 is within: this could be chance."
