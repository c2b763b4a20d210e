"""`outcomes import`: what became of patients, out of the hospital's own files or its FHIR server."""

from __future__ import annotations

import enum
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from cds_wrapper import log
from cds_wrapper.commands.outcome_files import Bar, Form, Rejects, read_by, rows_of, sources_of
from cds_wrapper.commands.outcome_links import Linked
from cds_wrapper.commands.outcome_search import door_of, found_rows
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.ehr.clients import KnownClients
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable, UnreadableFile
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcomes import FollowUp, Imported, Refused, Row, Subject, import_rows
from cds_wrapper.ledger.predicted import Predicted, predicted
from cds_wrapper.ledger.pseudonyms import read_every_key
from cds_wrapper.log.outcome_events import OUTCOMES_IMPORTED
from cds_wrapper.services import examine_clients, examine_services
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.outcomes import Outcome
from cds_wrapper.settings import Settings, read_settings

REJECTED_EXIT: Final = 4


class Action(enum.Enum):
    """What is done."""

    IMPORT = "import"


def command(  # noqa: PLR0913, PLR0917  each is an option of the command line
    action: Annotated[Action, typer.Argument(help="`import`.")],
    service: Annotated[str, typer.Option(help="Service whose outcome they tell.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV, Parquet or NDJSON files (also .gz); of an export, Patient among them."),
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Name of the outcome; without it that which the score predicts.")
    ] = None,
    covers: Annotated[
        list[str] | None,
        typer.Option(
            help="Days on which every event would be in these files, `2026-01-01/2026-02-01` (the second one"
            " left out). Without it a patient without an event is not known to have had none."
        ),
    ] = None,
    site: Annotated[str | None, typer.Option(help="The site whose patients they cover; else all.")] = None,
    form: Annotated[Form | None, typer.Option("--format", help="What the files are.")] = None,
    fhir: Annotated[
        str | None, typer.Option(help="Search this FHIR server, of `clients.yaml`, instead of reading files.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="With --fhir: what changed on this day or later, `2026-01-01`.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(help="EHR of `clients.yaml` whose FHIR ids are in the files, if several.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where refused rows are listed, line and reason; mode 0600.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with the counts.")] = False,
) -> None:
    """Import outcomes, by what `service.yaml` declares of them, under the pseudonyms of the predictions.

    \b
    It runs beside the service and may be run again: a row that says nothing new is not written twice, and an
    import that was cut off goes on. A later row of the same outcome replaces the earlier one; both stay.
    Exit codes: 0 imported, 2 a setting, a file or a server cannot be used, 3 no such service, outcome or
    client, 4 imported but for rows that were refused.

    \b
    Example: python3 run.py outcomes import Patient.ndjson Encounter.ndjson --service readmission \\
             --covers 2026-01-01/2026-02-01
    """
    del action
    settings, definition = _service(service)
    declared = _outcome(definition, outcome)
    follow_up = [_period(text, site) for text in covers or ()]
    where = rejects or beside(settings.ledger_path).with_name("outcomes-rejected.jsonl")
    total: dict[str, Imported] = {}
    try:
        with ExitStack() as stack:
            known = _predicted(settings.ledger_path, service, stack)
            run = _Run(settings, definition, declared, follow_up, dry_run, Rejects(where, stack), known)
            bar = stack.enter_context(Bar())
            if fhir is not None:
                run.search(fhir, _day(since), bar, total)
            else:
                run.files(files or [], form, client, bar, total)
    except (LedgerUnavailable, ConfigurationRefused) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except UnreadableFile as error:
        _refuse(error.sentence)
    except OSError as error:
        _refuse(f"{error.filename} cannot be read or written ({error.strerror}).")
    _say(total, run.linked, where, as_json, dry_run)
    _warn(run.linked, service)
    if any(one.rejected for one in total.values()):
        raise typer.Exit(REJECTED_EXIT)


def _predicted(ledger: Path, service: str, stack: ExitStack) -> Predicted | None:
    """What the rows are compared with; None without a ledger: they may be imported before it is there."""
    if not ledger.exists():
        return None
    try:
        return stack.enter_context(predicted(ledger, service))
    except LedgerUnavailable as error:
        typer.echo(f"{error.sentence} Whether rows are of patients with a prediction is not known.", err=True)
        return None


def _refuse(sentence: str, code: int = CONFIGURATION_EXIT) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _service(name: str) -> tuple[Settings, ServiceDefinition]:
    try:
        settings = read_settings()
    except ConfigurationRefused as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    examined = examine_services(settings.hooks)
    found = next((one for one in examined.services if one.id == name), None)
    if found is None:
        _refuse(f"There is no service `{name}` in {settings.hooks}: see `check`.", NOT_FOUND_EXIT)
    return settings, found


def _outcome(service: ServiceDefinition, name: str | None) -> Outcome:
    every = (service.outcome, *service.further_outcomes)
    found = next((one for one in every if name in {None, one.name}), None)
    if found is None:
        known = ", ".join(one.name for one in every)
        _refuse(f"`{service.id}` declares no outcome `{name}`; it has {known}.", NOT_FOUND_EXIT)
    return found


def _period(text: str, site: str | None) -> FollowUp:
    try:
        first, last = (date.fromisoformat(part) for part in text.split("/"))
    except ValueError:
        _refuse(f"--covers {text} is no stretch of days: write `2026-01-01/2026-02-01`.")
    if first >= last:
        _refuse(f"--covers {text} ends before it begins.")
    return FollowUp(first, last, site)


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        _refuse("--fhir needs --since, a day such as 2026-01-01: what changed from then on is searched for.")


def _clients(settings: Settings) -> KnownClients | None:
    examined = examine_clients(settings.hooks)
    if examined.mistakes:
        raise ConfigurationRefused(examined.mistakes)
    return examined.known


def _namespace(settings: Settings, name: str | None) -> str:
    """The system of the FHIR ids in the files: that of the EHR's calls, else no prediction is found again."""
    known = _clients(settings)
    namespaces = {one.name: one.namespace or settings.namespace for one in known.clients} if known else {}
    if name is not None:
        if name not in namespaces:
            _refuse(f"clients.yaml has no client `{name}`.", NOT_FOUND_EXIT)
        return namespaces[name]
    if len(set(namespaces.values())) > 1:
        _refuse(f"--client: whose FHIR ids are these? Clients are {', '.join(sorted(namespaces))}.")
    return next(iter(namespaces.values()), settings.namespace)


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of the command; each method adds to `total` what came of a source, and to `linked` of whom."""

    settings: Settings
    service: ServiceDefinition
    outcome: Outcome
    follow_up: list[FollowUp]
    is_trial: bool
    rejects: Rejects
    predicted: Predicted | None = None
    linked: dict[str, Linked] = field(default_factory=dict)

    def files(
        self, paths: list[Path], form: Form | None, client: str | None, bar: Bar, total: dict[str, Imported]
    ) -> None:
        """Import files one after the other.

        What they cover is said with the last one: until then an event may be in a file not read yet.
        """
        if not paths:
            raise UnreadableFile("Name the files to import, or a server with --fhir.")
        sources = sources_of(paths, form)
        is_fhir = any(one.form is Form.FHIR for one in sources)
        every = self._keys(_namespace(self.settings, client) if is_fhir else self.settings.namespace)
        for keys in every:
            digest, now = read_by(self.outcome, sources, keys, bar), datetime.now(UTC)
            for one in sources:
                covered = self.follow_up if one is sources[-1] and keys is every[-1] else []
                subject = self._subject(one.digest, one.form.value, digest)
                rows = rows_of(one, self.outcome, keys, now, bar.opens("rows of"))
                self._import(str(one.path), subject, rows, covered, total)

    def search(self, server: str, since: date, bar: Bar, total: dict[str, Imported]) -> None:
        """Import what searches of a FHIR server find."""
        now = datetime.now(UTC)
        door, client = door_of(server, _clients(self.settings), self.settings)
        named = client.namespace if client is not None else None
        every = self._keys(named or self.settings.namespace)
        for keys in every:
            told = f"{door.base}|{since.isoformat()}|{now.isoformat()}|{keys.pseudonyms.number}"
            subject = self._subject(hashlib.sha256(told.encode()).hexdigest(), Form.FHIR.value, "")
            rows = found_rows(door, since, self.outcome, keys, self.settings, now)
            covered = self.follow_up if keys is every[-1] else []
            self._import(door.base, subject, rows, covered, total, bar.counts("found"))

    def _subject(self, digest: str, form: str, read_with: str) -> Subject:
        return Subject(self.service.id, self.outcome.name, digest, form, read_with)

    def _keys(self, namespace: str) -> tuple[Keys, ...]:
        """Those in force first: a prediction from before a change of keys is found under the keys it has."""
        if self.settings.pseudonym_keys is None:
            _refuse("CDS_WRAPPER_PSEUDONYM_KEYS is not set: outcomes need the keys of the predictions.")
        identifiers = self.service.identifiers
        made = read_every_key(self.settings.pseudonym_keys)
        systems = identifiers.patient, identifiers.encounter
        names = self.service.id, self.outcome.name
        return tuple(Keys(one, namespace, *systems, *names, is_oldest=one is made[-1]) for one in made)

    def _import(
        self,
        name: str,
        subject: Subject,
        rows: Iterator[tuple[int, Row]],
        follow_up: Iterable[FollowUp],
        total: dict[str, Imported],
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Rows under further keys are the same rows: they are listed and counted once."""
        is_told = self.is_trial or name in total
        linked = None if self.predicted is None else self.linked.setdefault(name, Linked(self.predicted))

        def refuse(line: int, why: Refused) -> None:
            if linked is not None:
                linked.refused(line)
            if not is_told:
                self.rejects.add(name, line, why)

        started = time.monotonic()
        done = import_rows(
            beside(self.settings.ledger_path),
            subject,
            rows if linked is None else linked.passing(rows),
            follow_up,
            refuse,
            told,
            is_trial=self.is_trial,
        )
        if linked is not None and not done.was_done:
            linked.went_on_at(done.went_on_at)
        if not self.is_trial and not done.was_done:
            log.OperatorLog("outcomes").emit(
                OUTCOMES_IMPORTED,
                service_id=subject.service_id,
                outcome=subject.outcome,
                form=subject.form,
                read=done.read,
                written=done.written,
                same=done.same,
                rejected=sum(done.rejected.values()),
                seconds=round(time.monotonic() - started, 3),
            )
        if name in total:
            total[name].with_older_keys(done)
        else:
            total[name] = done


def _say(
    total: dict[str, Imported], linked: dict[str, Linked], rejects: Path, as_json: bool, is_trial: bool
) -> None:
    if as_json:
        told = {
            name: {
                "read": one.read,
                "written": one.written,
                "said_before": one.same,
                "rejected": dict(one.rejected),
                "was_done": one.was_done,
                **_of_whom(None if one.was_done else linked.get(name)),
            }
            for name, one in total.items()
        }
        typer.echo(json.dumps(told))
        return
    for name, one in total.items():
        if one.was_done:
            typer.echo(f"{name}: imported before; nothing was written.")
            continue
        written, see = ("would be written", "") if is_trial else ("written", f" (see {rejects})")
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(one.rejected.items()))
        typer.echo(
            f"{name}: {one.read} rows read, {one.written} {written}, {one.same} said nothing new"
            + (f"; refused: {refused}{see}" if refused else "")
        )
        if found := linked.get(name):
            whom = "of patients with a recorded prediction"
            how_many = f"{found.linked} of {found.accepted}" if found.is_known else "It is not known how many"
            typer.echo(f"  {how_many} accepted rows are {whom}.")


def _warn(linked: dict[str, Linked], service: str) -> None:
    for name, one in linked.items():
        if warning := one.warning(name, service):
            typer.echo(f"Warning: {warning}", err=True)


def _of_whom(found: Linked | None) -> dict[str, int | None]:
    """Of this run's rows; null where they were not looked at, or no ledger could be read."""
    return {
        "accepted": found.accepted if found else None,
        "of_predicted_patients": found.linked if found and found.is_known else None,
    }
