"""Every error the wrapper raises, drawn as a tree.

    WrapperError
    ├── RequestRefused            a call that is refused before a service and a context are known
    │   ├── MalformedRequest      400  the body is not what CDS Hooks describes
    │   ├── NotAuthenticated      401  no EHR we know, whatever the reason
    │   ├── NotEntitled           403  an EHR we know, and not its service
    │   ├── OriginRefused         403  a page in a browser that was not listed asks whether it may call
    │   ├── UnknownService        404  no service of that id
    │   ├── MethodNotAllowed      405  the address takes another method
    │   ├── RequestTimedOut       408  the body did not come to its end
    │   ├── RequestTooLarge       413  the body is larger than the setting allows
    │   ├── NotJSON               415  the body is declared to be something else than JSON
    │   ├── TooManyCalls          429  the client has as many calls in flight as it may
    │   └── Overwhelmed           503  the process has as many calls in flight as it can record
    ├── ConfigurationRefused      a file in hooks/ or a setting is wrong; lists every mistake
    ├── LedgerUnavailable         a record could not be made durable in time
    ├── UnreadableFile            a file of outcomes cannot be read to its end
    └── OutboundTrouble           a peer did not answer usably; vendor adapters turn it into a status

An error knows what the outside may hear: an HTTP status, an issue code and one safe sentence.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar


class WrapperError(Exception):
    """Root of all errors of our own.

    `http_status` and `issue_code` (http://hl7.org/fhir/issue-type) describe it on the wire; `sentence` is
    safe for any reader: it never holds data from a request.
    """

    http_status: ClassVar[int] = 500
    issue_code: ClassVar[str] = "exception"
    reason: ClassVar[str] = "error"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class RequestRefused(WrapperError):
    """The call is refused before anything was asked or recorded."""

    http_status = 400
    issue_code = "invalid"
    reason = "refused"


class MalformedRequest(RequestRefused):
    """The body does not have the shape CDS Hooks 2.0.1 describes."""

    reason = "malformed"


class NotAuthenticated(RequestRefused):
    """The caller is no EHR we know; the answer is the same whatever the reason.

    `why` is for the operator log alone, as is `client`: whom the caller claimed to be, where we know of one.
    """

    http_status = 401
    issue_code = "login"
    reason = "not_authenticated"

    def __init__(self, why: str, client: str | None = None) -> None:
        super().__init__("This call was not authenticated.")
        self.why = why
        self.client = client


class NotEntitled(RequestRefused):
    """The caller is known, and this service is none of its own."""

    http_status = 403
    issue_code = "forbidden"
    reason = "not_entitled"

    def __init__(self, client: str) -> None:
        super().__init__("This client is not entitled to a service of that id.")
        self.client = client


class OriginRefused(RequestRefused):
    """A page asks whether it may call, from an origin that nobody listed."""

    http_status = 403
    issue_code = "forbidden"
    reason = "origin_refused"


class UnknownService(RequestRefused):
    """No service answers at this address."""

    http_status = 404
    issue_code = "not-found"
    reason = "unknown_service"


class MethodNotAllowed(RequestRefused):
    """The address exists, with another method."""

    http_status = 405
    issue_code = "not-supported"
    reason = "method_not_allowed"


class RequestTimedOut(RequestRefused):
    """The body was announced and did not come to its end."""

    http_status = 408
    issue_code = "timeout"
    reason = "timed_out"


class RequestTooLarge(RequestRefused):
    """The body is larger than `CDS_WRAPPER_MAX_BODY_BYTES`."""

    http_status = 413
    issue_code = "too-long"
    reason = "too_large"


class NotJSON(RequestRefused):
    """The content type says that the body is not JSON."""

    http_status = 415
    issue_code = "not-supported"
    reason = "not_json"


class TooManyCalls(RequestRefused):
    """The client has as many calls in flight as its `most_at_once`; none of another client's is affected."""

    http_status = 429
    issue_code = "throttled"
    reason = "too_many"

    def __init__(self, client: str) -> None:
        super().__init__("Too many calls at one time: send this one again a little later.")
        self.client = client


class Overwhelmed(RequestRefused):
    """The process serves several times as many calls as `CDS_WRAPPER_MOST_AT_ONCE`: nothing more is taken."""

    http_status = 503
    issue_code = "throttled"
    reason = "overwhelmed"

    def __init__(self, client: str) -> None:
        super().__init__("Too many calls at one time: send this one again a little later.")
        self.client = client


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file or setting: where it is, what it is and what to do next.

    `line` and `column` count from 1; None when the mistake is an absence of the whole file.
    `key` is the dotted path inside the file; `suggestion` the nearest right spelling, if one is near.
    """

    file: str
    line: int | None
    column: int | None
    key: str
    problem: str
    suggestion: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        hint = f" Did you mean `{self.suggestion}`?" if self.suggestion else ""
        subject = f"`{self.key}` " if self.key else ""
        return f"{place}: {subject}{self.problem}{hint}"


class ConfigurationRefused(WrapperError):
    """Files in hooks/ or settings are wrong; every mistake is listed at once."""

    reason = "configuration"

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class LedgerUnavailable(WrapperError):
    """A record could not be made durable within the time left."""

    http_status = 503
    issue_code = "transient"
    reason = "ledger_unavailable"


class Trouble(enum.Enum):
    """What can go wrong on the way out, seen from the caller."""

    TIMED_OUT = "timed_out"
    """A connection was there, and no whole answer came in time."""

    DNS = "dns"
    REFUSED_CONNECTION = "refused_connection"
    CONNECT_TIMED_OUT = "connect_timed_out"
    TLS = "tls"
    UNREACHABLE = "unreachable"
    """No connection for another reason, as no route."""

    CLOSED_EARLY = "closed_early"
    """The peer closed the connection before its answer began, or in its head."""

    RESET = "reset"
    CUT_OFF = "cut_off"
    """The answer's body ended before its end."""

    NOT_HTTP = "not_http"
    TOO_LARGE = "too_large"


class UnreadableFile(WrapperError):
    """A file of outcomes, or an answer with some, cannot be read to its end; what was read before stays."""

    reason = "file"


class OutboundTrouble(WrapperError):
    """A peer did not answer usably; `kind` says how. The message never holds a URL or a body.

    `attempts` counts how often a connection was tried; 0 when there was no time left to try.
    """

    reason = "outbound"

    def __init__(self, kind: Trouble, attempts: int = 1) -> None:
        super().__init__(f"The peer did not answer: {kind.value}.")
        self.kind = kind
        self.attempts = attempts
