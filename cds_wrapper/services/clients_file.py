"""`clients.yaml`: which EHRs may call, and how each is recognised. Written by the integration team."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from cds_wrapper.ehr.access import FHIRAccess
from cds_wrapper.ehr.clients import KeyAddress, KnownClient, KnownClients
from cds_wrapper.ehr.key_sets import KeySet, UnreadableKeySet, read_key_set
from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import nearest, validate
from cds_wrapper.services.fhir_file import FHIRFile, access_of
from cds_wrapper.services.fields import FileModel, FileName, Name, Span, Words, is_plain_address
from cds_wrapper.services.profiles_file import (
    Habits,
    ProfileName,
    client_profile,
    profile_of,
    with_profile,
    within,
)
from cds_wrapper.services.reading import digest_of, in_order
from cds_wrapper.services.yaml_files import Document, KeyPath, read_document
from cds_wrapper.signing import UnusableSecret, read_private

CLIENTS_FILE: Final = "clients.yaml"

_REFRESH: Final = (timedelta(minutes=1), timedelta(hours=24))
_KEPT: Final = (timedelta(0), timedelta(hours=168))

Algorithm = Literal["ES256", "ES384", "PS384", "RS256", "RS384"]


class KeysFile(FileModel):
    """Where the EHR's public keys are found."""

    url: Words | None = Field(
        None, description="Address where the EHR publishes its key set (JWKS); https in production."
    )
    file: FileName | None = Field(
        None, description="A key set beside this file instead, read at the start; needs no network."
    )
    jku: list[Words] = Field(
        default_factory=list,
        description="Other addresses that a token's `jku` may name. It is compared and never followed.",
    )
    refresh_after: Span = Field(
        timedelta(hours=1), description="How long a fetched set holds: a withdrawn key lives no longer."
    )
    kept_while_unreachable: Span = Field(
        timedelta(hours=24), description="How much longer the last good set serves when none can be fetched."
    )

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None and not is_plain_address(url):
            raise ValueError("is not an http(s) address, such as https://ehr.example.org/keys")
        return url

    @field_validator("refresh_after")
    @classmethod
    def _a_time_to_refresh(cls, span: timedelta) -> timedelta:
        return within(span, _REFRESH, "from `PT1M` to `PT24H`")

    @field_validator("kept_while_unreachable")
    @classmethod
    def _a_time_to_keep(cls, span: timedelta) -> timedelta:
        return within(span, _KEPT, "at most `PT168H`")

    @model_validator(mode="after")
    def _one_place(self) -> KeysFile:
        if (self.url is None) == (self.file is None):
            raise ValueError("needs either `url` or `file`, and not both.")
        return self


class _Identity(FileModel):
    """Who the EHR is, and what it may."""

    name: Name = Field(description="Its name in records and in the operator log.")
    environment: Literal["production", "test", "development"] = Field(
        description="What its patients are; stands in every record, so that test calls are never measured."
    )
    issuer: Words | None = Field(
        None, description="`iss` of its tokens, letter for letter. Left out for a certificate alone."
    )
    keys: KeysFile | None = Field(None, description="Its public keys; needed with `issuer`.")
    certificate: Words | None = Field(
        None,
        description="Subject of its client certificate as the proxy writes it; without `issuer` or besides.",
    )
    audiences: list[Words] = Field(
        default_factory=list,
        description="Texts agreed as `aud`, beside the address called, which is always accepted.",
    )
    tenants: Annotated[list[Words], Field(min_length=1)] | None = Field(
        None, description="Values of `tenant` accepted; without it any, and none."
    )
    services: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None, description="Ids of the services it may call; without it all."
    )
    namespace: Words | None = Field(
        None,
        description="System of the ids in its contexts (its FHIR base), for pseudonyms; without it the"
        " setting `CDS_WRAPPER_NAMESPACE`. Changing it makes the same patient another one.",
    )
    profile: ProfileName = Field(
        "generic", description="The product, whose habits are then set; what stands here wins over them."
    )
    fhir: FHIRFile | None = Field(
        None, description="Its FHIR servers, to read what it did not send; without it none is read."
    )


