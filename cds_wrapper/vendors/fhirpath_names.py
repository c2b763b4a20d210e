"""Names in a FHIRPath, held against the elements that FHIR R4 has. Pure.

A name that no element has gives nothing at run time, for every patient: so it must be found before the first.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Node = Mapping[str, Any]
Types = frozenset[str] | None
"""The types an expression may give; None when that cannot be said."""

BOOLEAN: Final = frozenset({"boolean"})
NUMBER: Final = frozenset({"decimal"})
WHOLE: Final = frozenset({"integer"})
TEXT: Final = frozenset({"string"})
MOMENT: Final = frozenset({"dateTime"})

_SAME: Final = frozenset(
    {"where", "first", "last", "tail", "take", "skip", "single", "distinct", "exclude", "intersect", "trace"}
)
_INSIDE: Final = frozenset({"where", "exists", "all", "select", "repeat", "iif", "coalesce"})
_GIVES: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("exists", "empty", "not", "all", "allTrue", "anyTrue", "allFalse", "anyFalse"), BOOLEAN),
    **dict.fromkeys(("subsetOf", "supersetOf", "isDistinct", "is", "startsWith", "endsWith"), BOOLEAN),
    **dict.fromkeys(("contains", "matches", "toBoolean", "hasValue"), BOOLEAN),
    **dict.fromkeys(("count", "toInteger", "indexOf", "length", "ceiling", "floor", "truncate"), WHOLE),
    **dict.fromkeys(("toDecimal", "round", "sqrt", "exp", "ln", "log", "power", "abs", "avg", "sum"), NUMBER),
    **dict.fromkeys(("toString", "substring", "upper", "lower", "replace", "replaceMatches", "join"), TEXT),
    **dict.fromkeys(("split", "trim", "toChars", "encode", "decode"), TEXT),
    "toDate": frozenset({"date"}),
    "toDateTime": MOMENT,
    "toQuantity": frozenset({"Quantity"}),
    "extension": frozenset({"Extension"}),
}
_FREE: Final = frozenset({"children", "descendants", "union", "combine", "min", "max", "type", "getValue"})
FUNCTIONS: Final = frozenset({*_SAME, *_INSIDE, *_GIVES, *_FREE, "ofType", "as"})
_CLOCKS: Final = frozenset({"today", "now", "timeOfDay"})
_CONSTANTS: Final = ("resource", "context", "asof", "ucum", "sct", "loinc")
_COMPARING: Final = frozenset({"EqualityExpression", "InequalityExpression"})
_TRUTHS: Final = frozenset({"AndExpression", "OrExpression", "ImpliesExpression", "MembershipExpression"})
_DATE_UNITS: Final = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an expression, fit to stand behind its key; and the nearest right spelling."""

    problem: str
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """The elements of FHIR R4: what each type has below it, and of which type that is."""

    below: Mapping[str, Mapping[str, frozenset[str]]]
    parents: Mapping[str, str]

    @classmethod
    def of(cls, tables: Mapping[str, Any]) -> Model:
        """Made from the library's tables; a backbone element is a type by the name of its own path."""
        below: dict[str, dict[str, frozenset[str]]] = {}
        elsewhere = tables["pathsDefinedElsewhere"]
        choices = {f"{path}{kind}" for path, kinds in tables["choiceTypePaths"].items() for kind in kinds}
        for path, kind in tables["path2Type"].items():
            if path in choices:
                continue  # `valueQuantity` is a name in JSON, and none in FHIRPath
            parent, _, name = path.rpartition(".")
            below.setdefault(parent, {})[name] = frozenset({kind.removeprefix("System.")})
        for path, kinds in tables["choiceTypePaths"].items():
            parent, _, name = path.rpartition(".")
            below.setdefault(parent, {})[name] = frozenset(map(_as_type, kinds))
        for path, other in elsewhere.items():
            parent, _, name = path.rpartition(".")
            below.setdefault(parent, {})[name] = frozenset({other})
        for path in [path for path in below if "." in path]:
            parent, _, name = path.rpartition(".")
            below.setdefault(parent, {})[name] = frozenset({path})
        return cls(below, tables["type2Parent"])

    def member(self, kind: str, name: str) -> Types:
        """The types of an element of a type; None when it has none of that name."""
        for one in self._lineage(kind):
            found = self.below.get(one, {}).get(name)
            if found is not None:
                return found
        return None

    def members(self, kind: str) -> set[str]:
        """The names of all elements of a type."""
        return {name for one in self._lineage(kind) for name in self.below.get(one, {})}

    def _lineage(self, kind: str) -> Iterable[str]:
        here: str | None = kind
        while here is not None:
            yield here
            here = self.parents.get(here, "BackboneElement" if "." in here else None)

    def is_resource(self, name: str) -> bool:
        """Whether resources of that type exist."""
        return self.parents.get(name) in ("DomainResource", "Resource") and name != "DomainResource"

    @property
    def resource_types(self) -> tuple[str, ...]:
        """Every type of resource."""
        return tuple(filter(self.is_resource, self.parents))

    def is_type(self, name: str) -> bool:
        """Whether it is the name of any type."""
        return name in self.parents or name[:1].lower() + name[1:] in self.parents


