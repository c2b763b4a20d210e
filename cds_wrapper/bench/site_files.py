"""The hospital's side of a benchmark: the repository's service with this run's vendor, keys, settings."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from cds_wrapper.bench.tokens import make_keys
from cds_wrapper.demo.supervisor import VENDOR_IN_HOOKS
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.ledger.pseudonyms import create_keys

SERVICE = "cvd-risk"
PATH = f"/cds-services/{SERVICE}"
PUBLIC_URL = "http://127.0.0.1:8080"
"""Where the service says that it is reached, and so whom a token is for; it need not listen there."""

AUDIENCE = PUBLIC_URL + PATH


def signing_key(folder: Path) -> Path:
    """The file with which the EHR signs, in a folder that `prepare_site` has prepared."""
    return folder / "signing-key.json"


def add_service(hooks: Path, service: str, vendor: int) -> None:
    """A second service like the first, with a vendor of its own; `hooks` was prepared by `prepare_site`."""
    shutil.copytree(hooks / SERVICE, hooks / service)
    file = hooks / service / "service.yaml"
    text = file.read_text(encoding="utf-8").replace(f"id: {SERVICE}\n", f"id: {service}\n", 1)
    file.write_text(
        re.sub(r"http://127\.0\.0\.1:\d+/", f"http://127.0.0.1:{vendor}/", text), encoding="utf-8"
    )


def prepare_site(source: Path, folder: Path, vendor: int) -> dict[str, str]:
    """Copy the service into `folder` with the vendor's port; the settings as variables, without the port.

    One EHR may call, with tokens signed by `signing_key`. Ledger, keys and whatever the service makes of its
    own lie in `folder`, which must be the process's own.
    `ConfigurationRefused` when `source` does not hold the service as it is shipped: a benchmark must never
    reach a real vendor.
    """
    hooks = folder / "hooks"
    original = source / SERVICE / "service.yaml"
    if not original.is_file() or VENDOR_IN_HOOKS not in original.read_text(encoding="utf-8"):
        problem = f"is `{source}`: the benchmark needs the service `{SERVICE}` as the repository ships it."
        raise ConfigurationRefused((Mistake("environment", None, None, "CDS_WRAPPER_HOOKS", problem),))
    shutil.copytree(source / SERVICE, hooks / SERVICE)
    text = original.read_text(encoding="utf-8").replace(VENDOR_IN_HOOKS, f"http://127.0.0.1:{vendor}/")
    (hooks / SERVICE / "service.yaml").write_text(text, encoding="utf-8")
    make_keys(hooks, signing_key(folder))
    keys = folder / "keys.json"
    create_keys(keys, "bench")
    return {
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_HOOKS": str(hooks),
        "CDS_WRAPPER_PUBLIC_URL": PUBLIC_URL,
        "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "CDS_WRAPPER_PSEUDONYM_KEYS": str(keys),
        "CDS_WRAPPER_NAMESPACE": "https://ehr.example/fhir",
    }