class ClientFile(Habits, _Identity):
    """One EHR: who it is, and its habits wherever they differ from its profile's."""

    @model_validator(mode="after")
    def _recognisable(self) -> ClientFile:
        if (self.issuer is None) != (self.keys is None):
            raise ValueError("needs `issuer` and `keys` together: a token is of no use without its key.")
        if self.issuer is None and self.certificate is None:
            raise ValueError("needs `issuer` and `keys`, or `certificate`: how is it recognised?")
        if self.environment == "production" and profile_of(self.profile).anybody_can_sign:
            raise ValueError("is no production client: the private key of that profile is public.")
        return self


class ClientsFile(FileModel):
    """Every EHR that may call."""

    discovery: Literal["token", "open"] = Field(
        "token", description="Whether the list of services is for recognised clients only, or for anybody."
    )
    clients: Annotated[list[ClientFile], Field(min_length=1)] = Field(description="The EHRs that may call.")


@dataclass(frozen=True, slots=True)
class ExaminedClients:
    """What `clients.yaml` holds; `known` is None without the file, or when it is wrong."""

    known: KnownClients | None = None
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()


def examine_clients(hooks: Path) -> ExaminedClients:
    """Read `clients.yaml`, right or wrong; never raises for what it holds."""
    try:
        content = (hooks / CLIENTS_FILE).read_bytes()
    except FileNotFoundError:
        return ExaminedClients(mistakes=tuple(_misnamed(hooks)))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}."
        return ExaminedClients(mistakes=(Mistake(CLIENTS_FILE, None, None, "", problem),))
    services = [path.name for path in hooks.iterdir() if path.is_dir()]
    return read_clients(
        content, services, lambda name: (hooks / name).read_bytes(), lambda name: read_private(hooks / name)
    )


def _misnamed(hooks: Path) -> Iterator[Mistake]:
    """A file that looks as if it were meant would be ignored in silence, and anybody could call."""
    loose = [path.name for path in hooks.iterdir() if path.is_file()] if hooks.is_dir() else []
    near = nearest(CLIENTS_FILE, [name for name in loose if name.endswith((".yaml", ".yml"))])
    if near is not None:
        yield Mistake(near, None, None, "", "is not read.", CLIENTS_FILE)


def read_clients(
    content: bytes,
    services: Iterable[str],
    read_file: Callable[[str], bytes],
    read_key: Callable[[str], bytes] | None = None,
) -> ExaminedClients:
    """The same from bytes; `read_file` gives the key sets that the file names, or raises `OSError`.

    `read_key` gives a private key, or raises `UnusableSecret` besides; `read_file` stands in for it.
    """
    document, mistakes = read_document(CLIENTS_FILE, content)
    model, found = validate(document, ClientsFile) if document else (None, ())
    if document is None or model is None:
        return ExaminedClients(mistakes=in_order((*mistakes, *found)))
    reader = _KeySets(document, read_file, read_key or read_file)
    entries = [with_profile(one, one.profile) for one in model.clients]
    clients = [reader.client(index, one) for index, one in enumerate(entries)]
    known = KnownClients(tuple(clients), model.discovery == "open", digest_of(content))
    mistakes = (*mistakes, *reader.mistakes, *_disagreements(document, model, list(services)))
    return ExaminedClients(None if mistakes else known, in_order(mistakes), tuple(_warnings(document, model)))


