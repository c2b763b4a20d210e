"""Who pays, as Coverages say: the active ones that hold on the day, the first in order first.

Codes decide before words, and words only where the site has spelt them out in a table. No Coverage is
missing, never "uninsured": US Core allows for both readings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from cds_wrapper.patient.attributes import Attribute, Missing, unrepeated
from cds_wrapper.patient.beside import (
    ILLEGIBLE,
    BesideView,
    Illegible,
    NoResource,
    covers,
    found_in,
    no_attribute,
    value_of,
)
from cds_wrapper.patient.reading import (
    MOST_RAW_CODES,
    Statement,
    known,
    lacking,
    most_telling,
    null_reasons,
    objects,
    raw_codes,
    statement_of_concept,
)
from cds_wrapper.patient.rules import PAYER, DemographicRules, PayerElement, PayerTable

MEDICARE, MEDICAID, DUAL = "medicare", "medicaid", "dual"

# The Source of Payment Typology, whose codes go from the general to the particular: the longest beginning
# decides. 14 is the programme for people who have both Medicare and Medicaid; managed care of which nobody
# says whose it is (7) could be anybody's; 9999 says that no payer is specified.
_SOPT_SYSTEMS = frozenset(
    {
        "https://nahdo.org/sopt",
        "http://nahdo.org/sopt",
        "urn:oid:2.16.840.1.113883.3.221.5",
        "2.16.840.1.113883.3.221.5",
    }
)
_SOPT: Mapping[str, str | Missing] = {
    "1": MEDICARE,
    "14": DUAL,
    "2": MEDICAID,
    "3": "other_gov",
    "4": "other_gov",
    "5": "private",
    "6": "private",
    "7": Missing.IMPRECISE,
    "8": "other",
    "81": "self_pay",
    "9": "other",
    "9999": Missing.UNKNOWN,
}
_SOPT_CODE = re.compile(r"[1-9]\d{0,5}", re.ASCII)

# The coverage types of v3-ActCode mostly say how a policy works and not whose it is: a PPO may be an
# employer's or Medicare's.
_ACT_CODE_SYSTEMS = frozenset(
    {
        "http://terminology.hl7.org/CodeSystem/v3-ActCode",
        "http://hl7.org/fhir/v3/ActCode",
        "urn:oid:2.16.840.1.113883.5.4",
    }
)
_ACT_CODES: Mapping[str, str | Missing] = {
    **dict.fromkeys(("MILITARY", "VET", "IND"), "other_gov"),
    **dict.fromkeys(("AUTOPOL", "CHAR", "COL", "DIS", "LTC", "UNINSMOT", "WCBPOL"), "other"),
    **dict.fromkeys(
        (
            "DENTAL", "DENTPRG", "DISEASE", "DISEASEPRG", "DRUGPOL", "EHCPOL", "GOVEMP", "HIP", "HIRISK",
            "HMO", "HSAPOL", "MANDPOL", "MCPOL", "MENTPOL", "MENTPRG", "POS", "PPO", "PUBLICPOL", "RETIRE",
            "SAFNET", "SOCIAL", "SUBPOL", "SUBPRG", "SUBSIDIZ", "SUBSIDMC", "SUBSUPP", "VISPOL",
        ),
        Missing.IMPRECISE,
    ),
}  # fmt: skip
_SELF_PAY = ("http://terminology.hl7.org/CodeSystem/coverage-selfpay", "pay")

_NULL = msgspec.Raw(b"null")


class _Coverage(msgspec.Struct):
    status: msgspec.Raw = _NULL
    type: msgspec.Raw = _NULL
    period: msgspec.Raw = _NULL
    order: msgspec.Raw = _NULL
    payor: msgspec.Raw = _NULL
    insurer: msgspec.Raw = _NULL
    """Where R5 has it."""


_coverage = msgspec.json.Decoder(_Coverage)
_LAST = 2**31


@dataclass(frozen=True, slots=True, repr=False)
class _Policy:
    """One Coverage that holds: its place in order, and the payer or the reason why it names none."""

    order: int
    payer: str | Missing
    source: str | None
    raw: tuple[str, ...]
    degraded: bool


def payer(view: BesideView, on: date, rules: DemographicRules) -> Attribute:
    """The kind of payer on a day; Medicare and Medicaid together are `dual`, in whatever order.

    Several payers of the same order are `imprecise`, and so is a first page of which a second may hold more.
    """
    scheme = rules.scheme(PAYER)
    found = found_in(view, "Coverage")
    if isinstance(found, NoResource):
        return no_attribute(found, "coverage", scheme)
    read = [_policy(resource, on, rules.payers) for resource in found.resources]
    policies = sorted((one for one in read if isinstance(one, _Policy)), key=lambda one: one.order)
    raw = unrepeated(code for policy in policies for code in policy.raw)[:MOST_RAW_CODES]
    degraded = found.degraded or ILLEGIBLE in read or any(policy.degraded for policy in policies)
    dq = ["degraded"] if degraded else []
    if not policies:
        unreadable = ILLEGIBLE in read
        reason = Missing.INVALID if unreadable else Missing.ABSENT
        return lacking(reason, scheme, dq=[*dq, *([] if unreadable else ["no_active_coverage"])])
    payers = {policy.payer for policy in policies}
    if DUAL in payers or {MEDICARE, MEDICAID} <= payers:
        return known(DUAL, raw, _source(policies), dq, scheme)
    if found.truncated:
        return lacking(Missing.IMPRECISE, scheme, raw=raw, dq=[*dq, "truncated"])
    first = [policy for policy in policies if policy.order == policies[0].order]
    return _of_first(first, raw, dq, scheme)


def _of_first(first: Sequence[_Policy], raw: tuple[str, ...], dq: list[str], scheme: str) -> Attribute:
    payers = {policy.payer for policy in first if isinstance(policy.payer, str)}
    reasons = [policy.payer for policy in first if isinstance(policy.payer, Missing)]
    if len(payers) == 1:
        flags = [*dq, *(["another_payer_not_known"] if reasons else [])]
        return known(payers.pop(), raw, _source(first), flags, scheme)
    if payers:
        return lacking(Missing.IMPRECISE, scheme, raw=raw, dq=[*dq, "several_payers"])
    reason = most_telling(reasons) or Missing.ABSENT
    return lacking(reason, scheme, raw=raw, source="Coverage.type", dq=dq)


def _source(policies: Iterable[_Policy]) -> str:
    return next(policy.source for policy in policies if policy.source)


def _policy(resource: bytes, on: date, table: PayerTable | None) -> _Policy | Illegible | None:
    """A Coverage that is active and holds on the day; `ILLEGIBLE` when it cannot be read."""
    try:
        fields = _coverage.decode(resource)
    except (ValueError, RecursionError):
        return ILLEGIBLE
    status: object = value_of(fields.status)
    period, order = value_of(fields.period), value_of(fields.order)
    if status is ILLEGIBLE:
        return ILLEGIBLE
    if status != "active" or not covers(period, on):
        return None
    said = statement_of_concept(value_of(fields.type))
    payors = [value_of(fields.payor), value_of(fields.insurer)]
    displays = [display for payor in payors for display in _displays(payor)]
    ordered = isinstance(order, int) and not isinstance(order, bool) and order > 0
    payer, source = _payer(said, displays, table)
    odd = not ordered and order is not None
    malformed = period is not None and not isinstance(period, dict)
    degraded = said.degraded or odd or malformed or ILLEGIBLE in payors
    return _Policy(min(order, _LAST) if ordered else _LAST, payer, source, raw_codes(said.codes), degraded)


def _displays(payor: object) -> list[str]:
    displays = (reference.get("display") for reference in objects(payor))
    return [display for display in displays if isinstance(display, str)]


def _payer(
    said: Statement, displays: Sequence[str], table: PayerTable | None
) -> tuple[str | Missing, str | None]:
    """What the codes say, else what the site's table makes of codes and words, else why there is nothing."""
    coded = [_of_code(code.system, code.code) for code in said.codes]
    value = next((one for one in coded if isinstance(one, str)), None)
    if value is not None:
        return value, "Coverage.type"
    if table is not None:
        codes = [f"{code.system}|{code.code}" for code in said.codes]
        for element, words in (
            (PayerElement.TYPE_CODING, codes),
            (PayerElement.TYPE_TEXT, said.texts),
            (PayerElement.PAYOR_DISPLAY, displays),
        ):
            listed = (table.payers.get((element, word.strip())) for word in words)
            value = next((one for one in listed if one is not None), None)
            if value is not None:
                return value, f"Coverage.{element.value}"
    return _why_missing(said, coded, displays), None


def _of_code(system: str, code: str) -> str | Missing | None:
    if system in _SOPT_SYSTEMS and _SOPT_CODE.fullmatch(code):
        beginnings = (code[:length] for length in range(len(code), 0, -1))
        return next((_SOPT[beginning] for beginning in beginnings if beginning in _SOPT), None)
    if system in _ACT_CODE_SYSTEMS:
        return _ACT_CODES.get(code)
    return "self_pay" if (system, code) == _SELF_PAY else None


def _why_missing(said: Statement, coded: Sequence[Any], displays: Sequence[str]) -> Missing:
    reasons = [*null_reasons(said), *(one for one in coded if isinstance(one, Missing))]
    if reasons:
        return Missing.IMPRECISE if Missing.IMPRECISE in reasons else most_telling(reasons) or Missing.UNKNOWN
    if said.codes or said.degraded:
        return Missing.INVALID
    return Missing.TEXT_ONLY if any(word.strip() for word in (*said.texts, *displays)) else Missing.ABSENT