def _as_type(choice: str) -> str:
    """`DateTime`, as it stands in `valueDateTime`, is the type `dateTime`."""
    small = choice[:1].lower() + choice[1:]
    return small if small in _PRIMITIVES else choice


_PRIMITIVES: Final = frozenset(
    {
        *("base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant"),
        *("integer", "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid"),
    }
)


class Names:
    """A walk over one expression; `fault` is the first thing that is wrong with it."""

    def __init__(self, model: Model, resource_type: str) -> None:
        self._model = model
        self._root = frozenset({resource_type})
        self.fault: Fault | None = None

    def types_of(self, node: Node, focus: Types = None) -> Types:
        """The types that a part of the expression gives when asked about `focus`, the resource at first."""
        return self._types(node, self._root if focus is None else focus, is_first=True)

    def _refuse(self, problem: str, suggestion: str | None = None) -> None:
        self.fault = self.fault or Fault(problem, suggestion)

    def _types(self, node: Node, focus: Types, *, is_first: bool) -> Types:
        """`is_first` where nothing stands before it, so that it may begin with the name of the type."""
        kind, children = node.get("type", ""), node.get("children", ())
        if kind == "InvocationExpression":
            before = self._types(children[0], focus, is_first=is_first)
            return self._types(children[1], before, is_first=False)
        if kind == "MemberInvocation":
            return self._member(_text_of(node), focus, is_first=is_first)
        if kind == "FunctionInvocation":
            return self._function(node, focus)
        if kind == "ExternalConstantTerm":
            return self._constant(_text_of(node))
        if kind in _COMPARING:
            return self._comparison(children, focus)
        if kind == "TypeExpression":
            return self._type_operator(node, focus)
        inner = [self._types(child, focus, is_first=is_first) for child in children]
        return self._of_operator(kind, inner, node)

    def _of_operator(self, kind: str, inner: list[Types], node: Node) -> Types:
        if kind in _TRUTHS:
            return BOOLEAN
        if kind == "ThisInvocation":
            return None
        if kind.endswith("Literal"):
            return _LITERALS.get(kind)
        if kind == "IndexerExpression":
            return inner[0]
        if kind == "UnionExpression":
            return None if None in inner else frozenset().union(*(one for one in inner if one))
        if len(inner) == 1:
            return inner[0]
        return inner[0] if kind in ("AdditiveExpression", "MultiplicativeExpression") and inner else None

    def _member(self, name: str, focus: Types, *, is_first: bool) -> Types:
        if focus is None:
            return None
        if is_first and name in focus:
            return focus
        if is_first and self._model.is_resource(name) and focus == self._root:
            self._refuse(f"begins with `{name}`, but the resources read are of the type `{_one(focus)}`.")
            return None
        found = [types for kind in focus if (types := self._model.member(kind, name)) is not None]
        if found:
            return frozenset().union(*found)
        self._unknown(name, focus)
        return None

    def _unknown(self, name: str, focus: frozenset[str]) -> None:
        known = {one for kind in focus for one in self._model.members(kind)}
        choice = next(
            (one for one in known if name.startswith(one) and self._is_choice(name, one, focus)), None
        )
        about = " or ".join(f"`{kind}`" for kind in sorted(focus)[:3])
        if choice is not None:
            near = f"{choice}.ofType({_as_type(name.removeprefix(choice))})"
            self._refuse(f"names `{name}`; in FHIRPath the element is called `{choice}`.", near)
        else:
            self._refuse(f"names `{name}`, which {about} has not in FHIR R4.", _nearest(name, known))

    def _is_choice(self, name: str, element: str, focus: frozenset[str]) -> bool:
        kind = _as_type(name.removeprefix(element))
        return any(kind in (self._model.member(one, element) or ()) for one in focus)

    def _function(self, node: Node, focus: Types) -> Types:
        function = node["children"][0]
        name = _text_of(function["children"][0])
        given = [child for child in function["children"][1:] if child.get("type") == "ParamList"]
        parameters = given[0].get("children", ()) if given else ()
        if name in _CLOCKS:
            self._refuse(f"uses `{name}()`, so a record could not be computed again.", "%asof")
            return None
        if name not in FUNCTIONS:
            self._refuse(f"uses `{name}()`, which is no function known here.", _nearest(name, FUNCTIONS))
            return None
        if name in ("ofType", "as"):
            return self._narrowed(_written(parameters[0]) if parameters else "", focus)
        scope = focus if name in _INSIDE else self._root
        inner = [self._types(one, scope, is_first=True) for one in parameters]
        if name in _SAME:
            return focus
        if name == "select":
            return inner[0] if inner else None
        return _GIVES.get(name)

    def _narrowed(self, written: str, focus: Types) -> Types:
        kind = written.replace("`", "").removeprefix("FHIR.").removeprefix("System.")
        kind = _as_type(kind)
        if not self._model.is_type(kind):
            self._refuse(
                f"names the type `{kind}`, which FHIR R4 has not.", _nearest(kind, self._model.parents)
            )
        elif focus is not None and kind not in focus and not focus & {"Resource", "DomainResource"}:
            near = _nearest(kind, focus)
            self._refuse(f"asks for `{kind}`, but there is only {_listed(focus)}.", near)
        return frozenset({kind})

    def _type_operator(self, node: Node, focus: Types) -> Types:
        before = self._types(node["children"][0], focus, is_first=True)
        written = _written(node["children"][1])
        if "is" in node.get("terminalNodeText", ()):
            self._narrowed(written, None)
            return BOOLEAN
        return self._narrowed(written, before)

    def _constant(self, name: str) -> Types:
        if name not in _CONSTANTS:
            self._refuse(f"uses `%{name}`, which is not given here.", _nearest(name, _CONSTANTS))
        match name:
            case "resource" | "context":
                return self._root
            case "asof":
                return MOMENT
            case _:
                return TEXT

    def _comparison(self, children: Iterable[Node], focus: Types) -> Types:
        for child in children:
            types = self._types(child, focus, is_first=True)
            if types and "Quantity" in types:
                self._refuse(
                    "compares quantities, which takes no account of units here: end the path at the Quantity,"
                    " and declare `unit` and `range`."
                )
        return BOOLEAN

    # Plain members ------------------------------------------------------------------------------------------

    def plain_steps(self, tree: Node) -> tuple[str, ...] | None:
        """The members of an expression that has nothing else in it; None for any other.

        `value.ofType(Quantity)` is one of them: in JSON it is `valueQuantity`.
        """
        steps = _steps(tree)
        if steps and steps[0] in self._root:
            steps = steps[1:]
        if not steps or self._meets_a_choice(steps):
            return None
        return tuple(steps)

    def _meets_a_choice(self, steps: list[str]) -> bool:
        """Whether a member is a choice of types whose type is not said: its name in JSON is not known."""
        focus: frozenset[str] = self._root
        for step in steps:
            found = [types for kind in focus if (types := self._model.member(kind, step)) is not None]
            focus = frozenset().union(*found) or self._typed_choice(step, focus)
            if len(focus) != 1:
                return True
        return False

    def _typed_choice(self, step: str, focus: frozenset[str]) -> frozenset[str]:
        """The type in a name of JSON: of `valueQuantity` a Quantity."""
        names = {
            (kind, name) for kind in focus for name in self._model.members(kind) if step.startswith(name)
        }
        named = {
            _as_type(step.removeprefix(name))
            for kind, name in names
            if _as_type(step.removeprefix(name)) in (self._model.member(kind, name) or ())
        }
        return frozenset(named)


