"""What a plain REST API is sent: a form of the site's own, filled with one patient's values. Pure.

`{name}` standing alone is an input, whatever its type. One that has no value takes with it the member or item
it stands for, and a list that would have a gap goes whole: nothing is sent as null unless the site says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cds_wrapper.vendors.score_only import Inputs

_SLOT: Final = re.compile(r"\{([A-Za-z0-9_.-]+)\}")


Place = tuple[str | int, ...]
"""Keys and positions, from the top of a JSON value."""


class BodyForm(Protocol):
    """Makes a request's body out of one patient's inputs."""

    def fill(self, inputs: Inputs) -> Any:
        """A value that JSON can hold."""
        ...


def slot_of(value: object) -> str | None:
    """The name of the input a text stands for, as `{age}`; None for what is sent as it is."""
    found = _SLOT.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


def slots_in(value: object, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every input that a form names, at any depth, behind the keys and positions that lead to it."""
    match value:
        case Mapping():
            for key, member in value.items():
                yield from slots_in(member, (*path, key))
        case list() | tuple():
            for position, item in enumerate(value):
                yield from slots_in(item, (*path, position))
        case _:
            name = slot_of(value)
            if name is not None:
                yield path, name


class _Gap:
    """Stands for what is not sent."""


_GAP: Final = _Gap()


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value as the site wrote it, with `{name}` where an input goes."""

    content: Any

    def fill(self, inputs: Inputs) -> Any:
        """The value with its inputs; `{}` when nothing of it is left."""
        filled = _filled(self.content, inputs)
        return {} if filled is _GAP else filled


def _filled(value: Any, inputs: Inputs) -> Any:
    match value:
        case dict():
            members = ((name, _filled(member, inputs)) for name, member in value.items())
            return {name: member for name, member in members if member is not _GAP}
        case list():
            items = [_filled(item, inputs) for item in value]
            return _GAP if _GAP in items else items
        case _:
            name = slot_of(value)
            return value if name is None else inputs.get(name, _GAP)


@dataclass(frozen=True, slots=True)
class AllInputs:
    """Every input under its own name, in one flat object."""

    def fill(self, inputs: Inputs) -> Any:
        """All of them."""
        return dict(inputs)


@dataclass(frozen=True, slots=True)
class Frame:
    """One row of a data frame as MLflow's scoring server reads it (`dataframe_split`): columns and values.

    `columns` is the model's own name of a column and the input it holds; one without a value is left out.
    """

    columns: Sequence[tuple[str, str]]

    def fill(self, inputs: Inputs) -> Any:
        """Two lists of one length."""
        sent = [(column, inputs[name]) for column, name in self.columns if name in inputs]
        row = [value for _, value in sent]
        return {"dataframe_split": {"columns": [column for column, _ in sent], "data": [row]}}


def records(columns: Sequence[tuple[str, str]]) -> Template:
    """The same as `dataframe_records`: a list of one object."""
    return Template({"dataframe_records": [{column: f"{{{name}}}" for column, name in columns}]})


def named_inputs(columns: Sequence[tuple[str, str]]) -> Template:
    """The same as `inputs`: a list of one value for each name."""
    return Template({"inputs": {column: [f"{{{name}}}"] for column, name in columns}})
