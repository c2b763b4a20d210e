"""The soak: many calls on one running service, looked at after every tenth of them.

Everything is a process of its own on loopback: the wrapper as it is served, vendors that answer after a
fixed time, the load generator. With a hanging vendor a second service is called all the time, and its vendor
answers in the odd tenths and hangs in the even ones: the other service's times are compared within one run.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from cds_wrapper.bench.calls import write_calls
from cds_wrapper.bench.machine import Machine, this_machine
from cds_wrapper.bench.parts import NotMeasured, Part, free_port, output_of, python, read_text, started
from cds_wrapper.bench.process_meter import open_descriptors, resident_bytes
from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.bench.site_files import PATH, PUBLIC_URL, add_service, prepare_site, signing_key
from cds_wrapper.bench.soak_load import SoakResult
from cds_wrapper.bench.systems import MARKER
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.metrics.table import PREFIX

TENTHS = 10
AT_ONCE = 32
BESIDE_HANGING = 8
"""Callers of the measured service while 32 others call one whose vendor may hang."""

OTHER_SERVICE = "cvd-risk-other"
OTHER_PATH = f"/cds-services/{OTHER_SERVICE}"
LONGEST_TENTH = timedelta(minutes=10)

_QUIET_WITHIN = timedelta(seconds=60)
_PAUSE = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """How many calls of the measured service, against which vendor, and whether another one's may hang."""

    requests: int = 100_000
    vendor_milliseconds: float = 50.0
    hanging: bool = False
    seed: int = 1

    @property
    def steps(self) -> int:
        """How many times `step` is told something."""
        return TENTHS


@dataclass(frozen=True, slots=True)
class Tenth:
    """After one tenth: what was heard, and what the wrapper has open then, with nobody calling."""

    load: SoakResult
    hung: bool
    resident_bytes: int
    descriptors: int
    connections: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The three accounts of one soak: the load generator's, the metrics', the ledger's."""

    sent: int
    answers: int
    withheld: int
    requests: int
    predictions: int
    unrecorded: int
    records: int
    lost: int
    rows: int
    returned_rows: int
    spooled: int


@dataclass(slots=True)
class SoakRun:
    """What was seen, as it was seen."""

    machine: Machine
    options: SoakOptions
    tenths: list[Tenth] = field(default_factory=list)
    totals: Totals | None = None
    exit_code: int = 0

    @property
    def wrong(self) -> dict[str, int]:
        """Answers that were none, by what was wrong with them."""
        found: dict[str, int] = {}
        for tenth in self.tenths:
            for heard in (tenth.load.steady, tenth.load.beside):
                for what, count in heard.wrong.items():
                    found[what] = found.get(what, 0) + count
        return found


def measure_soak(hooks: Path, folder: Path, options: SoakOptions, step: Callable[[str], None]) -> SoakRun:
    """Everything, in `folder`, which must be empty; `NotMeasured` and `ConfigurationRefused` as elsewhere."""
    run = SoakRun(this_machine(folder), options)
    write_calls(scored_calls(), folder / "calls.json")
    with contextlib.ExitStack() as stack:
        soaked = _start(stack, folder, hooks, options)
        for number in range(TENTHS):
            hangs = options.hanging and number % 2 == 1
            step(f"tenth {number + 1}" + (", one vendor hangs" if hangs else ""))
            soaked.other.send(signal.SIGUSR1 if hangs else signal.SIGUSR2)
            run.tenths.append(_tenth(soaked, folder, options, number, hung=hangs))
        run.totals = _totals(run, soaked)
        run.exit_code = soaked.wrapper.stop()
    return run


@dataclass(frozen=True, slots=True)
class _Soaked:
    """What runs."""

    wrapper: Part
    other: Part
    port: int
    metrics_port: int
    site: Path


