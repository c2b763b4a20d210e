"""Every key of every shipped file, misspelt in turn, is found in its line with the right spelling."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cds_wrapper.errors import Mistake
from cds_wrapper.services.folders import ServiceFolder, read_folder
from cds_wrapper.services.reading import CARD, FILE_NAMES, SUBGROUPS, SourceFile, read_service
from cds_wrapper.services.yaml_files import Document, KeyPath, read_document

HOOKS = Path(__file__).parents[3] / "hooks"
FOLDERS = sorted(path for path in HOOKS.iterdir() if path.is_dir())

# Keys a hospital chooses itself: no spelling is wrong. `patient:` must name one of the prefetch keys, and
# that is a row of test_mistakes.py.
ANY = "*"
FREE = {
    ("prefetch",): "the vendor's own names for what it asks for",
    ("vendor", "missing_inputs", "names"): "the vendor's own codes for its inputs",
    ("features",): "the site's own names for the model's inputs",
    ("features", ANY, "answers"): "codes of other people's code systems",
    ("outcome", "events", ANY, "where"): "elements of FHIR; rows of test_outcomes_section.py",
    ("outcome", "events", ANY, "unless"): "the same",
    ("vendor", "flags"): "the site's own names; a row of test_score_card_section.py holds them together",
    ("score_card", "flags"): "the same names, with the words for them",
    ("vendor", "send_when_missing"): "names of inputs; rows of test_features_section.py",
}
ROWS = ("evidence", "metrics")


def dropped(key: str) -> str:
    return key[:-1] if len(key) > 1 else key * 2


def doubled(key: str) -> str:
    return key[0] + key


def swapped(key: str) -> str:
    pairs = (at for at in range(len(key) - 2, -1, -1) if key[at] != key[at + 1])
    at = next(pairs, None)
    return key * 2 if at is None else key[:at] + key[at + 1] + key[at] + key[at + 2 :]


MISSPELLINGS: tuple[Callable[[str], str], ...] = (dropped, doubled, swapped)


def keys_of(document: Document) -> Iterator[KeyPath]:
    """Every key that has a right spelling, as a path."""
    for path in document.places:
        if path and isinstance(path[-1], str) and not is_free(path[:-1]):
            yield path


def is_free(above: KeyPath) -> bool:
    """Whether the keys below a path are the hospital's own to name; `ANY` stands for one key."""
    return any(
        len(free) == len(above) and all(one in {ANY, other} for one, other in zip(free, above, strict=True))
        for free in FREE
    )


def due_for(document: Document, way: int) -> Iterator[KeyPath]:
    """The keys that are misspelt in this way: the three take turns, whatever stands before a key.

    Rows of figures have the same keys again and again: each has its turn in the first row that has it, and of
    the others every seventh.
    """
    seen = set[KeyPath]()
    for path in keys_of(document):
        turn = zlib.crc32(repr(path).encode())
        key = path[3:] if path[:2] == ROWS and len(path) > 3 else path
        if turn % len(MISSPELLINGS) == way and not (key in seen and turn % 7):
            yield path
        seen.add(key)


def misspelt(source: SourceFile, document: Document, path: KeyPath, spelling: str) -> SourceFile:
    """The file with one key spelt otherwise, everything else in its line."""
    place = document.places[path]
    lines = lean(source, document, path)
    line = lines[place.line - 1]
    before, after = line[: place.column - 1], line[place.column - 1 :]
    lines[place.line - 1] = before + after.replace(str(path[-1]), spelling, 1)
    return SourceFile(source.kind, source.name, "\n".join(lines).encode())


def lean(source: SourceFile, document: Document, path: KeyPath) -> list[str]:
    """The lines of a file, with the rows of figures that the key is not in left blank, for speed."""
    lines = source.content.decode().split("\n")
    rows = sorted({place.line for row, place in document.places.items() if row[:-1] == ROWS})
    if not rows:
        return lines
    end = document.places["evidence", "outcome_studies"].line
    kept = path[2] if path[:2] == ROWS and len(path) > 2 else 0
    for number, (first, last) in enumerate(zip(rows, [*rows[1:], end], strict=True)):
        if number != kept:
            lines[first - 1 : last - 1] = [""] * (last - first)
    return lines


def mistakes_in(folder: ServiceFolder, changed: SourceFile, path: KeyPath) -> list[Mistake]:
    """Only the file that was changed is read again, and the one that says which groups there are."""
    sources = {SUBGROUPS: folder.sources[SUBGROUPS]} if "where" in path else {}
    read = read_service({**sources, changed.kind: changed}, folder.table)
    return [mistake for mistake in read.mistakes if mistake.file == changed.name]


@pytest.mark.parametrize("kind", FILE_NAMES)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("way", range(len(MISSPELLINGS)), ids=[way.__name__ for way in MISSPELLINGS])
def test_every_misspelt_key_is_found_in_its_line_with_the_right_spelling(
    folder: Path, kind: str, way: int
) -> None:
    service = read_folder(folder)
    source = service.sources[kind]
    document, _ = read_document(source.name, source.content)
    assert document is not None
    unfound = []
    for path in due_for(document, way):
        spelling = MISSPELLINGS[way](str(path[-1]))
        mistakes = mistakes_in(service, misspelt(source, document, path, spelling), path)
        found = [(mistake.line, mistake.suggestion) for mistake in mistakes]
        if found != [(document.places[path].line, path[-1])]:
            unfound.append((path, spelling, found))
    assert unfound == []


def test_the_card_has_rows_to_misspell_and_each_key_of_a_row_is_visited() -> None:
    service = read_folder(HOOKS / "cvd-risk")
    document, _ = read_document("card", service.sources[CARD].content)
    assert document is not None
    due = [path for way in range(len(MISSPELLINGS)) for path in due_for(document, way)]
    in_rows = [path for path in due if path[:2] == ROWS and len(path) > 3]
    assert len({path[2] for path in in_rows}) > 30
    everything = {path[3:] for path in keys_of(document) if path[:2] == ROWS and len(path) > 3}
    assert {path[3:] for path in in_rows} == everything
    assert len(due) > 200
