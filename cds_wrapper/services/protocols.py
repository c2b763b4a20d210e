"""From the checked parts of one protocol to the values its adapter works with. Nothing is checked here."""

from __future__ import annotations

import jmespath

from cds_wrapper.services.definitions import Asking
from cds_wrapper.services.protocols_file import InferenceFile, LookUpFile, MLflowFile, RestFile
from cds_wrapper.services.service_file import VendorFile
from cds_wrapper.services.vendor_kinds import MLFLOW, OPEN_INFERENCE, PYTHON, REST
from cds_wrapper.vendors.in_process import PythonCall
from cds_wrapper.vendors.look_up import LookUp
from cds_wrapper.vendors.open_inference import InferenceModel, Tensor
from cds_wrapper.vendors.rest_body import AllInputs, BodyForm, Frame, Template, named_inputs, records
from cds_wrapper.vendors.rest_json import Predictions, RestForm

_INVOCATIONS = "/invocations"


def asking_of(vendor: VendorFile, encounter_key: str | None) -> Asking:
    """What the vendor's protocol adds; `encounter_key` is the prefetch key that holds the Encounter."""
    match vendor.protocol:
        case protocol if protocol == OPEN_INFERENCE and vendor.inference:
            return _inference(vendor.inference)
        case protocol if protocol == MLFLOW and vendor.mlflow:
            return _mlflow(vendor, vendor.mlflow)
        case protocol if protocol == PYTHON and vendor.python:
            python = vendor.python
            return PythonCall(python.call, python.folder, tuple(python.environment))
        case protocol if protocol == REST:
            return _rest(vendor.rest or RestFile(), encounter_key)
        case _:
            return dict(vendor.options)


def address_of(vendor: VendorFile) -> str:
    """Where the vendor is asked; empty for one that is not asked over HTTP."""
    url = (vendor.url or "").rstrip("/")
    if vendor.protocol == OPEN_INFERENCE and vendor.inference:
        return _inference(vendor.inference).address(url)
    if vendor.protocol == MLFLOW:
        return url if url.endswith(_INVOCATIONS) else url + _INVOCATIONS
    return vendor.url or ""


def _inference(inference: InferenceFile) -> InferenceModel:
    return InferenceModel(
        name=inference.model,
        version=inference.version,
        tensors=tuple(Tensor(one.name, one.datatype, one.of) for one in inference.inputs),
        output=inference.output,
        column=inference.column,
        batched=inference.batched,
        parameters=dict(inference.parameters) or None,
        also=tuple(inference.also),
    )


def _mlflow(vendor: VendorFile, mlflow: MLflowFile) -> RestForm:
    has_path = vendor.score is not None and vendor.score.path is not None
    return RestForm(_row(mlflow), predictions=None if has_path else Predictions(mlflow.column))


def _row(mlflow: MLflowFile) -> BodyForm:
    columns = tuple(mlflow.inputs.items())
    match mlflow.form:
        case "dataframe_split":
            return Frame(columns)
        case "dataframe_records":
            return records(columns)
        case "inputs":
            return named_inputs(columns)


def _rest(rest: RestFile, encounter_key: str | None) -> RestForm:
    body: BodyForm | None = None
    if rest.method == "POST":
        body = AllInputs() if rest.body is None else Template(rest.body)
    look_up = _look_up(rest.look_up, encounter_key) if rest.look_up else None
    return RestForm(body, dict(rest.headers), look_up)


def _look_up(look_up: LookUpFile, encounter_key: str | None) -> LookUp:
    return LookUp(
        patient=look_up.patient,
        encounter=look_up.encounter,
        encounter_key=encounter_key,
        time=jmespath.compile(look_up.time),
        oldest=look_up.oldest,
        echo=jmespath.compile(look_up.echo) if look_up.echo else None,
    )
