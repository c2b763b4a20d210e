"""The section `cards:` of `service.yaml`: what of the vendor's cards may pass. By default nothing acts."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from cds_wrapper.caveats.codings import NON_ADHERENCE_REASONS
from cds_wrapper.caveats.passage import CardPolicy
from cds_wrapper.services.fields import FileModel, Words, written

_HOST: Final = re.compile(
    r"(?=.{1,253}(?::|$))[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?"
)


def _a_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise ValueError("is not a host in small letters with nothing after it, as `guidelines.example.org`.")
    return host


Host = Annotated[str, AfterValidator(_a_host)]
"""A host, and its port where that is not the usual one."""

AgreedAction = Annotated[
    str,
    written(
        r"(create|update|delete)/[A-Z][A-Za-z]+",
        "is not `create`, `update` or `delete` with a type of resource, as `update/ServiceRequest`.",
    ),
]
"""A kind of system action: `update/ServiceRequest`."""


class ReasonFile(FileModel):
    """A reason for dismissing a card."""

    code: Words = Field(description="Its code: short and lasting, since the EHR's team maps it.")
    system: Words = Field(description="The code's system, any text that names it.")
    display: Words = Field(description="What the clinician reads.")


class TopicFile(FileModel):
    """What the cards are about, for EHRs that remember overrides by it."""

    code: Words = Field(description="Its code: lasting; letters and digits only where the EHR wants it so.")
    system: Words = Field(description="The code's system, any text that names it.")
    display: Words | None = Field(None, description="What people call it.")


class SystemActionsFile(FileModel):
    """System actions: applied by the EHR without a person."""

    allow: list[AgreedAction] = Field(
        default_factory=list,
        description="Those agreed with the EHR's team, by type and resource: `update/ServiceRequest`.",
    )


class CardsFile(FileModel):
    """What of the vendor's cards may pass."""

    suggestions: Literal["hold", "pass"] = Field(
        "hold", description="Suggestions with actions: `hold` them back, or `pass` those that can be judged."
    )
    link_hosts: list[Host] = Field(
        default_factory=list,
        description="Hosts that links of the vendor may lead to; without one, its links are held back.",
    )
    override_reason_set: Literal["none", "non-adherence"] = Field(
        "none", description="Reasons for dismissal added after the vendor's: a built-in set, or none."
    )
    override_reasons: list[ReasonFile] = Field(
        default_factory=list, description="The site's own reasons for dismissal, added after all others."
    )
    topic: TopicFile | None = Field(None, description="The topic of cards to which the vendor gives none.")
    system_actions: SystemActionsFile = Field(
        default_factory=SystemActionsFile, description="System actions; held back unless they are listed."
    )


def policy_of(cards: CardsFile) -> CardPolicy:
    """The section as the rest of the house sees it."""
    own = tuple(reason.model_dump() for reason in cards.override_reasons)
    built_in = NON_ADHERENCE_REASONS if cards.override_reason_set == "non-adherence" else ()
    return CardPolicy(
        suggestions=cards.suggestions == "pass",
        link_hosts=frozenset(cards.link_hosts),
        override_reasons=(*built_in, *own),
        topic=cards.topic.model_dump(exclude_none=True) if cards.topic else None,
        system_actions=frozenset(cards.system_actions.allow),
    )
