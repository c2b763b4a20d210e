"""`subgroups.yaml`: which groups of patients are told apart, and which of them a card may name.

Written by whoever leads on equity. An attribute that is not listed is not collected.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cds_wrapper.services.fields import FileModel, Name, Words, written

DisplayName = Literal["show", "generic", "never"]
SourceName = Literal["us-core-individual-sex", "us-core-sex", "us-core-birthsex", "gender"]


class AttributeFile(FileModel):
    """What holds for every attribute."""

    core: bool = Field(description="Whether missing evidence about its groups alone makes a caveat.")
    monitor: bool = Field(description="Whether its groups are to be measured; kept for monitoring.")
    display: DisplayName = Field(
        description="On a card: `show` names the group, `generic` does not, `never` keeps figures back too."
    )
    labels: dict[str, Words] = Field(
        default_factory=dict,
        description='Group -> name that fits "in ..." and "too few ..."; every group, if `display: show`.',
    )


class AgeBandFile(AttributeFile):
    """Age in bands, at the time of the call."""

    bands: list[str] = Field(description="The bands, youngest first, without gap: `<30`, `30-39`, `80+`.")


class SexFile(AttributeFile):
    """Sex as recorded."""

    sources: list[SourceName] = Field(
        default=["us-core-individual-sex", "us-core-sex", "us-core-birthsex", "gender"],
        min_length=1,
        description="Where it may come from, best first; that of the model's training comes first.",
    )


class RaceFile(AttributeFile):
    """Race, alone or in combination (OMB categories)."""

    profile: Literal["us-core", "none"] = Field(
        "us-core", description="Whether Patients here are made to hold race: without, it is never `absent`."
    )


class RaceEthnicityFile(AttributeFile):
    """Race and ethnicity in one."""

    scheme: Literal["spd15-1997", "spd15-2024"] = Field(
        "spd15-1997", description="The edition of OMB's Statistical Policy Directive 15 that combines them."
    )


class LanguageFile(AttributeFile):
    """Preferred language."""

    languages: list[Annotated[str, written("[a-z]{2,3}", "is not a language subtag, as `es`.")]] = Field(
        default_factory=list,
        description="Told apart beside `en`, as subtags such as `es`; the rest is `other`.",
    )


class InterpreterFile(AttributeFile):
    """Whether an interpreter is needed."""

    sources: list[Literal["patient", "encounter"]] = Field(
        default=["patient"],
        min_length=1,
        description="Who may say so, best first; with `encounter` the Encounter of the call is read.",
    )


TableName = Annotated[
    str,
    written(
        r"[A-Za-z0-9][A-Za-z0-9_.-]*\.csv", "is not the name of a CSV file in this folder, as `payers.csv`."
    ),
]


class IndexFile(FileModel):
    """What a table of postal codes was made from."""

    index: Words = Field(description="The index it was made from.")
    year: int = Field(ge=1990, le=2100, description="The index's year.")
    geography: Words = Field(description="The area one row stands for.")


class TableFile(IndexFile):
    """A table of the site: postal code -> quintile of deprivation."""

    file: TableName = Field(
        description="A CSV file in the same folder, with the columns `postal_code` and `quintile` (1 to 5)."
    )


class RuralityTableFile(IndexFile):
    """A table of the site: postal code -> kind of place."""

    file: TableName = Field(
        description="A CSV file in the same folder, with the columns `postal_code` and `rurality`"
        " (`metro`, `micro` or `rural`)."
    )


class PayerTableFile(FileModel):
    """A table of the site: its own codes and words for payers."""

    file: TableName = Field(
        description="A CSV file in the same folder, with the columns `element` (`type.coding`, `type.text` or"
        " `payor.display`), `spelling` (of a coding `system|code`) and `payer`."
    )


class PayerFile(AttributeFile):
    """Kind of payer, from the patient's active Coverages."""

    table: PayerTableFile | None = Field(
        None, description="What the site's own codes and words stand for; without it, standard codes alone."
    )


class RuralityFile(AttributeFile):
    """Kind of place the patient lives in, from a table of the site."""

    table: RuralityTableFile = Field(description="The site's table.")


class DeprivationFile(AttributeFile):
    """Deprivation of the home address's area, from a table of the site."""

    table: TableFile = Field(description="The site's table.")


class AttributesFile(FileModel):
    """The attributes told apart."""

    age_band: AgeBandFile | None = Field(None, description="Age in bands.")
    sex: SexFile | None = Field(None, description="Sex as recorded.")
    race: RaceFile | None = Field(None, description="Race, alone or in combination.")
    ethnicity: AttributeFile | None = Field(None, description="Hispanic or Latino, or not.")
    race_ethnicity: RaceEthnicityFile | None = Field(None, description="Race and ethnicity in one.")
    language: LanguageFile | None = Field(None, description="Preferred language.")
    interpreter_needed: InterpreterFile | None = Field(None, description="Whether an interpreter is needed.")
    tribal_affiliation: AttributeFile | None = Field(
        None, description="Whether any tribal affiliation is on file; the tribe itself is never kept."
    )
    disability: AttributeFile | None = Field(
        None, description="Any yes to the six questions about disability, or every answer a no."
    )
    payer: PayerFile | None = Field(None, description="Kind of payer.")
    deprivation_quintile: DeprivationFile | None = Field(None, description="Deprivation of the home area.")
    rurality: RuralityFile | None = Field(None, description="Rurality of the home area.")

    def listed(self) -> dict[str, AttributeFile]:
        """Those that are written in the file, in its closed order."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if value is not None}


PlaceName = Annotated[
    str,
    written(
        r"[A-Za-z0-9][A-Za-z0-9 ._/&-]{0,39}",
        "is no name of at most 40 letters, digits, blanks and `. _ / & -`.",
    ),
]
"""A name of a place as the record has it."""


class EncounterFile(FileModel):
    """What is kept of the Encounter of the call: where the patient is, and in what setting."""

    sites: dict[str, PlaceName] = Field(
        default_factory=dict,
        description="`Organization/id`, `Location/id` or `system|value` of an identifier -> the site's name.",
    )
    units: dict[str, PlaceName] = Field(
        default_factory=dict,
        description="`Location/id` or `system|value` of an identifier -> the unit's name.",
    )
    classes: dict[str, Name] = Field(
        default_factory=dict,
        description="A class of the EHR's own, as `system|code` -> care setting; standard ones are known.",
    )
    keep_unlisted: bool = Field(
        False, description="Whether a place without a name is kept as `Type/id`; otherwise it is not kept."
    )


class QueriesFile(FileModel):
    """What the wrapper itself asks the EHR for, where its usual query does not fit."""

    coverage: Words | None = Field(None, description="Instead of the usual query for `payer`.")
    disability: Words | None = Field(None, description="Instead of the usual query for `disability`.")
    encounter: Words | None = Field(None, description="Instead of the usual read of the Encounter.")


class SubgroupsFile(FileModel):
    """Which groups of patients are told apart."""

    attributes: AttributesFile = Field(description="The attributes told apart.")
    crossings: list[list[str]] = Field(
        default_factory=list, description="Attributes that are also looked at together: `[[race, age_band]]`."
    )
    encounter: EncounterFile | None = Field(
        None, description="What is kept of the Encounter; without it none is read for its place."
    )
    queries: QueriesFile = Field(
        default_factory=QueriesFile, description="What the wrapper itself asks for, put otherwise."
    )
