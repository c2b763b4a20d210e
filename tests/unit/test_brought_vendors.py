"""An adapter that another package brings is found by its protocol, and is asked like any other."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.log import OperatorLog
from cds_wrapper.services import ServiceCatalog
from cds_wrapper.services.load import examine_services
from cds_wrapper.services.vendor_kinds import NEEDS
from cds_wrapper.vendor_access import VendorAccess, open_vendors
from cds_wrapper.vendor_kinds import KINDS
from cds_wrapper.vendors.base import Prediction
from tests.service.harness import settings_for
from tests.unit.services.files import with_vendor
from tests.unit.vendors import models

CODE = """
from cds_wrapper.vendors.base import VendorCall

class Constant:
    def __init__(self, bare, value):
        self.bare, self.value = bare, value

    async def predict(self, request, prefetch, features, deadline):
        judged = self.bare.score.judge(self.value)
        return self.bare.prediction(judged, self.bare.model.configured, VendorCall(attempts=1))

def build(setup):
    if "value" not in setup.config.asking:
        raise ValueError("`options.value` is missing")
    return Constant(setup.bare, setup.config.asking["value"])
"""
VENDOR = """\
  protocol: acme
  options: {value: 0.25}
  model: {id: prevent-base, version: "2023.1"}
  score: {kind: probability, range: [0, 1]}
"""


def install(folder: Path, leads_to: str = "acme_adapter:build") -> None:
    """A distribution as pip would lay it down: a module, and metadata with an entry point."""
    (folder / "acme_adapter.py").write_text(CODE)
    metadata = folder / "acme_adapter-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-adapter\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[cds_wrapper.vendors]\nacme = {leads_to}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "acme_adapter", raising=False)
    return folder


async def asked(folder: Path, hooks: Path) -> object:
    examined = examine_services(hooks)
    assert examined.mistakes == ()
    lines = OperatorLog("test", sys.stderr)
    async with AsyncExitStack() as stack:
        catalog, settings = ServiceCatalog(examined.services), settings_for(folder, hooks)
        vendors = await open_vendors(catalog, VendorAccess(), settings, lines, stack)
        (vendor,) = vendors.values()
        return await vendor.predict(models.a_call(), models.sent(), models.found(), models.within())


async def test_it_is_asked_in_the_same_guard_as_our_own(tmp_path: Path, site: Path) -> None:
    install(site)
    outcome = await asked(tmp_path, with_vendor(tmp_path, VENDOR))
    assert isinstance(outcome, Prediction) and (outcome.score, outcome.flagged) == (0.25, True)


async def test_one_that_refuses_its_options_stops_the_start_and_says_why(tmp_path: Path, site: Path) -> None:
    install(site)
    hooks = with_vendor(tmp_path, VENDOR.replace("{value: 0.25}", "{}"))
    with pytest.raises(ConfigurationRefused, match=r"vendor.protocol.*options.value. is missing"):
        await asked(tmp_path, hooks)


async def test_one_that_cannot_be_loaded_stops_the_start(tmp_path: Path, site: Path) -> None:
    install(site, "acme_adapter:nowhere")
    with pytest.raises(ConfigurationRefused, match="cannot be loaded"):
        await asked(tmp_path, with_vendor(tmp_path, VENDOR))


def test_a_protocol_that_nobody_brings_is_a_mistake_in_its_line(tmp_path: Path) -> None:
    (mistake,) = examine_services(with_vendor(tmp_path, VENDOR)).mistakes
    assert mistake.key == "vendor.protocol" and "must be one of: cds-hooks" in mistake.problem
    assert mistake.line is not None


def test_every_protocol_that_a_file_may_name_has_an_adapter_of_ours() -> None:
    assert set(NEEDS) == set(KINDS)
