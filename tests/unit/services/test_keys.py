from __future__ import annotations

import re
from pathlib import Path

import pytest

from cds_wrapper.services.folders import read_folder
from cds_wrapper.services.keys import FILE_FORMATS, keys_of
from cds_wrapper.services.reading import FILE_NAMES
from cds_wrapper.services.yaml_files import read_document
from tests.unit.services.files import CVD_RISK

SHIPPED = sorted(path for path in CVD_RISK.parent.iterdir() if path.is_dir())
NAMED_BY_THE_SITE = (".answers.", ".flags.", ".send_when_missing.", ".where.", ".unless.")


@pytest.mark.parametrize("file_name", FILE_FORMATS)
def test_every_key_says_what_it_means(file_name: str) -> None:
    keys = list(keys_of(FILE_FORMATS[file_name]))
    assert [one.key for one in keys if not one.meaning.endswith((".", "`."))] == []
    assert len({one.key for one in keys}) == len(keys)


@pytest.mark.parametrize(
    ("file_name", "key", "value", "needed"),
    [
        ("service.yaml", "vendor.score.path", "text", False),
        ("service.yaml", "time_budget", "duration", True),
        ("service.yaml", "thresholds[].at", "number", True),
        ("service.yaml", "vendor.missing_inputs.names", "map of names to text", True),
        ("service.yaml", "on_vendor_failure", "`card`, `empty`, `error`", False),
        ("plan.yaml", "without_ledger", "`withhold`", False),
        ("plan.yaml", "wording.*.short", "text", False),
        ("subgroups.yaml", "crossings", "list of list of text", False),
        ("subgroups.yaml", "attributes.race.core", "true or false", True),
        ("model_card.yaml", "evidence.as_of", "date", True),
        ("model_card.yaml", "purpose.users", "text, or a map of `state`, `value`, `source`", False),
        ("model_card.yaml", "evidence.metrics[].where", "map of names to list of text", True),
    ],
)
def test_a_key_as_the_reference_shows_it(file_name: str, key: str, value: str, needed: bool) -> None:
    (found,) = (one for one in keys_of(FILE_FORMATS[file_name]) if one.key == key)
    assert (found.value, found.needed) == (value, needed)


def pattern_of(key: str) -> re.Pattern[str]:
    """The keys a key of the reference stands for: `*` is one name of the site's own."""
    return re.compile(re.escape(key.replace("[]", "")).replace(re.escape("*"), "[^.]+"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
@pytest.mark.parametrize(("kind", "file_name"), FILE_NAMES.items())
def test_every_key_that_is_used_is_in_the_reference(folder: Path, kind: str, file_name: str) -> None:
    source = read_folder(folder).sources[kind]
    document, _ = read_document(source.name, source.content)
    assert document is not None
    keys = [one.key for one in keys_of(FILE_FORMATS[file_name])]
    names = {key.rpartition(".*.")[0] + ".*" for key in keys if ".*." in key}
    known = [pattern_of(key) for key in (*keys, *names)]
    used = {
        ".".join(part for part in path if isinstance(part, str))
        for path in document.places
        if path and isinstance(path[-1], str)
    }
    free = ("labels.", "prefetch.", ".names.", "where.", ".state", ".source", ".value", *NAMED_BY_THE_SITE)
    unknown = {key for key in used if not any(one.fullmatch(key) for one in known)}
    assert {key for key in unknown if not any(part in key for part in free)} == set()
