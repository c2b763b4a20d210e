"""Where in a service's own file something stands that was found wrong only when it was used."""

from __future__ import annotations

from cds_wrapper.errors import Mistake
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.reading import FILE_NAMES
from cds_wrapper.services.yaml_files import read_document

_KIND = "service"


def mistake_of(service: ServiceDefinition, path: tuple[str, ...], problem: str) -> Mistake:
    """What is wrong at a path of `service.yaml`, with the line and column where it is written."""
    name = f"{service.id}/{FILE_NAMES[_KIND]}"
    for file in service.files:
        if file.kind == _KIND:
            document, _ = read_document(name, file.content)
            if document is not None:
                return document.mistake(path, problem)
    return Mistake(name, None, None, ".".join(path), problem)
