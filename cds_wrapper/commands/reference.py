"""Writes docs/reference/ from the code's own tables, so that a page cannot say what the code does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from cds_wrapper import errors
from cds_wrapper.cds_library import HOOKS
from cds_wrapper.commands.problems import MISMATCH_EXIT
from cds_wrapper.commands.table import COMMANDS, build
from cds_wrapper.ledger.columns import COLUMNS, DECISION_COLUMNS, SUBGROUP_COLUMNS, Column, Kind
from cds_wrapper.ledger.edition_columns import EDITION_COLUMNS, FINDING_COLUMNS, REVIEW_COLUMNS
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.ledger.lines import CUT, KINDS, LONGEST
from cds_wrapper.ledger.outcome_columns import FOLLOW_UP_COLUMNS, OUTCOME_COLUMNS
from cds_wrapper.log import EVENTS
from cds_wrapper.metrics.table import METRICS
from cds_wrapper.services.keys import FILE_FORMATS, keys_of
from cds_wrapper.services.profiles_file import ProfileName, profile_of
from cds_wrapper.settings import Settings
from cds_wrapper.vendors.reasons import Reason

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
GENERATED = "<!-- Written from the code by `python3 run.py reference`; change the code, not this page. -->"


def command(
    folder: Annotated[Path, typer.Option(help="Where the pages are written.")] = REFERENCE,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 4 when a page is stale.")
    ] = False,
) -> None:
    """Write the reference pages from the code's own tables.

    \b
    Exit codes: 0 written or up to date, 4 a page is stale.

    \b
    Example: python3 run.py reference
    """
    stale = [name for name, text in pages(build(COMMANDS)).items() if _text_of(folder / name) != text]
    if not check:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages(build(COMMANDS)).items():
            (folder / name).write_text(text)
    for name in stale:
        typer.echo(f"{folder / name} {'is stale' if check else 'written'}")
    if check and stale:
        raise typer.Exit(MISMATCH_EXIT)


def _text_of(page: Path) -> str | None:
    return page.read_text() if page.exists() else None


def pages(commands: typer.Typer) -> dict[str, str]:
    """Every reference page by file name."""
    makers: Mapping[str, Callable[[], str]] = {
        "settings.md": settings_page,
        "commands.md": lambda: commands_page(commands),
        "events.md": events_page,
        "metrics.md": metrics_page,
        "errors.md": errors_page,
        "predictions_v1.md": columns_page,
        "decisions_v1.md": decisions_page,
        "editions_v1.md": editions_page,
        "episodes_v1.md": episodes_page,
        "prediction-stream.md": stream_page,
        "hospital-files.md": files_page,
        "ehr-profiles.md": profiles_page,
        "hooks.md": hooks_page,
        "vendor-reasons.md": reasons_page,
    }
    return {name: f"{GENERATED}\n\n{make()}\n" for name, make in makers.items()}


def settings_page() -> str:
    """The environment variables."""
    rows = [
        (
            f"`CDS_WRAPPER_{name.upper()}`",
            _default(None if field.is_required() else field.get_default()),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return "# Settings\n\nRead once from the environment when a process starts.\n\n" + _table(
        ("variable", "default", "meaning"), rows
    )


def _default(value: object) -> str:
    if value is None:
        return "none"
    return f"`{getattr(value, 'value', value)}`"


def events_page() -> str:
    """The operator log's list of events."""
    rows = [
        (
            f"`{event.name}`",
            event.level.value,
            event.meaning,
            ", ".join(f"`{name}`" for name in sorted(event.fields)),
        )
        for event in EVENTS.values()
    ]
    intro = (
        "# Events of the operator log\n\n"
        "One JSON object per line. Every line has `ts`, `level`, `event`, `writer` and `version`; an event"
        " carries no field but those named here, and none of them holds patient data.\n\n"
    )
    return intro + _table(("event", "level", "meaning", "fields"), rows)


def metrics_page() -> str:
    """What `/metrics` tells."""
    rows = [
        (
            f"`{metric.full_name}`",
            metric.kind.value,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.meaning,
        )
        for metric in METRICS.values()
    ]
    intro = (
        "# Metrics\n\n"
        "`/metrics` at the address that the setting `CDS_WRAPPER_METRICS` names, as text or as OpenMetrics."
        " Units are seconds and bytes. The value of a label comes from the hospital's files or from a closed"
        " list, never from a request; what neither knows is `other`. Counts begin at 0 with each process."
        " Beside these there are the client library's own about the process: `process_resident_memory_bytes`,"
        " `process_open_fds` and the like.\n\n"
    )
    return intro + _table(("metric", "kind", "labels", "meaning"), rows)


def errors_page() -> str:
    """The error tree and what each looks like from outside."""
    rows = [
        (
            f"`{kind.__name__}`",
            str(kind.http_status),
            f"`{kind.issue_code}`",
            f"`{kind.reason}`",
            (kind.__doc__ or "").splitlines()[0],
        )
        for kind in _tree(errors.WrapperError)
    ]
    intro = (
        "# Errors\n\n"
        "Over HTTP every error is an OperationOutcome with one safe sentence. A command that meets one prints"
        " it and exits with the number its help page names.\n\n"
    )
    return intro + _table(("error", "HTTP status", "issue code", "reason in the log", "meaning"), rows)


