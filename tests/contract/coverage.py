"""Writes docs/reference/cds-hooks-coverage.md from the table of requirements.

Run it as `.venv/bin/python -m tests.contract.coverage`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.contract.requirements import Chapter, Level, Requirement, Verdict, chapters, requirements

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cds-hooks-coverage.md"
COMMAND = ".venv/bin/python -m tests.contract.coverage"

HEAD = f"""<!-- Written from tests/contract/requirements/ by `{COMMAND}`; change the rows, not this page. -->

# CDS Hooks: what is met, declined and open

The target is [CDS Hooks 2.0.1](https://cds-hooks.hl7.org/2.0/), the newest published version. Every
requirement is a row with its level and the tests that would fail if it were not met; a row of the level RULE
is our own, where the specification is silent. The wrapper is a service towards the EHR and a client towards
the vendor; a row of the role `ehr` is about what an EHR sends: the right form is accepted, and so are the
deviations EHRs are known for.

- **met**: in full, by the tests named. They run with the whole suite; a missing or skipped one fails it.
- **declined**: not done on purpose, with the reason.
- **open**: not met, or not in full. The note says what is lacking; tests named are for the part that is met.

`INF-n` is the number of the requirement in the Inferno test kit's table for CDS Hooks 2.0.
"""


def page() -> str:
    """The whole page."""
    return "\n\n".join([HEAD.strip(), _summary(), *map(_chapter, chapters())]) + "\n"


def counts() -> Counter[tuple[Level, Verdict]]:
    """How many rows there are of each level and verdict."""
    return Counter((row.level, row.verdict) for row in requirements())


def _summary() -> str:
    counted = counts()
    rows = [
        [level.value, *(str(counted[level, verdict]) for verdict in Verdict)]
        for level in Level
        if any(counted[level, verdict] for verdict in Verdict)
    ]
    totals = [str(sum(counted[level, verdict] for level in Level)) for verdict in Verdict]
    return _table(["level", *(verdict.value for verdict in Verdict)], [*rows, ["all", *totals]])


def _chapter(chapter: Chapter) -> str:
    head = ["id", "level", "role", "requirement", "verdict", "tests and notes"]
    return f"## {chapter.title}\n\n" + _table(head, [_row(row) for row in chapter.rows])


def _row(row: Requirement) -> list[str]:
    roles = ", ".join(role.value for role in row.roles)
    remarks = [*([row.note] if row.note else []), *map(_link, row.tests)]
    return [
        row.id,
        row.level.value,
        roles,
        f"{row.text}<br>*{row.section}*",
        f"**{row.verdict.value}**",
        "<br>".join(remarks),
    ]


def _link(test: str) -> str:
    """A test's name is a sentence; the link leads to its file."""
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../../tests/{file})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
