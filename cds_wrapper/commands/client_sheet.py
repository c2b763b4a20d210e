"""What an EHR's analysts have to type in, for a client or a profile, made from the files in force. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from cds_wrapper.cds import MOST_FEEDBACK
from cds_wrapper.ehr.clients import KeyAddress, KnownClient, KnownClients
from cds_wrapper.errors import Mistake
from cds_wrapper.patient.rules import BESIDE_PATIENT
from cds_wrapper.services import CLIENTS_FILE, ServiceCatalog, ServiceDefinition
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.profiles_file import ProfileFile, ProfileName, client_of_profile, profile_of
from cds_wrapper.settings import Settings

Sheet = Mapping[str, Any]

THE_ADDRESS = "the address that is called, letter for letter"


def sheet_for(
    name: str, settings: Settings, catalog: ServiceCatalog, known: KnownClients | None
) -> tuple[Sheet | None, tuple[Mistake, ...]]:
    """The sheet of the client of that name, or of the profile when no client has it; or why there is none."""
    clients = {one.name: one for one in known.clients} if known else {}
    profiles: dict[str, ProfileName] = {one: one for one in get_args(ProfileName)}
    if name in clients:
        client, product = clients[name], profiles[clients[name].profile.name]
    elif name in profiles:
        client, product = client_of_profile(profiles[name]), profiles[name]
    else:
        problem = f"names `{name}`, which is neither a client of {CLIENTS_FILE} nor a profile."
        near = nearest(name, [*clients, *profiles])
        return None, (Mistake("command line", None, None, "--client", problem, near),)
    sheet = sheet_of(
        client,
        profile_of(product),
        catalog,
        settings.public_url,
        settings.max_body_bytes,
        is_client=name in clients,
        open_discovery=known.open_discovery if known else False,
    )
    return sheet, ()


def sheet_of(
    client: KnownClient,
    profile: ProfileFile,
    catalog: ServiceCatalog,
    public_url: str,
    max_body_bytes: int,
    *,
    is_client: bool,
    open_discovery: bool,
) -> Sheet:
    """The sheet as plain values; `is_client` says whether the EHR has an entry of its own."""
    base = f"{public_url}/cds-services"
    return {
        "client": client.name if is_client else None,
        "environment": client.environment if is_client else None,
        "profile": client.profile.name,
        "product": profile.title,
        "source": profile.source,
        "discovery_url": base,
        "discovery_needs_token": not open_discovery,
        "services": [
            _service(one, client, base)
            for one in catalog
            if client.services is None or one.id in client.services
        ],
        "token": _token(client),
        "fhir": _reading(client),
        "origins": sorted(client.origins),
        "limits": {
            "calls_at_once": client.most_at_once,
            "body_bytes": max_body_bytes,
            "feedback_entries": MOST_FEEDBACK,
        },
        "habits": habits_shown(client),
        "tolerated": list(profile.tolerated),
        "to_do": list(profile.to_do),
    }


def _service(service: ServiceDefinition, client: KnownClient, base: str) -> dict[str, Any]:
    theirs = {ours: key for key, ours in client.profile.keys_of(service.id).items()}
    return {
        "id": service.id,
        "title": service.title,
        "hook": service.hook,
        "url": f"{base}/{service.id}",
        "feedback_url": f"{base}/{service.id}/feedback",
        "time_budget_seconds": service.time_budget.total_seconds(),
        "prefetch": [
            {
                "key": theirs.get(key, key),
                "service_key": key,
                "query": query,
                "reason": reason_for(key, service),
            }
            for key, query in service.prefetch.items()
        ],
        "override_reasons": [dict(reason) for reason in service.cards.override_reasons],
    }


def reason_for(key: str, service: ServiceDefinition) -> str:
    """Why a prefetch key is asked for (minimum necessary: CDS Hooks 2.0.1, "Trusting CDS Services")."""
    reasons = []
    if key == service.patient_key:
        groups = ", ".join(name for name in service.scheme.attributes if name not in BESIDE_PATIENT)
        reasons.append(f"the patient's groups for caveat and record ({groups})")
    own = [query for query in service.own_queries if query.key == key]
    reasons += [f"read by the wrapper for {', '.join(query.purposes)}" for query in own]
    if key in service.vendor.keys:
        reasons.append(f"input of the model {service.words.model_name}, sent to {service.vendor.developer}")
    return "; ".join(reasons) or "read by nobody: it can be left out"


def _token(client: KnownClient) -> dict[str, Any]:
    keys = client.keys
    return {
        "issuer": client.issuer,
        "audiences": [THE_ADDRESS, *sorted(client.audiences)],
        "algorithms": sorted(client.algorithms),
        "keys": keys.url if isinstance(keys, KeyAddress) else sorted(keys.names) if keys else None,
        "jku": sorted(client.key_addresses),
        "typ": "JWT" if client.type_required else "JWT, or none",
        "longest_lifetime_seconds": client.longest_lifetime.total_seconds(),
        "leeway_seconds": client.leeway.total_seconds(),
        "tenants": sorted(client.tenants) if client.tenants is not None else None,
        "certificate": client.certificate,
    }


def _reading(client: KnownClient) -> dict[str, Any] | None:
    """Where the wrapper reads what a call did not bring, and as whom: what the EHR's side has to allow."""
    if client.fhir is None:
        return None
    backend = client.fhir.backend
    return {
        "servers": list(client.fhir.servers),
        "access": client.fhir.mode.value,
        "token_url": backend.token_url if backend else None,
        "client_id": backend.client_id if backend else None,
        "scope": backend.scope if backend else None,
    }


