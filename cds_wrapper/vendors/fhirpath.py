"""FHIRPath expressions: parsed strictly, their names checked against FHIR R4, compiled once.

The library's own parser stops at what it cannot read and says nothing, so an expression is parsed here by the
library's grammar to its very end. Loaded only where a service declares a path: see `services.feature_build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import fhirpathpy
from antlr4 import CommonTokenStream, InputStream
from antlr4.error.ErrorListener import ErrorListener
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from cds_wrapper.vendors.feature_rules import JSON, Tripped
from cds_wrapper.vendors.fhirpath_names import Fault, Model, Names, Node
from cds_wrapper.vendors.fhirpath_samples import samples

R4: Final[Mapping[str, Any]] = models["r4"]
# The libraries say nothing, or too little, about their types.
_LIBRARY: Final[Any] = fhirpathpy
_NODES: Final[Any] = ResourceNode


@dataclass(frozen=True, slots=True)
class Path:
    """A FHIRPath that can be asked.

    `types` are the FHIR types it may give, empty where that is not known. `steps` are its members where it
    has nothing else in it: these are read without the library, which gives the same.
    """

    text: str
    types: frozenset[str]
    steps: tuple[str, ...]
    compiled: Any

    def __call__(self, element: JSON, resource: JSON, now: datetime) -> list[Any] | Tripped:
        """What it gives for an element of a resource at the moment of a call."""
        if self.steps:
            return _walked(element, self.steps)
        focus = element
        if element is not resource:
            focus = _NODES.create_node(element, f"{resource.get('resourceType')}.component")
        context = {"asof": now.isoformat(timespec="milliseconds"), "resource": resource}
        try:
            return list(self.compiled(focus, context))
        except Exception:  # noqa: BLE001  the library has no error of its own for what data cannot be worked with
            return Tripped.TRIPPED


@lru_cache(maxsize=256)
def read_path(text: str, resource_type: str) -> Path | Fault:
    """A FHIRPath about resources of a type, ready to be asked; or what is wrong with it."""
    fault = syntax_fault(text)
    if fault is not None:
        return fault
    tree: Node = _LIBRARY.parse(text)["children"][0]
    names = Names(_model(), resource_type)
    types = names.types_of(tree)
    if names.fault is not None:
        return names.fault
    steps = names.plain_steps(tree) or ()
    path = Path(text, frozenset(types or ()), steps, _LIBRARY.compile(text, model=R4))
    return _tried(path, resource_type) or path


def _tried(path: Path, resource_type: str) -> Fault | None:
    """What parses and yet trips over a resource as it should be would trip over every patient's."""
    for sample in () if path.steps else _samples(resource_type):
        if path(sample, sample, _WHENEVER) is Tripped.TRIPPED:
            return Fault(f"cannot be worked out for a whole and rightly made `{resource_type}`.")
    return None


_WHENEVER: Final = datetime(2026, 2, 1, 12, tzinfo=UTC)


def is_resource_type(name: str) -> bool:
    """Whether FHIR R4 has resources of that type."""
    return _model().is_resource(name)


def resource_types() -> tuple[str, ...]:
    """The types of resources that FHIR R4 has."""
    return _model().resource_types


@lru_cache(maxsize=16)
def _samples(resource_type: str) -> tuple[JSON, ...]:
    return tuple(samples(_model(), resource_type))


@lru_cache(maxsize=1)
def _model() -> Model:
    return Model.of(R4)


def _walked(element: JSON, steps: tuple[str, ...]) -> list[Any]:
    """Members of members, lists taken apart, as FHIRPath does."""
    here: list[Any] = [element]
    for step in steps:
        below: list[Any] = []
        for one in here:
            value = one.get(step) if isinstance(one, dict) else None
            if isinstance(value, list):
                below.extend(item for item in value if item is not None)
            elif value is not None:
                below.append(value)
        here = below
    return here


# Syntax -----------------------------------------------------------------------------------------------------


class _Wrong(Exception):
    """Carries the first syntax error out of the parser."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


class _Listener(ErrorListener):  # type: ignore[misc]  # the library has no types
    def syntaxError(  # noqa: N802  the library's name for it
        self, _recognizer: object, symbol: Any, _line: int, column: int, _message: str, _error: object
    ) -> None:
        """Stop at the first error; the library's own words list everything that it would rather have."""
        if symbol is None:
            raise _Wrong(column, "it holds a sign that FHIRPath has not")
        met = "it ends too early" if symbol.text == "<EOF>" else f"`{symbol.text}` cannot stand there"
        raise _Wrong(column, met)


def syntax_fault(text: str) -> Fault | None:
    """What keeps a text from being a FHIRPath from its first sign to its last; None when nothing does."""
    lexer = FHIRPathLexer(InputStream(text))
    lexer.removeErrorListeners()
    lexer.addErrorListener(_Listener())
    parser: Any = FHIRPathParser(CommonTokenStream(lexer))
    parser.removeErrorListeners()
    parser.addErrorListener(_Listener())
    try:
        parser.entireExpression()
    except _Wrong as wrong:
        return Fault(f"is no FHIRPath: at sign {wrong.column + 1} {wrong.message}.")
    except RecursionError:
        return Fault("is nested too deeply for a FHIRPath.")
    return None
