"""Every key of the hospital's files with its meaning, read from the formats: the source of the reference."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cds_wrapper.services.card_file import CardFile, StatedFile
from cds_wrapper.services.checking import bare_type, is_model
from cds_wrapper.services.clients_file import CLIENTS_FILE, ClientsFile
from cds_wrapper.services.plan_file import PlanFile
from cds_wrapper.services.reading import CARD, FILE_NAMES, PLAN, SERVICE, SUBGROUPS
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.subgroups_file import SubgroupsFile

FILE_FORMATS: Final[Mapping[str, type[BaseModel]]] = {
    FILE_NAMES[SERVICE]: ServiceFile,
    FILE_NAMES[CARD]: CardFile,
    FILE_NAMES[SUBGROUPS]: SubgroupsFile,
    FILE_NAMES[PLAN]: PlanFile,
    CLIENTS_FILE: ClientsFile,
}
"""File name -> what it may hold."""

_PLAIN: Final[Mapping[Any, str]] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    date: "date",
    timedelta: "duration",
    Any: "anything",
}


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """One key: where it stands (`vendor.score.path`; `[]` is each item, `*` a name of the site's own).

    `value` says in words what may stand there, `needed` whether it must.
    """

    key: str
    value: str
    needed: bool
    meaning: str


def keys_of(file_format: type[BaseModel], path: str = "") -> Iterator[KeyMeaning]:
    """Every key of a format in the order of the file, each before the keys below it."""
    for name, field in file_format.model_fields.items():
        kind = bare_type(field.annotation)
        key = f"{path}{name}"
        yield KeyMeaning(key, _in_words(kind), field.is_required(), _meaning(field))
        below, suffix = _model_below(kind)
        if below is not None:
            yield from keys_of(below, f"{key}{suffix}.")


def _meaning(field: FieldInfo) -> str:
    return field.description or ""


def _model_below(kind: Any) -> tuple[type[BaseModel] | None, str]:
    """The format of the keys below a value, if it has keys of its own, and how its path goes on."""
    if is_model(kind):
        return (None, "") if kind is StatedFile else (kind, "")
    if get_origin(kind) in (list, dict):
        inner = bare_type(get_args(kind)[-1])
        return (inner, "[]" if get_origin(kind) is list else ".*") if is_model(inner) else (None, "")
    return None, ""


def _in_words(kind: Any) -> str:
    if kind is StatedFile:
        return "text, or a map of `state`, `value`, `source`"
    if is_model(kind):
        return "map"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice(member.value for member in kind)
    match get_origin(kind):
        case None:
            return _PLAIN[kind]
        case origin if origin is Literal:
            return _choice(get_args(kind))
        case origin if origin is list:
            return f"list of {_in_words(bare_type(get_args(kind)[0]))}"
        case _:
            return f"map of names to {_in_words(bare_type(get_args(kind)[1]))}"


def _choice(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in values)
