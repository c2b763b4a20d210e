"""From what pydantic found wrong to mistakes a person can fix: place, words, nearest right spelling."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cds_wrapper.errors import Mistake
from cds_wrapper.services.fields import FileModel
from cds_wrapper.services.yaml_files import Document, KeyPath

_File = TypeVar("_File", bound=FileModel)
_QUOTED: Final = re.compile(r"'([^']*)'")
# What people still call it, and what it is called here.
_FORMER_NAMES: Final = {"cerner": "oracle-health"}
# How near a spelling must be to be offered: a short key with one letter too few is still found.
_NEAR: Final = 0.6


def nearest(written: str, known: Iterable[str]) -> str | None:
    """The known spelling nearest to what was written, or None when none is near.

    The same letters in another order are a slip of the fingers, and nearer than any other word.
    """
    spellings = list(known)
    swapped = (spelling for spelling in spellings if sorted(spelling) == sorted(written))
    close = difflib.get_close_matches(written, spellings, n=1, cutoff=_NEAR)
    return next(swapped, None) or next(iter(close), None)


def validate(document: Document, kind: type[_File]) -> tuple[_File | None, tuple[Mistake, ...]]:
    """Read a document as one of the file formats, and list every mistake in it."""
    try:
        return kind.model_validate_json(json.dumps(document.values)), ()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return None, _mistakes(document, kind, found)


def _mistakes(document: Document, kind: type[BaseModel], found: Iterable[Any]) -> tuple[Mistake, ...]:
    """A misspelt key is one mistake, not two: what it stood for is not reported as missing too."""
    mistakes = [(item["type"], tuple(item["loc"]), _mistake(document, kind, item)) for item in found]
    meant = {(path[:-1], found.suggestion) for kind_, path, found in mistakes if kind_ == "extra_forbidden"}
    return tuple(
        mistake
        for kind_, path, mistake in mistakes
        if kind_ != "missing" or (path[:-1], path[-1]) not in meant
    )


def _mistake(document: Document, kind: type[BaseModel], item: Mapping[str, Any]) -> Mistake:
    path: KeyPath = tuple(item["loc"])
    match item["type"]:
        case "extra_forbidden":
            return document.mistake(
                path, "is not a key known here.", nearest(str(path[-1]), keys_at(kind, path[:-1]))
            )
        case "missing":
            return document.mistake(path, "is missing.")
        case "literal_error" | "enum":
            known = _QUOTED.findall(item["ctx"]["expected"])
            written = value_at(document, path)
            near = _meant(written, known) if isinstance(written, str) else None
            return document.mistake(path, f"must be one of: {', '.join(known)}.", near)
        case _:
            return document.mistake(path, _sentence(item))


_PLAIN_WORDS = {
    "bool_type": "must be `true` or `false`.",
    "bool_parsing": "must be `true` or `false`.",
    "int_type": "must be a whole number.",
    "int_parsing": "must be a whole number.",
    "int_from_float": "must be a whole number.",
    "float_type": "must be a number.",
    "float_parsing": "must be a number.",
    "string_type": "must be a valid string. Write it in quotes.",
}


def _meant(written: str, known: list[str]) -> str | None:
    former = _FORMER_NAMES.get(written.lower())
    return former if former in known else nearest(written, known)


def _sentence(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    plain = _PLAIN_WORDS.get(str(item["type"]))
    if plain:
        return plain
    return message if message.endswith((".", "?")) else f"{message}."


def value_at(document: Document, path: KeyPath) -> object:
    """What stands at a path; None when nothing does."""
    value: object = document.values
    for part in path:
        match value, part:
            case dict(), str():
                value = value.get(part)
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                return None
    return value


def keys_at(kind: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """The keys a format knows at a path; none where keys are free."""
    here: Any = kind
    for part in path:
        here = _below(here, part)
    return tuple(here.model_fields) if is_model(here) else ()


def _below(kind: Any, part: str | int) -> Any:
    """The type under a key or index, with what only decorates it taken off."""
    if is_model(kind):
        field = kind.model_fields.get(part)
        return bare_type(field.annotation) if field else None
    arguments = get_args(kind)
    return bare_type(arguments[-1]) if arguments else None


def bare_type(kind: Any) -> Any:
    """`X | None` and `Annotated[X, ...]` as `X`."""
    while get_origin(kind) not in (list, dict, Literal, None):
        kind = next(argument for argument in get_args(kind) if argument is not type(None))
    return kind


def is_model(kind: Any) -> bool:
    """Whether a type has keys of its own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)