def _tree(kind: type[errors.WrapperError]) -> Iterator[type[errors.WrapperError]]:
    yield kind
    for child in sorted(kind.__subclasses__(), key=lambda one: one.__name__):
        yield from _tree(child)


def columns_page() -> str:
    """The contract with monitoring teams."""
    rows = [(f"`{column.name}`", column.kind.value, column.meaning) for column in COLUMNS]
    intro = (
        "# `predictions_v1`\n\n"
        "One row per call of a CDS service, whatever became of it. Columns are only added; a column that"
        " would change its meaning comes with `predictions_v2`. Times are text, UTC, ISO 8601 with"
        " milliseconds and `Z`; unknown is `null`, never -1, 0 or an empty text.\n\n"
    )
    return intro + _table(("column", "kind", "meaning"), rows)


def decisions_page() -> str:
    """What people decided, as monitoring teams and boards read it."""
    rows = [(f"`{column.name}`", column.kind.value, column.meaning) for column in DECISION_COLUMNS]
    intro = (
        "# `decisions_v1`\n\n"
        "One row per order that was given about a service. The last one about a service is in force; rows are"
        " chained and audited like all others, and stay when predictions are erased. Lines of"
        " `export decisions` hold the same as `decision.v1`.\n\n"
    )
    return intro + _table(("column", "kind", "meaning"), rows)


def editions_page() -> str:
    """What reviews saw, published and opened."""
    intro = (
        "# `reviews_v1`, `editions_v1` and `findings_v1`\n\n"
        "What `review` wrote. Rows are never altered; `number` counts those of a view. The last edition of a"
        " service is in force in every process that can use it. A finding stands from the row that opened it"
        " to the one that closed it.\n\n"
    )
    tables = {"reviews_v1": REVIEW_COLUMNS, "editions_v1": EDITION_COLUMNS, "findings_v1": FINDING_COLUMNS}
    return intro + _views(tables)


def episodes_page() -> str:
    """What became of patients, and the table that measures are made from."""
    intro = (
        "# `episodes_v1`, `episode_outcomes_v1`, `outcomes_v1` and `follow_up_v1`\n\n"
        "They are in a database of their own beside the ledger (`ledger-outcomes.db` for `ledger.db`) and in"
        " the folders `episodes`, `episode_outcomes`, `outcomes` and `follow_up` of an export. Episodes are"
        " made anew for a day by `export episodes`: only `event` and `no_event` belong into a denominator."
        " In `outcomes_v1` rows are never altered: a later row of an `outcome_id` replaces the earlier one,"
        " and `is_current` (in the view alone) says which stands. `prediction_subgroups_v1` is a view of the"
        " ledger.\n\n"
    )
    return intro + _views(
        {
            "episodes_v1": EPISODE_COLUMNS,
            "episode_outcomes_v1": FURTHER_COLUMNS,
            "outcomes_v1": OUTCOME_COLUMNS,
            "follow_up_v1": FOLLOW_UP_COLUMNS,
            "prediction_subgroups_v1": SUBGROUP_COLUMNS,
        }
    )


def _views(tables: Mapping[str, Sequence[Column]]) -> str:
    return "\n".join(
        f"## `{name}`\n\n"
        + _table(
            ("column", "kind", "meaning"),
            [(f"`{column.name}`", column.kind.value, column.meaning) for column in columns],
        )
        for name, columns in tables.items()
    )


def stream_page() -> str:
    """The lines of the prediction stream."""
    intro = (
        "# The lines of the prediction stream\n\n"
        "One flat JSON object in UTF-8 for each row of the ledger, at most"
        f" {LONGEST:,} bytes with its newline. Members stand in this order; unknown is `null`, and a list"
        " holds texts. `writer` and `sequence` name a row within its schema: the same line may come twice,"
        " with the same bytes. Where a row would make a longer line, lists are shortened and the rest is"
        " counted in `<name>_more`; if that is not enough, long texts end in `…`."
        f" `{CUT.name}` then lists the names of what was shortened; the ledger has it whole.\n\n"
        "Of the columns of `predictions_v1`, the wide ones (demographics, inputs, changes, file digests) and"
        " `previous_hash` stay there. So `hash` cannot be computed again from a line: it is there to be"
        " compared with the ledger's."
    )
    parts = [intro]
    for kind in KINDS:
        rows = [(f"`{column.name}`", _in_a_line(column.kind), column.meaning) for column in kind.columns]
        parts.append(f"## `{kind.schema}`\n\n" + _table(("member", "kind", "meaning"), rows))
    return "\n\n".join(parts)


def _in_a_line(kind: Kind) -> str:
    return "list" if kind is Kind.JSON else kind.value


