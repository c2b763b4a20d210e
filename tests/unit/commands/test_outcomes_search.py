"""`outcomes import --fhir` against a server that is broken or hostile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import Result

from tests.fhir import Answering, Asked, Says, fhir_server, outcome, searchset
from tests.unit.commands.test_outcomes_command import COVERS, asked, run, stay


async def searched(folder: Path, answering: Answering) -> tuple[Result, int]:
    """What came of an import, and how often the server was asked."""
    async with fhir_server(answering) as server:
        arguments = ("--fhir", server.base, "--since", "2026-01-01", *COVERS)
        settings = {"CDS_WRAPPER_DEVELOPMENT_FHIR": server.base}
        done = await asyncio.to_thread(lambda: run(folder, *arguments, **settings))
    return done, len(server.asked)


def number_in(request: Asked) -> int:
    return int(request.target.rpartition("page=")[2] or 0) if "page=" in request.target else 0


async def test_pages_that_lead_round_in_a_circle_are_left(tmp_path: Path) -> None:
    def answering(request: Asked) -> Says:
        return Says(searchset(stay("1"), following=f"/fhir/Encounter?page={1 + number_in(request) % 3}"))

    done, requests = await searched(tmp_path, answering)

    assert done.exit_code == 2 and "read before" in done.stderr
    assert requests == 4
    assert asked(tmp_path, "SELECT * FROM follow_up_v1") == []


async def test_pages_that_lead_on_to_nothing_are_left(tmp_path: Path) -> None:
    def answering(request: Asked) -> Says:
        return Says(searchset(following=f"/fhir/Encounter?page={1 + number_in(request)}"))

    done, requests = await searched(tmp_path, answering)

    assert done.exit_code == 2 and "ever more pages" in done.stderr
    assert requests == 101


@pytest.mark.parametrize("link", ["https://elsewhere.example/fhir/Encounter?page=2", "//elsewhere.example/x"])
async def test_a_next_page_elsewhere_is_not_asked_for(tmp_path: Path, link: str) -> None:
    done, requests = await searched(tmp_path, lambda _: Says(searchset(stay("1"), following=link)))

    assert done.exit_code == 2 and "not on that server" in done.stderr
    assert requests == 1
    assert "elsewhere" not in done.output


async def test_a_redirect_is_no_page(tmp_path: Path) -> None:
    away = Says(status=302, headers={"Location": "https://elsewhere.example/"})
    done, requests = await searched(tmp_path, lambda _: away)

    assert (done.exit_code, requests) == (2, 1)


async def test_a_page_that_says_that_it_lacks_results_covers_nothing(tmp_path: Path) -> None:
    done, _ = await searched(tmp_path, lambda _: Says(searchset(stay("1"), outcome())))

    assert done.exit_code == 2 and "not whole" in done.stderr
    assert asked(tmp_path, "SELECT * FROM follow_up_v1") == []


async def test_a_warning_beside_the_results_is_none_of_them(tmp_path: Path) -> None:
    def answering(request: Asked) -> Says:
        told = [stay("1")] if request.target.startswith("/fhir/Encounter") else []
        return Says(searchset(*told, outcome(severity="warning")))

    done, _ = await searched(tmp_path, answering)

    assert done.exit_code == 0, done.output
    assert len(asked(tmp_path, "SELECT * FROM outcomes_v1")) == 1


@pytest.mark.parametrize("entry", [7, {"a": 1}, [None], [{"resource": "text"}]])
async def test_entries_of_another_shape_are_passed_over(tmp_path: Path, entry: object) -> None:
    done, _ = await searched(tmp_path, lambda _: Says(searchset(entry=entry)))

    assert done.exit_code == 0, done.output