def _start(stack: contextlib.ExitStack, folder: Path, hooks: Path, options: SoakOptions) -> _Soaked:
    site = folder / "wrapper"
    site.mkdir()
    ports = {name: free_port() for name in ("vendor", "other", "wrapper", "metrics")}
    vendors = {}
    for name in ("vendor", "other"):
        command = python(
            "cds_wrapper.bench.vendor",
            port=ports[name],
            calls=folder / "calls.json",
            milliseconds=options.vendor_milliseconds,
        )
        vendors[name] = stack.enter_context(started(name, command, folder))
    variables = {
        **prepare_site(hooks, site, ports["vendor"]),
        "CDS_WRAPPER_PORT": str(ports["wrapper"]),
        "CDS_WRAPPER_METRICS": str(ports["metrics"]),
    }
    if options.hanging:
        add_service(site / "hooks", OTHER_SERVICE, ports["other"])
    command = [sys.executable, "-m", "cds_wrapper.cli", "serve"]
    wrapper = stack.enter_context(started("operator", command, site, variables))
    for part, name in ((vendors["vendor"], "vendor"), (vendors["other"], "other"), (wrapper, "wrapper")):
        part.wait_until_listening(ports[name])
    return _Soaked(wrapper, vendors["other"], ports["wrapper"], ports["metrics"], site)


def _tenth(soaked: _Soaked, folder: Path, options: SoakOptions, number: int, *, hung: bool) -> Tenth:
    """One tenth of the calls, and then a look at what is left of them."""
    command = python(
        "cds_wrapper.bench.soak_load",
        port=soaked.port,
        metrics_port=soaked.metrics_port,
        path=PATH,
        calls=folder / "calls.json",
        requests=options.requests * (number + 1) // TENTHS - options.requests * number // TENTHS,
        connections=BESIDE_HANGING if options.hanging else AT_ONCE,
        signing_key=signing_key(soaked.site),
        public_url=PUBLIC_URL,
        marker=MARKER,
        seed=options.seed + number,
        most_seconds=LONGEST_TENTH.total_seconds(),
        **({"beside_path": OTHER_PATH} if options.hanging else {}),
    )
    load = msgspec.json.decode(output_of("load", command, folder), type=SoakResult)
    _wait_until_quiet(soaked)
    descriptors, connections = open_descriptors(soaked.wrapper.pid)
    return Tenth(load, hung, resident_bytes(soaked.wrapper.pid), descriptors, connections)


def _wait_until_quiet(soaked: _Soaked) -> None:
    """Return when no call is under way any more and everything that waits is in the ledger and counted."""
    before: Mapping[str, float] = {}
    for _ in range(_QUIET_WITHIN // _PAUSE):
        time.sleep(_PAUSE.total_seconds())
        now = sums_of(read_text(soaked.metrics_port, "/metrics"))
        waiting = ("in_flight_requests", "ledger_queue_depth", "spool_records", "stream_lag_rows")
        counted = ("requests_total", "predictions_total", "records_total")
        if not any(now[name] for name in waiting) and all(now[name] == before.get(name) for name in counted):
            return
        before = now
    raise NotMeasured(f"The wrapper did not come to rest; {soaked.wrapper.log} may say why.")


def sums_of(text: str) -> dict[str, float]:
    """Each of our metrics, summed over its labels."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def _totals(run: SoakRun, soaked: _Soaked) -> Totals:
    counted = sums_of(read_text(soaked.metrics_port, "/metrics"))
    heard = [one for tenth in run.tenths for one in (tenth.load.steady, tenth.load.beside)]
    count = "SELECT count(*) AS n FROM predictions_v1"
    ledger = LedgerReader(soaked.site / "ledger.db")
    return Totals(
        sent=run.options.requests,
        answers=sum(one.answers for one in heard),
        withheld=sum(one.withheld for one in heard),
        requests=int(counted["requests_total"]),
        predictions=int(counted["predictions_total"]),
        unrecorded=int(counted["unrecorded_answers_total"]),
        records=int(counted["records_total"]),
        lost=int(counted["records_lost_total"]),
        rows=int(ledger.rows(count)[0]["n"]),
        returned_rows=int(ledger.rows(f"{count} WHERE delivery <> 'not_returned'")[0]["n"]),
        spooled=int(counted["spool_records"]),
    )