class _KeySets:
    """Turns what the file says into clients, reading the key sets it names on the way."""

    def __init__(
        self, document: Document, read_file: Callable[[str], bytes], read_key: Callable[[str], bytes]
    ) -> None:
        self._document = document
        self._read_file = read_file
        self._read_key = read_key
        self.mistakes: list[Mistake] = []

    def client(self, index: int, one: ClientFile) -> KnownClient:
        return KnownClient(
            name=one.name,
            environment=one.environment,
            issuer=one.issuer,
            keys=self._keys(index, one.keys) if one.keys else None,
            key_addresses=frozenset([*one.keys.jku, *([one.keys.url] if one.keys.url else [])])
            if one.keys
            else frozenset(),
            algorithms=frozenset(one.algorithms),
            audiences=frozenset(one.audiences),
            tenants=frozenset(one.tenants) if one.tenants is not None else None,
            services=frozenset(one.services) if one.services is not None else None,
            longest_lifetime=one.longest_lifetime,
            leeway=one.leeway,
            type_required=one.typ_required,
            certificate=one.certificate,
            namespace=one.namespace,
            profile=client_profile(one, one.profile),
            origins=frozenset(one.origins),
            most_at_once=one.most_at_once,
            anybody_can_sign=profile_of(one.profile).anybody_can_sign,
            fhir=self._access(index, one.fhir) if one.fhir else None,
        )

    def _access(self, index: int, fhir: FHIRFile) -> FHIRAccess | None:
        """Where its FHIR servers are and with whose token they are read."""
        try:
            return access_of(fhir, self._read_key)
        except UnusableSecret as unusable:
            problem = f"names `{fhir.key}`, which {unusable}."
        except OSError as error:
            problem = f"names `{fhir.key}`, which cannot be read: {error.strerror}."
        self.mistakes.append(self._document.mistake(("clients", index, "fhir", "key"), problem))
        return None

    def _keys(self, index: int, keys: KeysFile) -> KeySet | KeyAddress | None:
        if keys.url is not None:
            return KeyAddress(keys.url, keys.refresh_after, keys.kept_while_unreachable)
        try:
            return self._checked(index, read_key_set(self._read_file(str(keys.file))))
        except UnreadableKeySet as unreadable:
            self._refuse(index, f"names `{keys.file}`, which {unreadable}.")
        except OSError as error:
            self._refuse(index, f"names `{keys.file}`, which cannot be read: {error.strerror}.")
        return None

    def _checked(self, index: int, read: KeySet) -> KeySet:
        if read.private:
            self._refuse(
                index, "holds a private key: it is no secret any more. Ask for a new one, public part only."
            )
        elif not read.keys:
            self._refuse(
                index, "holds no key that can verify a signature: each needs `kid`, `kty` RSA or EC."
            )
        return read

    def _refuse(self, index: int, problem: str) -> None:
        self.mistakes.append(self._document.mistake(("clients", index, "keys", "file"), problem))


def _disagreements(document: Document, model: ClientsFile, services: list[str]) -> Iterator[Mistake]:
    """Two clients that could not be told apart, and services that are not there."""
    for key in ("name", "issuer", "certificate"):
        seen: set[str] = set()
        for index, one in enumerate(model.clients):
            value = getattr(one, key)
            if value is not None and value in seen:
                problem = "is used by another client above: the two could not be told apart."
                yield document.mistake(("clients", index, key), problem)
            seen.add(value)
    for index, one in enumerate(model.clients):
        named: list[tuple[KeyPath, str]] = [
            (("services", place), service) for place, service in enumerate(one.services or [])
        ]
        named += [(("prefetch_keys_by_service", key), key) for key in one.prefetch_keys_by_service]
        for path, service in named:
            if service not in services:
                problem = f"names `{service}`, which is no service here."
                yield document.mistake(("clients", index, *path), problem, nearest(service, services))


def _warnings(document: Document, model: ClientsFile) -> Iterator[Mistake]:
    if model.discovery == "open":
        yield document.mistake(("discovery",), "is `open`: anybody can read which services there are.")
    for index, one in enumerate(model.clients):
        if one.keys and one.keys.url and one.keys.url.startswith("http:"):
            problem = (
                "is plain http: whoever sits between could sign as this EHR. Allowed in development only."
            )
            yield document.mistake(("clients", index, "keys", "url"), problem)
        if profile_of(one.profile).tenant_expected and one.tenants is None:
            problem = (
                "signs for all its hospitals with one issuer: name `tenants`, or every one of them may call."
            )
            yield document.mistake(("clients", index, "profile"), problem)
        yield from _plain_http(document, index, one.fhir)
        if one.environment == "production" and not one.typ_required:
            yield document.mistake(("clients", index, "typ_required"), "is `false`: ask the EHR for `typ`.")


def _plain_http(document: Document, index: int, fhir: FHIRFile | None) -> Iterator[Mistake]:
    """FHIR and token addresses that send tokens and patient data in the open."""
    named = [(("servers", place), server) for place, server in enumerate(fhir.servers)] if fhir else []
    for place, address in [*named, (("token_url",), fhir.token_url if fhir else None)]:
        if address is not None and address.startswith("http:"):
            problem = "is plain http: tokens and patient data would travel unprotected. Development only."
            yield document.mistake(("clients", index, "fhir", *place), problem)
