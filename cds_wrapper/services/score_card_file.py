"""The parts of `service.yaml` that word the card of a score: `bands`, `score_card`, `time_zone`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator

from cds_wrapper.services.fields import FileModel, Name, Words, at_most_words, is_plain_address


def _a_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone that is known here, such as `America/New_York`.") from None
    return name


TimeZoneName = Annotated[Words, AfterValidator(_a_zone)]
"""A time zone by its IANA name."""


def _an_address(url: str) -> str:
    if not is_plain_address(url):
        raise ValueError("is not an http(s) address, such as https://guidelines.example.org/risk")
    return url


class CardActionFile(FileModel):
    """One thing that accepting a suggestion creates in the chart."""

    description: Words = Field(description="What is created, for the clinician: `Order: lactate, venous`.")
    resource: dict[str, Any] = Field(
        description="The FHIR R4 resource. Its texts may hold `{{context.patientId}}`,"
        " `{{context.encounterId}}` and `{{context.userId}}`."
    )

    @field_validator("resource")
    @classmethod
    def _a_resource(cls, resource: dict[str, Any]) -> dict[str, object]:
        if type(resource.get("resourceType")) is not str:
            raise ValueError("needs a `resourceType`, such as `ServiceRequest`.")
        return resource


class CardSuggestionFile(FileModel):
    """Something a clinician may take up with one click, or leave."""

    label: Annotated[Words, at_most_words(10)] = Field(description="What the button says, at most 10 words.")
    actions: list[CardActionFile] = Field(
        default_factory=list,
        max_length=10,
        description="What it creates, all of it at once; needs `cards.suggestions: pass`.",
    )


class CardLinkFile(FileModel):
    """A page that the card leads to."""

    label: Annotated[Words, at_most_words(10)] = Field(description="What the link says, at most 10 words.")
    url: Annotated[Words, AfterValidator(_an_address)] = Field(
        description="Its address; the host must be listed under `cards.link_hosts`."
    )


class BandFile(FileModel):
    """A range of scores that is spoken of by one name, and how a card speaks of it.

    Everything but `id` and `below` is for `score_card`.
    """

    id: Name = Field(description="Its name in the record.")
    below: float | None = Field(None, description="Where the next band begins; the last band has none.")
    say: Annotated[Words, at_most_words(5)] | None = Field(
        None, description="What a card calls it, at most 5 words: `medium`. It becomes `{band}`."
    )
    indicator: Literal["info", "warning", "critical"] | None = Field(
        None, description="How urgent the card of such a score is."
    )
    card: Literal["shown", "none", "if_incomplete"] = Field(
        "shown",
        description="Whether such a score has a card: `shown`, `none`, or `if_incomplete`: only where an"
        " input was missing. `none` is refused where a missing input is counted as normal.",
    )
    suggestions: list[CardSuggestionFile] = Field(
        default_factory=list, max_length=5, description="What is offered beside such a score."
    )
    selection_behavior: Literal["any", "at-most-one"] = Field(
        "any", description="How many of the suggestions may be taken up."
    )
    links: list[CardLinkFile] = Field(
        default_factory=list, max_length=5, description="Where the card of such a score leads."
    )


class NumberFile(FileModel):
    """How a score is written."""

    form: Literal["percent", "in_100", "plain"] = Field(
        description="`percent` (`12 %`) or `in_100` (`12 in 100`) for a probability, `plain` (`12`) for"
        " others.",
    )
    decimals: int = Field(
        0,
        ge=0,
        le=3,
        description="Decimals as written. More are added where rounding would put a score on the other side"
        " of a threshold or band.",
    )


class CardFlagFile(FileModel):
    """What a card says when the vendor's answer carries a flag beside the score."""

    say: Annotated[Words, at_most_words(12)] = Field(
        description="What is so, at most 12 words, as a card says it: `One measurement alone scores 3`."
    )
    at_least: Name = Field(description="The band that such a score has at least, by `id`.")


class ScoreCardFile(FileModel):
    """The card of a score, in the site's words: the score is described, nothing is ordered.

    Placeholders: `{score}`, `{band}`, `{threshold}`; in `detail` also `{missing}`, `{score_at}`, `{flags}`.
    """

    summary: Words = Field(
        description="One sentence, at most 76 characters once filled, so that the caveat's short form has"
        " room: `NEWS2 score {score} ({band})`."
    )
    detail: Words = Field(
        description="Paragraphs, a blank line between them. One that names `{missing}`, `{score_at}` or"
        " `{flags}` is left out where there is none; where no paragraph names them, a line of our own does."
    )
    number: NumberFile | None = Field(
        None, description="How the score is written; else a whole per cent, or a whole number."
    )
    flags: dict[Name, CardFlagFile] = Field(
        default_factory=dict, description="What is said of each of `vendor.flags`, by the same id."
    )
