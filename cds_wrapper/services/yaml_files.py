"""Reads a YAML 1.2 file into plain values, and remembers at which line every key and item stands.

Values come out as text, integers, floats, booleans, null, lists and dicts with text keys. `NO` and `on` are
text, as YAML 1.2 says; a date is text too and is read by whoever expects one. Anchors, aliases, tags and
merge keys are refused: what somebody signs is written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cds_wrapper.errors import Mistake

KeyPath = tuple[str | int, ...]

_TAG: Final = "tag:yaml.org,2002:"
_KINDS: Final = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
_READ: Final = frozenset(_TAG + kind for kind in _KINDS)
_TRUE: Final = "true"
_BASES: Final = {"0o": 8, "0x": 16}


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read: its values, and the place of every key and item by its path.

    `name` is the file's name as a person would write it, such as `cvd-risk/plan.yaml`.
    """

    name: str
    values: Mapping[str, object]
    places: Mapping[KeyPath, Place] = field(repr=False)

    def mistake(self, path: KeyPath, problem: str, suggestion: str | None = None) -> Mistake:
        """Say what is wrong at `path`; something that is not there is placed at its nearest parent.

        Where one text is short for a list of it, its index was not written and is not named.
        """
        if path and isinstance(path[-1], int) and path not in self.places:
            path = path[:-1]
        place = self.place_of(path)
        return Mistake(self.name, place.line, place.column, dotted(path), problem, suggestion)

    def place_of(self, path: KeyPath) -> Place:
        """The place of a key or item, or of its nearest parent that is there."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


def dotted(path: KeyPath) -> str:
    """A path for people: `evidence.metrics[3].ci`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def read_document(name: str, content: bytes) -> tuple[Document | None, tuple[Mistake, ...]]:
    """Read one file as far as it can be read, and list every mistake of form."""
    try:
        root = YAML(typ="safe", pure=True).compose(content.decode())
    except UnicodeDecodeError as error:
        return None, (_encoding_mistake(name, content, error.start),)
    except MarkedYAMLError as error:
        return None, (_syntax_mistake(name, error),)
    except YAMLError:
        return None, (Mistake(name, 1, 1, "", "holds a control character that YAML does not allow."),)
    except RecursionError:
        return None, (Mistake(name, 1, 1, "", "is nested too deeply."),)
    if not isinstance(root, MappingNode):
        return None, (Mistake(name, 1, 1, "", "must hold keys with values, one to a line (`id: ...`)."),)
    reader = _Reader(name)
    values = reader.mapping(root, ())
    return Document(name, values, reader.places), tuple(reader.mistakes)


def _encoding_mistake(name: str, content: bytes, at: int) -> Mistake:
    before = content[:at]
    line, column = before.count(b"\n") + 1, at - before.rfind(b"\n")
    return Mistake(name, line, column, "", "is not UTF-8: save it as UTF-8.")


def _syntax_mistake(name: str, error: MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if isinstance(mark, StringMark) else Place(1, 1)
    problem = " ".join(str(part) for part in (error.problem, error.context) if part)
    if "\\t" in problem:
        return Mistake(name, place.line, place.column, "", "is indented with a tab: use blanks.")
    return Mistake(name, place.line, place.column, "", f"is not YAML: {problem}.")


@dataclass(slots=True)
class _Reader:
    """Walks the nodes of one file once, collecting values, places and mistakes."""

    name: str
    places: dict[KeyPath, Place] = field(default_factory=lambda: {(): Place(1, 1)})
    mistakes: list[Mistake] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in self._keys(node, path):
            name = str(key.value)
            below = (*path, name)
            if name in values:
                first = self.places[below].line
                self._refuse(key, below, f"is written twice, first in line {first}.")
                continue
            self.places[below] = _place(key)
            values[name] = self._value(value, below)
        return values

    def _keys(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[ScalarNode, Node]]:
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._refuse(key, path, "has a key that is a list or a map: keys are text.")
            elif key.value == "<<":
                self._refuse(key, (*path, "<<"), "is a merge key: write the values out.")
            else:
                yield key, value

    def _value(self, node: Node, path: KeyPath) -> object:
        if id(node) in self.seen or node.anchor is not None:
            self._refuse_at(path, "uses an anchor or alias (`&`, `*`): write the value out.")
            return None
        self.seen.add(id(node))
        if node.tag not in _READ:
            self._refuse_at(path, f"has the tag `{node.tag}`: write a plain value.")
            return None
        match node:
            case MappingNode():
                return self.mapping(node, path)
            case SequenceNode():
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return _scalar(node)

    def _item(self, node: Node, path: KeyPath) -> object:
        self.places[path] = _place(node)
        return self._value(node, path)

    def _refuse_at(self, path: KeyPath, problem: str) -> None:
        place = self.places[path]
        self.mistakes.append(Mistake(self.name, place.line, place.column, dotted(path), problem))

    def _refuse(self, node: Node, path: KeyPath, problem: str) -> None:
        place = _place(node)
        self.mistakes.append(Mistake(self.name, place.line, place.column, dotted(path), problem))


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _scalar(node: Node) -> object:
    text = str(node.value)
    match (node.tag or "").removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() == _TRUE
        case "int":
            return _integer(text.replace("_", ""))
        case "float":
            return _float(text.replace("_", ""))
        case _:
            return text


def _integer(text: str) -> int:
    unsigned = text.lstrip("+-")
    base = _BASES.get(unsigned[:2].lower(), 10)
    return (-1 if text.startswith("-") else 1) * int(unsigned[2:] if base != 10 else unsigned, base)


def _float(text: str) -> float:
    """`.inf` and `.nan` are YAML's spelling of what Python writes without the point."""
    bare = text.lower()
    return float(bare.replace(".", "") if bare.lstrip("+-") in {".inf", ".nan"} else bare)
