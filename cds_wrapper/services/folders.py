"""Finds the service folders under `hooks/` and reads their files as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cds_wrapper import caveats
from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.reading import FILE_NAMES, SourceFile

WORDING_FILE: Final = Path(caveats.__file__).with_name("wording.en.yaml")
"""The approved words that are shipped with the program."""


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """One folder under `hooks/`: the files that are there, and what is wrong with those that are not."""

    path: Path
    sources: dict[str, SourceFile]
    mistakes: tuple[Mistake, ...]

    def table(self, kind: str, file_name: str) -> SourceFile | None:
        """A table that `subgroups.yaml` names; None when it is not there."""
        found = _read(self.path, kind, file_name)
        return None if isinstance(found, Mistake) else found


def read_folders(hooks: Path) -> tuple[tuple[ServiceFolder, ...], tuple[Mistake, ...]]:
    """Every service folder by name; hidden folders and loose files are left alone."""
    if not hooks.is_dir():
        problem = "is not a folder: set CDS_WRAPPER_HOOKS to the folder that holds the services."
        return (), (Mistake(str(hooks), None, None, "", problem),)
    folders = sorted(path for path in hooks.iterdir() if path.is_dir() and path.name[0] not in "._")
    return tuple(map(read_folder, folders)), ()


def read_folder(folder: Path) -> ServiceFolder:
    """The files of one service, as far as they are there and can be read."""
    found = [_read(folder, kind, file_name) for kind, file_name in FILE_NAMES.items()]
    sources = {source.kind: source for source in found if isinstance(source, SourceFile)}
    return ServiceFolder(folder, sources, tuple(item for item in found if isinstance(item, Mistake)))


def _read(folder: Path, kind: str, file_name: str) -> SourceFile | Mistake:
    name = f"{folder.name}/{file_name}"
    try:
        return SourceFile(kind, name, (folder / file_name).read_bytes())
    except FileNotFoundError:
        others = [path.name for path in folder.iterdir() if path.name not in FILE_NAMES.values()]
        near = nearest(file_name, others)
        hint = f" Rename `{near}`?" if near else ""
        problem = f"is missing: a service needs {', '.join(FILE_NAMES.values())}.{hint}"
        return Mistake(name, None, None, "", problem)
    except OSError as error:
        return Mistake(name, None, None, "", f"cannot be read: {error.strerror}.")
