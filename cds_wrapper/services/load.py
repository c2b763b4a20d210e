"""Reads and checks `hooks/` into service definitions; raises with every mistake of every file at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.services.assemble import assemble
from cds_wrapper.services.caveat_load import in_words, marked_groups
from cds_wrapper.services.definitions import ServiceCatalog, ServiceDefinition
from cds_wrapper.services.folders import WORDING_FILE, ServiceFolder, read_folders
from cds_wrapper.services.lint import warnings_about
from cds_wrapper.services.reading import (
    FILE_NAMES,
    SERVICE,
    WORDING,
    ReadService,
    SourceFile,
    in_order,
    read_service,
)
from cds_wrapper.services.wording_file import ReadWording, read_wording, wording_mistakes


@dataclass(frozen=True, slots=True)
class Examination:
    """What `hooks/` holds: the services that are right, every mistake, and what is worth a second look."""

    services: tuple[ServiceDefinition, ...]
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def load_services(hooks: Path, wording_file: Path = WORDING_FILE) -> ServiceCatalog:
    """The services of a folder; an empty one has none (CDS Hooks 2.0.1, "Discovery": `services: []`).

    Raises `ConfigurationRefused` with every mistake of every file.
    """
    examined = examine_services(hooks, wording_file)
    if examined.mistakes:
        raise ConfigurationRefused(examined.mistakes)
    return ServiceCatalog(examined.services, examined.warnings)


def load_problems(hooks: Path, wording_file: Path = WORDING_FILE) -> tuple[Mistake, ...]:
    """Every mistake of every file; none when the services can be loaded."""
    return examine_services(hooks, wording_file).mistakes


def warnings_of(catalog: ServiceCatalog) -> tuple[Mistake, ...]:
    """What is allowed and worth a second look before go-live, of services that were loaded."""
    return catalog.warnings


def examine_services(hooks: Path, wording_file: Path = WORDING_FILE) -> Examination:
    """Read every service of a folder, right or wrong; never raises for what a file holds."""
    folders, mistakes = read_folders(hooks)
    wording = read_wording(SourceFile(WORDING, wording_file.name, wording_file.read_bytes()))
    examined = [_examine(folder, wording) for folder in folders]
    definitions = tuple(definition for one in examined for definition in one.services)
    found = (*mistakes, *wording.mistakes, *(mistake for one in examined for mistake in one.mistakes))
    return Examination(
        services=definitions,
        mistakes=in_order(found),
        warnings=in_order(warning for one in examined for warning in one.warnings),
    )


def definition_from_files(files: Mapping[str, bytes], hook: str | None = None) -> ServiceDefinition:
    """The definition these bytes make for a hook, by kind of file (`service`, `model_card`, ...): for replay.

    The kinds are those of `ServiceDefinition.files`, without the edition; without a hook it is the first one
    that the service answers. Raises `ConfigurationRefused` when they make none, which cannot be for files
    that were once loaded by this version.
    """
    sources = {kind: SourceFile(kind, FILE_NAMES.get(kind, kind), content) for kind, content in files.items()}
    missing = tuple(
        Mistake(kind, None, None, "", "is missing.") for kind in (*FILE_NAMES, WORDING) if kind not in sources
    )
    if missing:
        raise ConfigurationRefused(missing)
    wording = read_wording(sources[WORDING])
    read = read_service(sources, lambda kind, _: sources.get(kind))
    mistakes = (*wording.mistakes, *read.mistakes, *wording_mistakes(read, wording))
    definitions = () if mistakes else assemble(read, wording)
    for definition in definitions:
        if hook in (None, definition.hook):
            return definition
    unheard = Mistake(SERVICE, None, None, "hook", "does not name the hook that was recorded.")
    raise ConfigurationRefused(in_order(mistakes) or (unheard,))


def _examine(folder: ServiceFolder, wording: ReadWording) -> Examination:
    read = read_service(folder.sources, folder.table)
    mistakes = (
        *folder.mistakes,
        *read.mistakes,
        *wording_mistakes(read, wording),
        *_folder_mistakes(folder, read),
    )
    definitions = () if mistakes else assemble(read, wording)
    warnings = (*warnings_about(read), *_expected_load(definitions, read))
    return Examination(definitions, mistakes, warnings)


def _expected_load(definitions: Sequence[ServiceDefinition], read: ReadService) -> Iterator[Mistake]:
    """What a board should know before it signs: whose cards are marked, each time."""
    groups = marked_groups(definitions[0]) if definitions else ()
    if groups and read.plan:
        problem = (
            f"marks the summary of every card for {in_words(groups)}. Count these patients here: "
            "a mark on more than 30 in 100 cards is read by nobody."
        )
        yield read.plan.document.mistake(("respond",), problem)


def _folder_mistakes(folder: ServiceFolder, read: ReadService) -> Iterator[Mistake]:
    """A service lives in the folder of its name, so that nobody signs the wrong one."""
    if read.service and read.service.model.id != folder.path.name:
        problem = f"is `{read.service.model.id}`, but the folder is called `{folder.path.name}`."
        yield read.service.document.mistake(("id",), problem)
