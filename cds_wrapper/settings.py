"""The process's settings: read once from the environment, frozen, shown with secrets masked.

Every name is an environment variable with the prefix `CDS_WRAPPER_`.
"""

from __future__ import annotations

import difflib
import enum
import hashlib
import json
import os
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import Field, FilePath, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cds_wrapper.cross_origin import an_origin
from cds_wrapper.errors import ConfigurationRefused, Mistake

PREFIX = "CDS_WRAPPER_"


class Profile(enum.Enum):
    """`production` refuses what is unsafe; `development` allows it and says so loudly."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class Settings(BaseSettings):
    """What a process needs to know before it starts; one field per environment variable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    profile: Profile = Field(
        Profile.PRODUCTION,
        description="`production` (default) or `development`: may unsafe settings be used?",
    )
    hooks: Path = Field(Path("hooks"), description="Folder with one folder per CDS service.")
    ledger: str = Field(
        "sqlite:///ledger.db", description="Where predictions are recorded: `sqlite:///PATH`."
    )
    spool: Path = Field(
        Path("spool"),
        description="Folder that takes records while the ledger cannot be written, best on another disk (a"
        " relative path begins at the ledger's folder). It holds health data.",
    )
    stream: str = Field(
        "predictions.jsonl",
        min_length=1,
        description="Where each record is written as a line too: a file (a relative path begins at the"
        " ledger's folder), `unix:///PATH`, `tcp://HOST:PORT` or `off`. It holds health data.",
    )
    stream_max_bytes: int = Field(
        100_000_000, ge=10_000, description="Size at which the stream's file is rotated, in bytes."
    )
    stream_keep: int = Field(
        10,
        ge=1,
        le=1000,
        description="How many rotated files of the stream are kept; older ones go.",
    )
    public_url: str = Field(
        "http://127.0.0.1:8080", description="Address under which EHRs and browsers reach this service."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on.")
    namespace: str = Field(
        "urn:cds-wrapper:default",
        min_length=1,
        description="System of the ids in a hook's context (the EHR's FHIR base), for pseudonyms.",
    )
    pseudonym_keys: Path | None = Field(
        None, description="JSON file with the keys that turn identifiers into pseudonyms; mode 0600."
    )
    max_body_bytes: int = Field(
        5_000_000, ge=10_000, le=100_000_000, description="Largest request body accepted, in bytes."
    )
    max_vendor_bytes: int = Field(
        2_000_000, ge=10_000, le=100_000_000, description="Largest vendor answer read, in bytes."
    )
    most_at_once: int = Field(
        256,
        ge=8,
        le=4096,
        description="Calls at one time for which the model is asked. One more is told at once by a card"
        " that there is no result; at four times as many a call is refused (503).",
    )
    ca_bundle: FilePath | None = Field(
        None, description="Certificates to trust towards vendors, as a PEM file."
    )
    extension_key: str = Field(
        "org.cds-wrapper.prediction",
        pattern=r"^[a-z][a-z0-9-]*(\.[A-Za-z0-9-]+)+$",
        description="Reverse-domain name of the wrapper's own member in `card.extension`.",
    )
    replay: Path = Field(
        Path("replay.db"),
        description="File that remembers used tokens for as long as they live (a relative path begins at the"
        " ledger's folder); processes share it.",
    )
    certificate_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="Header in which a proxy writes the subject of the EHR's client certificate.",
    )
    proxies: str = Field(
        "", description="Addresses or networks of the proxies that may write it, with commas between."
    )
    origins: str = Field(
        "",
        description="Origins of pages that may call from a browser, with commas between: for development"
        " without `clients.yaml` only, which has a line for them.",
    )
    development_fhir: str | None = Field(
        None,
        description="Base address of a FHIR server that may be read with a call's token while anybody may"
        " call; refused in production, where `clients.yaml` names the servers.",
    )
    metrics: str = Field(
        "off",
        description="Where `/metrics` is served, without any data of patients: a port (then of 127.0.0.1),"
        " `HOST:PORT` or `off`.",
    )
    otel_endpoint: str | None = Field(
        None,
        description="Address to which traces are sent, without any data of patients, such as"
        " `http://127.0.0.1:4318/v1/traces` (OTLP over HTTP; needs the extra `otel`). Off without it.",
    )
    notify: str | None = Field(
        None,
        description="Address that `review` tells of findings that are open, without any data of patients,"
        " such as `https://alerts.example.org/cds`; https in production. Off without it.",
    )
    notify_key: FilePath | None = Field(
        None,
        description="File with the secret that these messages are signed with; 32 bytes or more, mode 0600.",
    )
    drain_seconds: float = Field(
        0.5,
        ge=0,
        le=60,
        description="Time between failing `/readyz` and closing the door on SIGTERM, in seconds.",
    )

    @field_validator("public_url", "development_fhir")
    @classmethod
    def _an_absolute_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if "@" in parts.netloc:
            raise ValueError("holds a user name or password, and it stands on every card: leave them out")
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "write an absolute http(s) address without query, such as https://cds.example.org"
            )
        return value.rstrip("/")

    @field_validator("otel_endpoint", "notify")
    @classmethod
    def _an_address_without_secrets(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none.example")
        if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc or parts.query:
            raise ValueError("write an http(s) address such as http://127.0.0.1:4318/v1/traces")
        return value

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for text in value.split(","):
            try:
                ip_network(text.strip() or "127.0.0.1")
            except ValueError:
                raise ValueError("write addresses or networks, such as 10.1.2.3, 10.9.0.0/16") from None
        return value

    @field_validator("origins")
    @classmethod
    def _exact_origins(cls, value: str) -> str:
        for text in value.split(","):
            an_origin(text.strip() or "https://none.example")
        return value

    @field_validator("ledger")
    @classmethod
    def _a_ledger_we_know(cls, value: str) -> str:
        if not value.startswith("sqlite:///") or value == "sqlite:///":
            raise ValueError("write sqlite:///PATH, such as sqlite:////var/lib/cds-wrapper/ledger.db")
        return value

    @field_validator("stream")
    @classmethod
    def _a_stream_we_can_write(cls, value: str) -> str:
        parts = urlsplit(value)
        if "://" not in value or (parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc):
            return value
        if parts.scheme == "tcp" and parts.hostname and _port_of(parts) and value.count("/") == 2:
            return value
        raise ValueError("write a file's path, unix:///PATH, tcp://HOST:PORT or off")

    @field_validator("metrics")
    @classmethod
    def _an_address_to_listen_on(cls, value: str) -> str:
        if value.lower() != "off" and _listening(value) is None:
            raise ValueError("write a port, HOST:PORT or off, such as 9464 or 0.0.0.0:9464")
        return value

    @property
    def metrics_at(self) -> tuple[str, int] | None:
        """Host and port on which metrics are served; None when they are not."""
        return None if self.metrics.lower() == "off" else _listening(self.metrics)

    @property
    def ledger_path(self) -> Path:
        """The file behind `sqlite:///PATH`."""
        return Path(self.ledger.removeprefix("sqlite:///"))

    @property
    def spool_path(self) -> Path:
        """The spool's folder."""
        return self.ledger_path.parent / self.spool

    @property
    def stream_path(self) -> Path:
        """The stream's file, when the setting names one."""
        return self.ledger_path.parent / self.stream

    @property
    def replay_path(self) -> Path:
        """The file that remembers used tokens."""
        return self.ledger_path.parent / self.replay

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks behind `CDS_WRAPPER_PROXIES`; none when it is empty."""
        return tuple(ip_network(text.strip()) for text in self.proxies.split(",") if text.strip())

    @property
    def listed_origins(self) -> tuple[str, ...]:
        """The origins behind `CDS_WRAPPER_ORIGINS`; none when it is empty."""
        return tuple(text.strip() for text in self.origins.split(",") if text.strip())

    def shown(self) -> dict[str, str]:
        """Every setting as text for people, secrets masked."""
        return {name: _masked(str(_plain(value))) for name, value in self}

    def digest(self) -> str:
        """A short digest of the settings in force, to compare replicas."""
        text = json.dumps(self.shown(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _listening(text: str) -> tuple[str, int] | None:
    """Host and port of `PORT` or `HOST:PORT` (an IPv6 address in brackets); None for anything else."""
    parts = urlsplit(f"//127.0.0.1:{text}" if text.isascii() and text.isdigit() else f"//{text}")
    port = _port_of(parts)
    return (parts.hostname, port) if parts.hostname and port and parts.netloc.count("@") == 0 else None


def _port_of(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _plain(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value


def _masked(value: str) -> str:
    """Mask the user information of an address; no setting holds a secret otherwise (keys stay in files)."""
    parts = urlsplit(value)
    if not parts.netloc:
        return value  # a path is no address, and `sqlite:///x` must not lose its slashes
    if "@" in parts.netloc:
        parts = parts._replace(netloc="***@" + parts.netloc.rsplit("@", 1)[1])
    return urlunsplit(parts._replace(query="***" if parts.query else ""))


def read_settings(**overrides: object) -> Settings:
    """Read the environment; `ConfigurationRefused` names every variable that is wrong or unknown."""
    unknown = tuple(_unknown_variables())
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates what a command line gave
    except ValidationError as error:
        raise ConfigurationRefused(
            tuple(
                Mistake(
                    file="environment",
                    line=None,
                    column=None,
                    key="CDS_WRAPPER_" + "_".join(str(part) for part in item["loc"]).upper(),
                    problem=item["msg"].removeprefix("Value error, "),
                )
                for item in error.errors(include_input=False, include_url=False)
            )
            + unknown
        ) from None
    if unknown:
        raise ConfigurationRefused(unknown)
    return settings


def _unknown_variables() -> Iterator[Mistake]:
    """A misspelt variable would be ignored in silence, and its default used."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield Mistake("environment", None, None, name, "is no setting.", near[0] if near else None)
