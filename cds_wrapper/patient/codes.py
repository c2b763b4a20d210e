"""Code systems and the small tables that collapse their codes; data, with no decision in it.

Codings are matched by system and code, never by display text: real data holds wrong displays and
zero-width spaces. All versions of US Core from 3.1.1 to 9 are accepted at once, and no declared profile is
looked at.

Coverage, so that nobody reads more into the tables than there is:

* Race and ethnicity: all categories of CDCREC (CDC Race and Ethnicity, `urn:oid:2.16.840.1.113883.6.238`)
  that US Core binds, and of its detailed codes those of the original numbering, 1004-1 to 2129-5 and 2500-7
  (race) and 2137-8 to 2184-0 (ethnicity). That numbering follows the hierarchy, so the table lists blocks
  of numbers; the check digit is verified. Codes added later (3000 and up, nearly all of them tribes)
  are not mapped.
* Languages: the two-letter equivalents of the ISO 639-2 codes of some fifty languages. Other three-letter
  codes stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from cds_wrapper.patient.attributes import Missing

# Systems ----------------------------------------------------------------------------------------------------

CDCREC = "urn:oid:2.16.840.1.113883.6.238"
SNOMED_CT = "http://snomed.info/sct"
ADMINISTRATIVE_GENDER = "http://hl7.org/fhir/administrative-gender"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"

# EHRs also write the value set, or the code system CDCREC replaced, where the code system belongs.
RACE_ETHNICITY_SYSTEMS = frozenset(
    {
        CDCREC,
        "2.16.840.1.113883.6.238",
        "http://terminology.hl7.org/CodeSystem/CDCREC",
        "http://terminology.hl7.org/CodeSystem/v3-Race",
        "http://terminology.hl7.org/CodeSystem/v3-Ethnicity",
        "http://hl7.org/fhir/v3/Race",
        "http://hl7.org/fhir/v3/Ethnicity",
        "http://hl7.org/fhir/us/core/ValueSet/omb-race-category",
        "http://hl7.org/fhir/us/core/ValueSet/omb-ethnicity-category",
        "http://hl7.org/fhir/us/core/ValueSet/detailed-race",
        "http://hl7.org/fhir/us/core/ValueSet/detailed-ethnicity",
        "http://hl7.org/fhir/ValueSet/v3-Race",
        "http://hl7.org/fhir/ValueSet/v3-Ethnicity",
    }
)
NULL_SYSTEMS = frozenset(
    {
        "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
        "http://terminology.hl7.org/ValueSet/v3-NullFlavor",
        "http://hl7.org/fhir/v3/NullFlavor",
        "http://hl7.org/fhir/ValueSet/v3-NullFlavor",
        "urn:oid:2.16.840.1.113883.5.1008",
        "http://terminology.hl7.org/CodeSystem/data-absent-reason",
        "http://hl7.org/fhir/data-absent-reason",
    }
)
TRIBE_SYSTEMS = frozenset(
    {
        "http://terminology.hl7.org/CodeSystem/v3-TribalEntityUS",
        "http://hl7.org/fhir/v3/TribalEntityUS",
        "urn:oid:2.16.840.1.113883.5.140",
    }
)
LANGUAGE_SYSTEMS = frozenset(
    {
        "urn:ietf:bcp:47",
        "http://hl7.org/fhir/ValueSet/languages",
        "http://hl7.org/fhir/ValueSet/all-languages",
        "http://terminology.hl7.org/CodeSystem/iso639-1",
        "http://terminology.hl7.org/CodeSystem/iso639-2",
        "http://id.loc.gov/vocabulary/iso639-1",
        "http://id.loc.gov/vocabulary/iso639-2",
        "urn:iso:std:iso:639:-1",
        "urn:iso:std:iso:639:-2",
        "urn:oid:2.16.840.1.113883.6.99",
        "urn:oid:2.16.840.1.113883.6.100",
        "urn:oid:2.16.840.1.113883.6.121",
    }
)

# Extensions -------------------------------------------------------------------------------------------------

DATA_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
RACE_EXTENSIONS = (
    US_CORE + "us-core-race",
    "http://hl7.org/fhir/StructureDefinition/us-core-race",
    "http://fhir.org/guides/argonaut/StructureDefinition/argo-race",
)
ETHNICITY_EXTENSIONS = (
    US_CORE + "us-core-ethnicity",
    "http://hl7.org/fhir/StructureDefinition/us-core-ethnicity",
    "http://fhir.org/guides/argonaut/StructureDefinition/argo-ethnicity",
)
BIRTH_SEX_EXTENSIONS = (
    US_CORE + "us-core-birthsex",
    "http://hl7.org/fhir/StructureDefinition/us-core-birthsex",
    "http://hl7.org/fhir/StructureDefinition/us-core-birth-sex",
    "http://fhir.org/guides/argonaut/StructureDefinition/argo-birthsex",
)
INTERPRETER_REQUIRED = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"

# Missing ----------------------------------------------------------------------------------------------------

# Null flavours and data-absent reasons, which share no code. A code that is not here is a code outside the
# value set: `invalid`.
NULL_CODES: Mapping[str, Missing] = {
    "UNK": Missing.UNKNOWN,
    "NI": Missing.UNKNOWN,
    "NAV": Missing.UNKNOWN,
    "ASKU": Missing.ASKED_UNKNOWN,
    "NASK": Missing.ABSENT,
    "MSK": Missing.WITHHELD,
    "unknown": Missing.UNKNOWN,
    "temp-unknown": Missing.UNKNOWN,
    "asked-unknown": Missing.ASKED_UNKNOWN,
    "asked-declined": Missing.DECLINED,
    "not-asked": Missing.ABSENT,
    "masked": Missing.WITHHELD,
    "not-permitted": Missing.WITHHELD,
    "as-text": Missing.TEXT_ONLY,
    "unsupported": Missing.NOT_CAPTURED_IN_PROFILE,
    "error": Missing.INVALID,
}

# Texts that say no more than the null code they stand beside.
EMPTY_TEXTS = frozenset(
    {
        "", "unknown", "unk", "asku", "asked but unknown", "asked but no answer", "asked but declined",
        "declined", "patient declined", "declined to answer", "declined to specify", "patient refused",
        "refused", "choose not to disclose", "prefer not to answer", "prefer not to say", "not asked",
        "not available", "not recorded", "not specified", "unspecified", "unavailable", "no information",
        "none", "n/a", "masked",
    }
)  # fmt: skip

# Race and ethnicity -----------------------------------------------------------------------------------------

OMB_RACES: Mapping[str, str] = {
    "1002-5": "aian",
    "2028-9": "asian",
    "2054-5": "black",
    "2076-8": "nhpi",
    "2106-3": "white",
    "2131-1": "other",
}
OMB_ETHNICITIES: Mapping[str, str] = {"2135-2": "hispanic", "2186-5": "not_hispanic"}

# First and last number of each block of detailed codes, check digit left off.
_RACE_BLOCKS = (
    (1004, 2027, "aian"),
    (2029, 2053, "asian"),
    (2055, 2075, "black"),
    (2077, 2105, "nhpi"),
    (2107, 2130, "white"),
    (2500, 2500, "nhpi"),
)
_HISPANIC_BLOCK = (2136, 2185)
_MIDDLE_EAST_NORTH_AFRICA_BLOCK = (2118, 2128)
_FIRST_LATER_NUMBER = 3000

_CODE = re.compile(r"([1-9]\d{3})-(\d)", re.ASCII)


def cdcrec_number(code: str) -> int | None:
    """The number of a CDCREC code, or None when the form or the check digit (mod 10) is wrong."""
    # What else stands in a Patient is kept nowhere, however it got into the place of a code.
    return _number(code) if _CODE.fullmatch(code) else None


@lru_cache(maxsize=1024)
def _number(code: str) -> int | None:
    number, _, check = code.partition("-")
    digits = [int(digit) for digit in number]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return int(number) if (doubled + sum(digits[0::2]) + int(check)) % 10 == 0 else None


def race_of_code(code: str) -> str | None:
    """The category a CDCREC race code stands for or rolls up to; None when the table does not hold it."""
    if code in OMB_RACES:
        return OMB_RACES[code]
    number = cdcrec_number(code) or 0
    return next((race for first, last, race in _RACE_BLOCKS if first <= number <= last), None)


def ethnicity_of_code(code: str) -> str | None:
    """`hispanic`, `not_hispanic`, or None when the code says nothing about ethnicity."""
    if code in OMB_ETHNICITIES:
        return OMB_ETHNICITIES[code]
    return "hispanic" if _HISPANIC_BLOCK[0] <= (cdcrec_number(code) or 0) <= _HISPANIC_BLOCK[1] else None


def is_middle_eastern_or_north_african(code: str) -> bool:
    """2118-8 and what CDCREC lists under it; 2129-5 (Arab) is its sibling there and does not count."""
    first, last = _MIDDLE_EAST_NORTH_AFRICA_BLOCK
    return first <= (cdcrec_number(code) or 0) <= last


def names_a_tribe(code: str) -> bool:
    """Whether a detailed race code may name a tribe, which is never kept: such cells are tiny."""
    if code in OMB_RACES:
        return False
    return race_of_code(code) == "aian" or (cdcrec_number(code) or 0) >= _FIRST_LATER_NUMBER


# Sex and interpreter ----------------------------------------------------------------------------------------

# Keyed by system and code; the empty system is a bare `valueCode`.
SEX_CODES: Mapping[tuple[str, str], str] = {
    (SNOMED_CT, "248152002"): "female",
    (SNOMED_CT, "248153007"): "male",
    ("", "248152002"): "female",
    ("", "248153007"): "male",
    ("", "F"): "female",
    ("", "M"): "male",
    ("", "OTH"): "other",
    ("http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender", "F"): "female",
    ("http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender", "M"): "male",
    ("http://hl7.org/fhir/v3/AdministrativeGender", "F"): "female",
    ("http://hl7.org/fhir/v3/AdministrativeGender", "M"): "male",
    ("http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "OTH"): "other",
    ("http://hl7.org/fhir/v3/NullFlavor", "OTH"): "other",
    (ADMINISTRATIVE_GENDER, "female"): "female",
    (ADMINISTRATIVE_GENDER, "male"): "male",
    (ADMINISTRATIVE_GENDER, "other"): "other",
}
INTERPRETER_CODES: Mapping[tuple[str, str], str] = {
    (SNOMED_CT, "373066001"): "yes",
    (SNOMED_CT, "373067005"): "no",
}
# SNOMED CT's own ways to say that something is not known: patient sex unknown, unknown.
UNKNOWN_CODES = frozenset({"184115007", "261665006"})


def null_reason(system: str, code: str) -> Missing | None:
    """The reason a null code gives, in any system one is written in; None for every other code."""
    if code in UNKNOWN_CODES and system in ("", SNOMED_CT):
        return Missing.UNKNOWN
    if system == ADMINISTRATIVE_GENDER:
        return Missing.UNKNOWN if code == "unknown" else None
    known = system == "" or system in NULL_SYSTEMS or system in RACE_ETHNICITY_SYSTEMS
    return NULL_CODES.get(code) if known else None


# Language ---------------------------------------------------------------------------------------------------

# ISO 639-2 (terminological and bibliographic) to ISO 639-1, as registered; BCP 47 wants the shorter one.
SHORTEST_LANGUAGE: Mapping[str, str] = {
    "alb": "sq", "amh": "am", "ara": "ar", "arm": "hy", "ben": "bn", "bos": "bs", "bul": "bg", "bur": "my",
    "ces": "cs", "chi": "zh", "cze": "cs", "deu": "de", "dut": "nl", "ell": "el", "eng": "en", "fas": "fa",
    "fin": "fi", "fra": "fr", "fre": "fr", "ger": "de", "gre": "el", "guj": "gu", "hat": "ht", "heb": "he",
    "hin": "hi", "hrv": "hr", "hun": "hu", "hye": "hy", "ind": "id", "ita": "it", "jpn": "ja", "khm": "km",
    "kor": "ko", "lao": "lo", "mal": "ml", "mar": "mr", "mya": "my", "nav": "nv", "nep": "ne", "nld": "nl",
    "nor": "no", "pan": "pa", "per": "fa", "pol": "pl", "por": "pt", "pus": "ps", "ron": "ro", "rum": "ro",
    "rus": "ru", "som": "so", "spa": "es", "sqi": "sq", "srp": "sr", "swa": "sw", "swe": "sv", "tam": "ta",
    "tel": "te", "tgl": "tl", "tha": "th", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi", "yid": "yi",
    "zho": "zh",
}  # fmt: skip

# Not a language one can be spoken to in: undetermined, no linguistic content, several, uncoded.
NOT_ONE_LANGUAGE = frozenset({"und", "zxx", "mul", "mis"})