_LITERALS: Final[Mapping[str, frozenset[str]]] = {
    "StringLiteral": TEXT,
    "BooleanLiteral": BOOLEAN,
    "NumberLiteral": NUMBER,
    "DateLiteral": frozenset({"date"}),
    "DateTimeLiteral": MOMENT,
    "TimeLiteral": frozenset({"time"}),
}


def _steps(node: Node) -> list[str] | None:
    kind, children = node.get("type", ""), node.get("children", ())
    if kind == "InvocationExpression":
        before, after = _steps(children[0]), children[1]
        if not before:
            return None
        if after.get("type") == "MemberInvocation":
            return [*before, _text_of(after)]
        return _typed(before, after)
    if kind in ("TermExpression", "InvocationTerm") and len(children) == 1:
        return _steps(children[0])
    return [_text_of(node)] if kind == "MemberInvocation" else None


def _typed(before: list[str], after: Node) -> list[str] | None:
    """`value` and `ofType(Quantity)` as `valueQuantity`."""
    function = after["children"][0] if after.get("type") == "FunctionInvocation" else None
    if function is None or _text_of(function["children"][0]) != "ofType":
        return None
    written = _written(function["children"][1]["children"][0]).removeprefix("FHIR.")
    return [*before[:-1], before[-1] + written[:1].upper() + written[1:]]


def _text_of(node: Node) -> str:
    """The identifier in a node."""
    if "text" in node and node.get("type") == "Identifier":
        return str(node["text"]).strip("`")
    return next((_text_of(child) for child in node.get("children", ())), "")


def _written(node: Node) -> str:
    if "text" in node:
        return str(node["text"])
    return next((_written(child) for child in node.get("children", ())), "")


def _one(types: Iterable[str]) -> str:
    return next(iter(sorted(types)))


def _listed(types: Iterable[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in sorted(types))


def _nearest(written: str, known: Iterable[str]) -> str | None:
    spellings = sorted(known)
    swapped = next((one for one in spellings if sorted(one) == sorted(written)), None)
    return swapped or next(iter(difflib.get_close_matches(written, spellings, n=1, cutoff=0.6)), None)
