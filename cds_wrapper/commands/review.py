"""`review`: measure what became of recorded predictions, find, and publish what cards are made with."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from cds_wrapper import log
from cds_wrapper.app import new_prediction_id
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.commands.review_notice import Notices, Receiver, receiver_of
from cds_wrapper.commands.review_notice import tell as tell_of
from cds_wrapper.commands.review_preview import Preview, preview
from cds_wrapper.commands.review_words import in_words
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.editions import findings_in
from cds_wrapper.ledger.followed import follow
from cds_wrapper.ledger.outcome_file import beside, copied, folder_beside
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.log import edition_events
from cds_wrapper.monitoring.past import local_in_force
from cds_wrapper.monitoring.review import Place, publish, review
from cds_wrapper.monitoring.reviewed import Reviewed, document, finding_document
from cds_wrapper.services import ServiceDefinition, examine_services
from cds_wrapper.settings import Settings, read_settings

RUNNING_EXIT: Final = 9
"""Another review of this ledger is running; nothing was done."""

NOT_TOLD_EXIT: Final = 10
"""Reviewed and published, but the owner's address did not take what it was told."""


def command(
    service: Annotated[
        list[str] | None, typer.Option(help="Service to look at, once more for each further one; else all.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day up to which outcomes count (UTC); else today."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing at all; say what would change on cards.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder of exported rows; else one beside the ledger.")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", help="Ledger of a further serving process to publish to; once for each."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with everything.")] = False,
) -> None:
    """Look at every group of a service's patients: figures, findings, and the evidence for cards.

    \b
    It runs beside the service, daily, by a scheduler; twice a day does no harm. Serving processes follow
    within seconds. Findings stand until people close them (`findings close`). A service that cannot be
    reviewed is named with the reason, and the others are.
    Exit codes: 0 done, 2 a setting is wrong, a ledger cannot be read or written or a service could not be
    reviewed, 3 no such service, 9 another review is running, 10 done, but the address of
    `CDS_WRAPPER_NOTIFY` was not reached: the next review tells it.

    \b
    Example: python3 run.py review --service readmission --dry-run
    """
    settings, services = _wanted(service)
    day = as_of.date() if as_of else datetime.now(UTC).date()
    place = Place(settings.ledger_path, data or folder_beside(settings.ledger_path))
    codes = list[int]()
    try:
        receiver = receiver_of(settings)
        with only_one(settings.ledger_path), _place(place, is_trial=dry_run) as there:
            findings_in(there.ledger)  # one that cannot be read at all is spoken of once
            told = [_one(there, one, day, as_json=as_json) for one in services]
            failed = [one for one in told if isinstance(one, Failed)]
            _say(failed)
            if not dry_run:
                codes += _followed(settings.ledger_path, also or ())
            if receiver is not None and not dry_run:
                codes += _told(place, services, receiver)
    except (LedgerUnavailable, ConfigurationRefused) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except OSError as error:
        _refuse(f"{_unwritten(error, place)} Run it again.")
    if as_json:
        found = {"services": [one for one in told if not isinstance(one, Failed)]}
        found |= {"failed": [{"service": one.service_id, "why": one.why} for one in failed]}
        typer.echo(json.dumps({"as_of": day.isoformat(), "dry_run": dry_run, **found}, indent=2))
    if failed or codes:
        raise typer.Exit(min([CONFIGURATION_EXIT] * bool(failed) + codes))


@dataclass(frozen=True, slots=True)
class Failed:
    """A service that could not be reviewed, and why; no review, finding or edition of it was recorded."""

    service_id: str
    why: str


def _say(failed: Sequence[Failed]) -> None:
    """What failed, once for all services with the same reason, such as a disk that is full."""
    for why in dict.fromkeys(one.why for one in failed):
        names = ", ".join(one.service_id for one in failed if one.why == why)
        typer.echo(f"{names}: not reviewed. {why}", err=True)


def _unwritten(error: OSError, place: Place) -> str:
    """A folder that is not there, a disk that is full."""
    where = f"{error.filename} or its folder" if error.filename else f"{place.folder}"
    return f"{where} cannot be written ({error.strerror or type(error).__name__})."


def _followed(recorded: Path, further: Sequence[Path]) -> Iterator[int]:
    """Bring further ledgers up to date; an exit code for each that was not: the next review does it."""
    for ledger in further:
        try:
            follow(recorded, ledger)
        except (LedgerUnavailable, ConfigurationRefused) as error:
            tell(error)
            yield CONFIGURATION_EXIT
        except OSError as error:
            typer.echo(f"{ledger} cannot be written ({error.strerror}): the next review does it.", err=True)
            yield CONFIGURATION_EXIT


def _told(place: Place, services: Sequence[ServiceDefinition], receiver: Receiver) -> Iterator[int]:
    """Tell the owners; an exit code for each service whose owner was not told."""
    for one in services:
        try:
            if not _told_of(place.ledger, one, receiver):
                yield NOT_TOLD_EXIT
        except LedgerUnavailable as error:
            tell(error)
            yield CONFIGURATION_EXIT
        except OSError as error:
            typer.echo(f"{one.id}: {_unwritten(error, place)} The next review tells it.", err=True)
            yield CONFIGURATION_EXIT


def _wanted(names: Sequence[str] | None) -> tuple[Settings, list[ServiceDefinition]]:
    try:
        settings = read_settings()
    except ConfigurationRefused as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    examined = examine_services(settings.hooks)
    if examined.mistakes:
        tell(ConfigurationRefused(examined.mistakes))
        raise typer.Exit(CONFIGURATION_EXIT)
    by_id = {one.id: one for one in reversed(examined.services)}
    for name in names or ():
        if name not in by_id:
            _refuse(f"There is no service `{name}`; there are {', '.join(by_id)}.", NOT_FOUND_EXIT)
    return settings, [one for name, one in reversed(by_id.items()) if not names or name in names]


def _refuse(sentence: str, code: int = CONFIGURATION_EXIT) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def only_one(ledger: Path) -> Iterator[None]:
    """Hold the lock of reviews of a ledger; a second one ends at once."""
    with ledger.with_name(f"{ledger.name}.review-lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _refuse("Another review of this ledger is running; nothing was done.", RUNNING_EXIT)
        yield


@contextlib.contextmanager
def _place(place: Place, *, is_trial: bool) -> Iterator[Place]:
    """The place itself; for a trial with a folder beside the ledger, which goes afterwards.

    One that was killed leaves it, and the next review takes it away: it holds health data.
    """
    folder = place.ledger.with_name(f".{place.ledger.stem}-dry-run")
    shutil.rmtree(folder, ignore_errors=True)
    if not beside(place.ledger).exists():
        _refuse(f"No outcomes were imported beside {place.ledger}: see `outcomes import`.")
    if not is_trial:
        yield place
        return
    try:
        folder.mkdir(mode=0o700)
        copied(beside(place.ledger), folder / "outcomes.db")
        yield replace(place, trial=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one(place: Place, service: ServiceDefinition, day: date, *, as_json: bool) -> dict[str, Any] | Failed:
    """Review one service, publish unless it is a trial, and say it; a failure is no other service's."""
    about: dict[str, object] = {}
    try:
        ended = _reviewed(place, service, day)
    except (LedgerUnavailable, ConfigurationRefused) as error:
        ended = error.sentence
    except OSError as error:
        ended = f"{_unwritten(error, place)} Run it again."
    except Exception as error:  # noqa: BLE001  a fault with one service must not take the others' review
        about = {"error": type(error).__name__, "frames": log.frames_of(error)}
        ended = f"A fault of the program, or a row that it cannot read ({about['error']}); {_LOG}"
    if isinstance(ended, str):
        events = log.OperatorLog("review")
        events.emit(edition_events.REVIEW_FAILED, service_id=service.id, problem=ended, **about)
        return Failed(service.id, ended)
    done, seen = ended
    if place.trial is None:
        _notify(done)
    if not as_json:
        for line in in_words(done, seen):
            typer.echo(line)
    found = document(done) | {"opened": [finding_document(one) for one in done.opened]}
    return found | ({"cards": seen.document()} if seen else {})


_LOG: Final = "`review_failed` in the operator log says where it happened."


def _reviewed(place: Place, service: ServiceDefinition, day: date) -> tuple[Reviewed, Preview | None] | str:
    """Look, and publish or preview; a sentence where it may not."""
    last = local_in_force(place.ledger, service)
    if last is not None and last.as_of > day and place.trial is None:
        return f"An edition as of {last.as_of} is in force; look back with --dry-run."
    done = review(place, service, day, lambda part: _progress(service, part))
    if place.trial is not None:
        return done, _preview(place, done)
    publish(place, done, lambda: str(new_prediction_id()))
    return done, None


def _progress(service: ServiceDefinition, part: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"{service.id}: {part} ...", err=True)


def _preview(place: Place, done: Reviewed) -> Preview:
    after = done.edition or done.before
    return preview(LedgerReader(place.ledger), done.service, (done.before, after), done.figures.as_of)


def _told_of(ledger: Path, service: ServiceDefinition, receiver: Receiver) -> bool:
    """Tell of every finding of a service that is open and was not told; whether none is left."""
    notices = Notices(ledger)
    waiting = notices.untold(service.id, [one for one in findings_in(ledger, service.id) if one.is_open])
    if not waiting:
        return True
    lines = log.OperatorLog("review")
    why = tell_of(receiver, service.id, service.plan.monitoring, waiting, lambda: datetime.now(UTC))
    if why is not None:
        lines.emit(edition_events.FINDINGS_NOT_TOLD, service_id=service.id, findings=len(waiting), reason=why)
        typer.echo(
            f"{service.id}: CDS_WRAPPER_NOTIFY was not reached ({why}); the next review tells it.", err=True
        )
        return False
    notices.add(service.id, waiting, receiver)
    lines.emit(edition_events.FINDINGS_TOLD, service_id=service.id, findings=len(waiting))
    return True


def _notify(done: Reviewed) -> None:
    """The operator log: who watches it hears of findings as of everything else."""
    lines = log.OperatorLog("review")
    for one in done.opened:
        lines.emit(
            edition_events.FINDING_OPENED,
            service_id=done.service.id,
            finding_id=one.finding_id,
            kind=one.kind,
            direction=one.direction,
            since=one.since.isoformat(),
        )
    if done.edition is not None:
        lines.emit(
            edition_events.EVIDENCE_PUBLISHED,
            service_id=done.service.id,
            edition=done.edition.edition,
            digest=done.edition.digest,
            as_of=done.figures.as_of.isoformat(),
        )
    lines.emit(
        edition_events.REVIEW_COMPLETED,
        service_id=done.service.id,
        as_of=done.figures.as_of.isoformat(),
        episodes=done.episodes,
        opened=len(done.opened),
        findings=len(done.standing),
        dated=done.dated,
    )
