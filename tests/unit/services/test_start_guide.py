"""The folder that the guide for a first service shows is one that the program takes, for each protocol."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.services import load_services

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "start-a-services-folder.md"
SERVICE, MLFLOW, REST, CARD, SUBGROUPS, PLAN = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
_VENDOR = re.compile(r"  protocol: open-inference\n.*?(?=  score:)", re.DOTALL)
_VENDOR_AND_SCORE = re.compile(r"  protocol: open-inference\n.*?(?=  model: \{id)", re.DOTALL)
SERVICES = {
    "open-inference": SERVICE,
    "mlflow": _VENDOR.sub(MLFLOW, SERVICE),
    "rest": _VENDOR_AND_SCORE.sub(REST, SERVICE),
}


def folder(hooks: Path, service: str, digest: str) -> Path:
    """The four files of the guide, with the digest that its `plan.yaml` leaves open."""
    files = {"service": service, "model_card": CARD, "subgroups": SUBGROUPS}
    files["plan"] = PLAN.replace('"sha256:..."', f'"sha256:{digest}"')
    (hooks / "falls").mkdir()
    for name, text in files.items():
        (hooks / "falls" / f"{name}.yaml").write_text(text)
    return hooks


@pytest.mark.parametrize("protocol", SERVICES)
def test_the_four_files_are_taken_as_they_stand(protocol: str, tmp_path: Path) -> None:
    digest = sha256(CARD.encode()).hexdigest()
    (service,) = load_services(folder(tmp_path, SERVICES[protocol], digest))
    assert service.vendor.protocol == protocol and service.features is not None


def test_check_says_which_digest_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        load_services(folder(tmp_path, SERVICE, "0" * 64))
    (mistake,) = refused.value.mistakes
    assert f"sha256:{sha256(CARD.encode()).hexdigest()}" in mistake.problem and mistake.line == 2
