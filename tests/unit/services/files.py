"""The shipped service as bytes, and ways to spoil it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cds_wrapper.errors import Mistake
from cds_wrapper.services.folders import read_folder
from cds_wrapper.services.reading import FILE_NAMES, SourceFile, read_service

HOOKS = Path(__file__).parents[3] / "hooks"
CVD_RISK = HOOKS / "cvd-risk"
KINDS = {name.removesuffix(".yaml"): kind for kind, name in FILE_NAMES.items()}


def with_vendor(folder: Path, vendor: str, *, thresholds: bool = True) -> Path:
    """A hooks/ of the shipped service alone with another `vendor`; without thresholds, without bands too.

    For a vendor that gives a bare score its file words a card.
    """
    copied = folder / "hooks" / CVD_RISK.name
    shutil.copytree(CVD_RISK, copied)
    service = copied / "service.yaml"
    before, _, rest = service.read_text().partition("vendor:\n")
    after = rest[rest.index("\n\n") :]
    if "protocol: cds-hooks" not in vendor:
        after = with_inputs(after, "age", "sbp", "sex")
    if not thresholds:
        after = after[: after.index("# Cut points")] + after[after.index("identifiers:") :]
    if thresholds and "protocol: cds-hooks" not in vendor:
        after = worded(after)
    service.write_text(f"{before}vendor:\n{vendor}{after}")
    return copied.parent


def with_inputs(service: str, *names: str) -> str:
    """The same with these inputs in the place of the shipped ones."""
    start, end = service.index("features:\n"), service.index("# Cut points")
    how = "prefetch: bmi, codes: [http://loinc.org|1-8], unit: '1', if_missing: omitted"
    inputs = "".join(f"  {name}: {{label: {name}, {how}}}\n" for name in names)
    return (
        f"{service[:start]}features:\n{inputs}\n{service[end:]}" if names else service[:start] + service[end:]
    )


def worded(service: str) -> str:
    """The shipped bands with words for a card, and a card."""
    bands = re.sub(r"- {id: (\w+)", r"- {id: \1, say: \1, indicator: info", service)
    card = 'score_card: {summary: "Risk {score}, {band}", detail: "Calculated from what is on file."}'
    return bands.replace("identifiers:", f"{card}\n\nidentifiers:", 1).replace(
        "{id: treat, say: treat, indicator: info", "{id: treat"
    )


@dataclass(frozen=True, slots=True)
class Spoilt:
    """The mistakes found after a change, and the line the change was made in."""

    line: int
    mistakes: tuple[Mistake, ...]

    def at_the_change(self, file: str) -> list[Mistake]:
        return [found for found in self.mistakes if found.file == file and found.line == self.line]


def spoil(kind: str, old: str, new: str, *, occurrence: int = 1) -> Spoilt:
    """Replace one text in one file of the shipped service, and read the whole service again."""
    folder = read_folder(CVD_RISK)
    source = folder.sources[kind]
    text = source.content.decode()
    assert text.count(old) >= occurrence, f"{old!r} is not in {source.name}"
    at = -1
    for _ in range(occurrence):
        at = text.index(old, at + 1)
    changed = text[:at] + new + text[at + len(old) :]
    sources = {**folder.sources, kind: SourceFile(kind, source.name, changed.encode())}
    return Spoilt(text.count("\n", 0, at) + 1, read_service(sources, folder.table).mistakes)