def habits_shown(client: KnownClient) -> dict[str, Any]:
    """What the profile and the entry made of a client's habits, without those that are as usual."""
    habits = client.profile
    every = {
        "prefetch_keys": dict(habits.prefetch_keys),
        "prefetch_keys_by_service": {name: dict(keys) for name, keys in habits.service_keys.items()},
        "trigger_extension": habits.trigger_extension,
        "content_type_extension": habits.content_type_extension,
        "partial_acceptance": habits.partial_acceptance,
        "topic_state": habits.topic_state,
        "displayed": habits.displayed,
        "test_patients": sorted(habits.test_patients),
        "namespace": client.namespace,
    }
    return {name: value for name, value in every.items() if value not in (None, False, [], {})}


# As text ----------------------------------------------------------------------------------------------------


def as_text(sheet: Sheet) -> str:
    """The sheet for people, to be sent to whoever sets the EHR up."""
    return "\n".join(_lines(sheet))


def _lines(sheet: Sheet) -> Iterator[str]:
    whom = f"{sheet['client']} ({sheet['environment']})" if sheet["client"] else "a client to come"
    yield f"What to enter in the EHR: {whom}, {sheet['product']} (profile {sheet['profile']})"
    yield ""
    needs = "needs a token" if sheet["discovery_needs_token"] else "open to anybody"
    yield f"Discovery       GET {sheet['discovery_url']}   ({needs})"
    for service in sheet["services"]:
        yield ""
        yield from _service_lines(service)
    yield ""
    yield from _token_lines(sheet["token"])
    yield ""
    yield from _reading_lines(sheet["fhir"])
    yield from _listed("Pages in a browser that may call", sheet["origins"], "none")
    limits = sheet["limits"]
    yield f"Calls at one time: {limits['calls_at_once']}; one more is answered with 429 and Retry-After."
    yield f"Largest body: {limits['body_bytes']} bytes."
    yield f"Feedback: {limits['feedback_entries']} entries in one call."
    yield from _listed("Set for this EHR", [f"{name}: {_said(one)}" for name, one in sheet["habits"].items()])
    yield from _listed("Tolerated", sheet["tolerated"])
    yield from _listed("To do or to know", sheet["to_do"])
    yield f"Source: {sheet['source']}."


def _service_lines(service: Mapping[str, Any]) -> Iterator[str]:
    yield f"Service {service['id']}: {service['title']}"
    yield f"  Hook          {service['hook']}"
    yield f"  Address       POST {service['url']}"
    yield f"  Feedback      POST {service['feedback_url']}"
    yield f"  Answers in    {service['time_budget_seconds']:g} s at most; let the EHR wait longer than that"
    yield (
        "  Prefetch      key = query, and why it is asked for"
        if service["prefetch"]
        else "  Prefetch      none"
    )
    for one in service["prefetch"]:
        renamed = f"   (here: {one['service_key']})" if one["key"] != one["service_key"] else ""
        yield f"    {one['key']} = {one['query']}{renamed}"
        yield f"      {one['reason']}"
    if service["override_reasons"]:
        yield "  Reasons for dismissal, beside the vendor's own"
    for reason in service["override_reasons"]:
        yield f"    {reason['system']}|{reason['code']} {reason['display']}"


def _token_lines(token: Mapping[str, Any]) -> Iterator[str]:
    yield "Token (Authorization: Bearer, a new one for each call)"
    yield f"  iss           {token['issuer'] or 'to be told by the EHR'}"
    yield f"  aud           {' | '.join(token['audiences'])}"
    yield f"  alg           {', '.join(token['algorithms'])}"
    yield f"  typ           {token['typ']}"
    yield f"  Keys          {_said(token['keys']) if token['keys'] else 'to be told by the EHR'}"
    yield f"  jku           {'none, or ' + ' or '.join(token['jku']) if token['jku'] else 'none'}"
    lifetime, leeway = token["longest_lifetime_seconds"], token["leeway_seconds"]
    yield f"  exp - iat     {lifetime:g} s at most; the two clocks may differ by {leeway:g} s"
    if token["tenants"] is not None:
        yield f"  tenant        {' | '.join(token['tenants'])}"
    if token["certificate"]:
        yield f"  Certificate   {token['certificate']}"


def _reading_lines(fhir: Mapping[str, Any] | None) -> Iterator[str]:
    if fhir is None:
        return
    yield "Reading what a call did not bring (FHIR; the queries above, and no others)"
    yield f"  Servers       {' | '.join(fhir['servers'])}"
    yield f"  Whose token   {_WHOSE_TOKEN[fhir['access']]}"
    for head, name in (("Token from", "token_url"), ("Client id", "client_id"), ("Scope", "scope")):
        if fhir[name]:
            yield f"  {head:<13} {fhir[name]}"
    yield ""


_WHOSE_TOKEN = {
    "token": "the one that each call brings (fhirAuthorization)",
    "backend": "one of our own (SMART Backend Services)",
    "token_or_backend": "the one that a call brings, or one of our own (SMART Backend Services)",
}


def _listed(head: str, lines: Sequence[str], otherwise: str | None = None) -> Iterator[str]:
    if lines:
        yield f"{head}:"
        yield from (f"  - {line}" for line in lines)
    elif otherwise:
        yield f"{head}: {otherwise}"


def _said(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} -> {_said(one)}" for key, one in value.items())
        case list():
            return ", ".join(map(str, value))
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
