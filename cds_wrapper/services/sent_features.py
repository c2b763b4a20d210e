"""Which of the declared inputs a vendor is sent, and by which key of `service.yaml`.

A name that is no input would be missing for every patient, and nothing would say so: it is refused at load.
An input that is sent nowhere is only recorded: worth a second look.
"""

from __future__ import annotations

from collections.abc import Iterator

from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.vendor_kinds import IDENTIFIERS
from cds_wrapper.services.yaml_files import Document, KeyPath
from cds_wrapper.vendors.rest_body import slots_in


def sent_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """What the vendor is sent by name, or in its stead, must be an input that is declared."""
    stand_ins = ((("vendor", "send_when_missing", name), name) for name in service.vendor.send_when_missing)
    for path, name in (*_sent(service), *stand_ins):
        if name not in service.features:
            problem = f"names `{name}`, which is no input under `features`."
            yield document.mistake(path, problem, nearest(name, service.features))


def never_sent(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """Inputs that no key sends to a vendor which is sent nothing but what is named."""
    vendor = service.vendor
    if not (vendor.inference or vendor.mlflow or (vendor.rest and vendor.rest.body is not None)):
        return
    sent = {name for _, name in _sent(service)}
    for name in service.features:
        if name not in sent:
            problem = "is sent nowhere: the vendor scores without it, and only the record has it."
            yield document.mistake(("features", name), problem)


def _sent(service: ServiceFile) -> Iterator[tuple[KeyPath, str]]:
    vendor = service.vendor
    for number, tensor in enumerate(vendor.inference.inputs if vendor.inference else ()):
        place: KeyPath = ("vendor", "inference", "inputs", number)
        if tensor.features is None:
            yield (*place, "name"), tensor.name
        for index, name in enumerate(tensor.features or ()):
            yield (*place, "features", index), name
    for column, name in (vendor.mlflow.inputs if vendor.mlflow else {}).items():
        yield ("vendor", "mlflow", "inputs", column), name
    for path, name in slots_in(vendor.rest.body) if vendor.rest else ():
        if name not in IDENTIFIERS:
            yield ("vendor", "rest", "body", *path), name
