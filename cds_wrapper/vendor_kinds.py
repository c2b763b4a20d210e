"""The kinds of vendor: a table from a protocol's name to what builds its adapter; other people's adapters.

A package brings an adapter by an entry point of the group `cds_wrapper.vendors`, named like the protocol,
that leads to a builder: a callable that takes a `VendorSetup` and gives a `Vendor` (`vendors.base`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final, TypeVar

from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.log import OperatorLog
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.services.definitions import VendorConfig
from cds_wrapper.services.vendor_kinds import CDS_HOOKS, GROUP, MLFLOW, OPEN_INFERENCE, PYTHON, REST
from cds_wrapper.vendors.base import Vendor
from cds_wrapper.vendors.cds_hooks import CDSHooksVendor
from cds_wrapper.vendors.in_process import InProcessVendor, PythonCall
from cds_wrapper.vendors.open_inference import InferenceModel, OpenInferenceVendor
from cds_wrapper.vendors.peer import VendorPeer
from cds_wrapper.vendors.rest_json import RestForm, RestJSONVendor
from cds_wrapper.vendors.score_only import BareScore

_Asking = TypeVar("_Asking")


@dataclass(frozen=True, slots=True)
class VendorSetup:
    """Everything an adapter is built from.

    `config` is `vendor` of the service's file, checked; an adapter of another package finds its own part in
    `config.asking`, as it stands under `options`. `peer` asks the vendor over HTTP within a deadline, signed
    as the file says. `threshold` is the score from which a patient is flagged, `lines` the operator log.
    """

    service_id: str
    config: VendorConfig
    threshold: float | None
    peer: VendorPeer
    lines: OperatorLog

    @property
    def bare(self) -> BareScore:
        """How a bare score is read, for adapters whose vendors answer with one.

        `ValueError` when the service's file has no `vendor.score`.
        """
        config = self.config
        if config.score is None:
            raise ValueError("needs `vendor.score`")
        return BareScore(config.score, config.model, self.threshold, config.stand_ins, config.flags)

    def asking(self, kind: type[_Asking]) -> _Asking:
        """The protocol's own part of the file as the value it was built into."""
        if not isinstance(self.config.asking, kind):
            raise TypeError(f"`services` built no {kind.__name__} for `{self.config.protocol}`")
        return self.config.asking


Builder = Callable[[VendorSetup], Vendor]


def _cds_hooks(setup: VendorSetup) -> Vendor:
    config = setup.config
    return CDSHooksVendor(
        setup.peer, config.forwarding, config.score, config.model, config.missing, setup.threshold
    )


def _open_inference(setup: VendorSetup) -> Vendor:
    return OpenInferenceVendor(setup.peer, setup.asking(InferenceModel), setup.bare)


def _rest(setup: VendorSetup) -> Vendor:
    return RestJSONVendor(setup.peer, setup.asking(RestForm), setup.bare)


def _python(setup: VendorSetup) -> Vendor:
    return InProcessVendor(setup.service_id, setup.asking(PythonCall), setup.bare, setup.lines)


KINDS: Final[Mapping[str, Builder]] = {
    CDS_HOOKS: _cds_hooks,
    OPEN_INFERENCE: _open_inference,
    MLFLOW: _rest,
    REST: _rest,
    PYTHON: _python,
}


def build_vendor(service: ServiceDefinition, peer: VendorPeer, lines: OperatorLog) -> Vendor:
    """The adapter for the protocol that a service names.

    `ConfigurationRefused` when another package's adapter cannot be loaded or refuses its options.
    """
    setup = VendorSetup(service.id, service.vendor, service.threshold, peer, lines)
    ours = KINDS.get(service.vendor.protocol)
    return ours(setup) if ours else _brought(setup)


def _brought(setup: VendorSetup) -> Vendor:
    protocol = setup.config.protocol
    try:
        builder: Builder = next(iter(entry_points(group=GROUP, name=protocol))).load()
        return builder(setup)
    except StopIteration:
        problem = f"is `{protocol}`, and no installed package brings an adapter of that name any more."
    except (ImportError, AttributeError) as error:
        problem = f"is `{protocol}`, whose adapter cannot be loaded ({type(error).__name__})."
    except ValueError as error:
        problem = f"is `{protocol}`, whose adapter refuses what the file says: {error}."
    raise ConfigurationRefused(
        (Mistake(f"{setup.service_id}/service.yaml", None, None, "vendor.protocol", problem),)
    )
