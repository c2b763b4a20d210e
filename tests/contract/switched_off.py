"""How each of some rules is switched off in the code: the table that `bites` works through.

Each row names a requirement, what holds no more, the text in the code that makes it hold, what stands there
instead, and the test of the requirement that has to notice.
"""

from __future__ import annotations

from dataclasses import dataclass

ATTACKS = "contract/test_jwt_attacks.py::test_an_attack_meets_the_same_bare_refusal_as_every_other"


@dataclass(frozen=True, slots=True)
class Off:
    """One rule: `rule` says in words what is switched off."""

    row: str
    rule: str
    file: str
    text: str
    instead: str
    test: str


OFF: tuple[Off, ...] = (
    Off(
        "GEN-2",
        "production refuses a public address over plain http",
        "cds_wrapper/production.py",
        'if not settings.public_url.startswith("https:"):',
        "if False:",
        "service/test_trust.py::test_production_names_everything_that_stands_against_it_at_once",
    ),
    Off(
        "REQ-2",
        "a service answers its own hook only",
        "cds_wrapper/routes.py",
        "if service.hook == call.hook:",
        "if True:",
        "contract/test_vendor_call.py::test_another_hook_asks_the_vendor_nothing",
    ),
    Off(
        "FB-2",
        "a body without an array `feedback` is refused",
        "cds_wrapper/cds.py",
        "    feedback: list[msgspec.Raw]\n",
        "    feedback: list[msgspec.Raw] = []\n",
        "contract/test_feedback_calls.py::test_a_body_without_an_array_of_feedback_is_refused",
    ),
    Off(
        "FB-11",
        "feedback asks who is calling",
        "cds_wrapper/routes.py",
        'client = await self._caller(request, f"{path}/feedback", path)',
        'client = TrustedClient("anybody", issuer=None, tenant=None, environment="test")',
        "service/test_trust.py::test_feedback_needs_a_token_and_takes_one_for_either_of_its_addresses",
    ),
    Off(
        "SEC-3",
        "discovery asks who is calling",
        "cds_wrapper/routes.py",
        'client = None if self.callers.open_discovery else await self._caller(request, "")',
        "client = None",
        "contract/test_jwt_attacks.py::test_every_address_is_guarded_and_none_says_whether_it_exists",
    ),
    Off(
        "SEC-4",
        "the header's type is looked at",
        "cds_wrapper/ehr/trust.py",
        'if header.type != "JWT" and (header.type is not None or client.type_required):',
        "if False:",
        "unit/ehr/test_trust.py::test_a_type_may_be_missing_only_where_that_was_agreed",
    ),
    Off(
        "SEC-5",
        "a token that has expired is refused",
        "cds_wrapper/ehr/trust.py",
        "if now >= expires + leeway:",
        "if False:",
        "unit/ehr/test_trust.py::test_what_a_token_claims",
    ),
    Off(
        "SEC-6",
        "a token for another address is refused",
        "cds_wrapper/ehr/trust.py",
        "return None if any(normal_address(one) in ours for one in named) else Refusal.WRONG_AUDIENCE",
        "return None",
        ATTACKS,
    ),
    Off(
        "SEC-7",
        "only algorithms that were agreed on are taken",
        "cds_wrapper/ehr/trust.py",
        "if header.algorithm not in client.algorithms:",
        "if False:",
        ATTACKS,
    ),
)