def files_page() -> str:
    """Every key of the hospital's files."""
    intro = (
        "# The hospital's files\n\n"
        "One folder `hooks/<service-id>/` with four files for each CDS service, and `hooks/clients.yaml` for"
        " the EHRs that may call. An unknown key is an error; `[]` stands for each item of a list, `*` for a"
        " name of your own."
    )
    parts = [intro]
    for name, file_format in FILE_FORMATS.items():
        rows = [
            (f"`{key.key}`", key.value, "yes" if key.needed else "", key.meaning)
            for key in keys_of(file_format)
        ]
        parts.append(f"## `{name}`\n\n" + _table(("key", "holds", "needed", "meaning"), rows))
    return "\n\n".join(parts)


def reasons_page() -> str:
    """Why there is no score: the reasons that adapters give."""
    rows = [(f"`{reason.value}`", reason.meaning) for reason in Reason]
    intro = (
        "# Why an answer is not used\n\n"
        "`status` of a record says how a call ended; `reason` says more where there is more to say. These are"
        " the reasons that come from reading a vendor's answer or from not asking it. Those of the way to it"
        " (`dns`, `tls`, `cut_off` and others) are words of their own. A vendor's own words are never"
        " repeated, not in the record and not in the log.\n\n"
    )
    return intro + _table(("reason", "meaning"), rows)


def profiles_page() -> str:
    """What each shipped profile sets, and why."""
    intro = (
        "# EHR profiles\n\n"
        "`profile:` of an entry in `hooks/clients.yaml` names one of these. It sets what stands here; a line"
        " of the entry itself wins, and whatever neither names has the usual value of"
        " [clients.yaml](hospital-files.md#clientsyaml). Each setting says why; its source stands"
        " above. Versions of these products move: check yours."
    )
    return "\n\n".join([intro, *(_profile(name) for name in get_args(ProfileName))])


def _profile(name: ProfileName) -> str:
    profile = profile_of(name)
    plain = profile.settings.model_dump(mode="json", include=profile.settings.model_fields_set)
    rows = [(f"`{key}`", f"`{_plain(value)}`", profile.notes[key]) for key, value in plain.items()]
    parts = [
        f"## `{name}`: {profile.title}\n\nSource: {profile.source}.",
        *([_table(("setting", "value", "why"), rows)] if rows else []),
        *_listed("Tolerated, with nothing to set:", profile.tolerated),
        *_listed("To do or to know:", profile.to_do),
    ]
    return "\n\n".join(parts)


def _plain(value: object) -> str:
    match value:
        case list():
            return ", ".join(map(str, value))
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _listed(head: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield head + "\n\n" + "\n".join(f"- {line}" for line in lines)


def hooks_page() -> str:
    """The hooks that are known, and what their context holds."""
    intro = (
        "# Hooks\n\n"
        "The hooks of the [CDS Hooks Library](https://cds-hooks.hl7.org/hooks/). `service.yaml` may name any"
        " of them, or several for one id; a hook that is not here is a site's own and named by reverse domain"
        " (`org.example.ward-round`). Its context is believed.\n\n"
        "Of a context only `patientId` must be there: without it the call is a 400. Another member that the"
        " hook requires may be missing or of another shape; the call goes on, and its line in the operator"
        " log names it under `context_missing` or `context_invalid`. `patientId`, `encounterId` and `userId`"
        " may come bare, as `Type/id` or as an address.\n\n"
        "A *token* may stand in a prefetch template, as `{{context.patientId}}`. *Formerly* is the name an"
        " earlier version of the hook has for a member; it is taken for today's."
    )
    parts = [intro]
    for hook in HOOKS.values():
        rows = [
            (
                f"`{field.name}`",
                field.shape.in_words,
                "yes" if field.required else "",
                "yes" if field.name in hook.tokens else "",
                f"`{field.former}`" if field.former else "",
            )
            for field in hook.fields
        ]
        instead = f"; use {' or '.join(f'`{name}`' for name in hook.instead)}" if hook.instead else ""
        about = f"Version {hook.version}, maturity {hook.maturity}, {hook.status.value}{instead}."
        table = _table(("member", "holds", "required", "token", "formerly"), rows)
        parts.append(f"## `{hook.name}`\n\n{about}\n\n{table}")
    return "\n\n".join(parts)


def commands_page(commands: typer.Typer) -> str:
    """Every command's own help."""
    parts = [
        "# Commands\n\nAll of them run through `python3 run.py COMMAND`, in the program's own environment."
    ]
    for name, command in sorted(typer.main.get_group(commands).commands.items()):
        text = (command.help or "").replace("\b", "").strip()
        rows = [
            (_names(param), str(getattr(param, "help", None) or ""))
            for param in command.params
            if param.name not in {"help", "install_completion", "show_completion"}
        ]
        table = "\n\n" + _table(("argument", "meaning"), rows) if rows else ""
        parts.append(f"## `{name}`\n\n{text}{table}")
    return "\n\n".join(parts)


def _names(param: Any) -> str:
    """How an argument or option is written; typer's own parameter objects."""
    return f"`{param.name.upper()}`" if param.param_type_name == "argument" else f"`{' / '.join(param.opts)}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [_row(head), _row(tuple("---" for _ in head)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
