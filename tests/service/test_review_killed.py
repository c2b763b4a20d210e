"""A review that is killed, and two at once, beside a process that serves: all or nothing; no call is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from cds_wrapper.commands.replay import replay
from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.editions import findings_in, published_in, reviews_in
from cds_wrapper.ledger.store import LedgerReader
from tests.ports import free_port
from tests.service.harness import ROOT, copy_every_service, request_of
from tests.service.servers import Server, demo_vendor, environment, server
from tests.unit.commands.loop import AS_OF, SERVICE, hospital
from tests.unit.commands.review_killed import PLACES


class Load:
    """One caller, again and again, until told to end."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.is_over = False

    async def call(self, running: Server) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while not self.is_over:
                answer = await client.post(
                    f"{running.url}/cds-services/{SERVICE.id}", json=request_of("home-first-59")
                )
                assert answer.json()["cards"]
                self.statuses[answer.status_code] += 1
                await asyncio.sleep(0.3)


def swapped(running: Server) -> list[str]:
    lines = [json.loads(line) for line in running.log().splitlines()]
    return [line["edition"] for line in lines if line["event"] == "evidence_swapped"]


def killed_at_each_place(running: Server, further: Path, hooks: Path) -> None:
    """After each kill the ledger is whole, and has nothing of a review or all of it."""
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.commands.review_killed", str(running.ledger), str(further)],
        cwd=ROOT,
        env=environment(running.folder, hooks, 0, {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdin is not None and driver.stdout is not None
    for place in PLACES:
        assert driver.stdout.readline().strip() == place.function
        assert audit(running.ledger).findings == audit(further).findings == ()
        found = (
            findings_in(running.ledger),
            published_in(running.ledger),
            reviews_in(running.ledger, SERVICE.id),
        )
        if place is PLACES[-1]:
            assert all(found), "behind the transaction"
        else:
            assert found == ((), {}, ()), place
        assert findings_in(further) == ()
        driver.stdin.write("\n")
        driver.stdin.flush()
    assert driver.wait(timeout=60) == 0, "every one of them died"


def two_at_once(running: Server, further: Path, hooks: Path) -> list[int]:
    line = ["review", "--service", SERVICE.id, "--as-of", AS_OF.isoformat(), "--also", str(further), "--json"]
    key = running.folder / "notify.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    nobody = f"http://127.0.0.1:{free_port()}/"
    settings = {"CDS_WRAPPER_NOTIFY": nobody, "CDS_WRAPPER_NOTIFY_KEY": str(key)}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "cds_wrapper.cli", *line],
            cwd=ROOT,
            env=environment(running.folder, hooks, 0, settings),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    return [one.wait(timeout=300) for one in both]


@pytest.mark.kill
@pytest.mark.slow
async def test_a_killed_review_leaves_all_or_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    further, load = tmp_path / "further.db", Load()
    prepare(further)
    folder = tmp_path / "one"
    folder.mkdir()
    hospital(folder, people=800)
    with demo_vendor() as vendor:
        hooks = copy_every_service(tmp_path, f"{vendor}/")
        for other in ("cvd-risk", "deterioration"):
            shutil.rmtree(hooks / other)
        with server(folder, hooks) as running:
            calls = asyncio.create_task(load.call(running))
            await asyncio.to_thread(killed_at_each_place, running, further, hooks)
            found, published = findings_in(running.ledger), published_in(running.ledger)
            codes = await asyncio.to_thread(two_at_once, running, further, hooks)
            assert sorted(codes) == [9, 10], "one ran, and published although nobody could be told"
            async with asyncio.timeout(60):
                while not swapped(running):
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            load.is_over = True
            await calls
            (edition,) = swapped(running)

    assert findings_in(folder / "ledger.db") == findings_in(further) == found, "none is opened twice"
    assert published_in(folder / "ledger.db") == published_in(further) == published
    assert [one.edition for one in published[SERVICE.id]] == [edition]
    assert len(reviews_in(further, SERVICE.id)) == 2
    assert audit(folder / "ledger.db").findings == audit(further).findings == ()
    reader = LedgerReader(folder / "ledger.db")
    rows = reader.rows("SELECT * FROM predictions_v1 WHERE file_digests IS NOT NULL")
    assert set(load.statuses) == {200} and len(rows) == load.statuses.total()
    seen = {row["evidence_edition"]: row for row in rows}
    assert set(seen) == {SERVICE.book.edition, edition}, "the one before, or the one after"
    assert all(replay(row, reader.kept_file).mismatches == () for row in seen.values())
