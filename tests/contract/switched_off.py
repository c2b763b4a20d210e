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
    Off(
        "GEN-3",
        "JSON without a value is left out",
        "cds_wrapper/json_values.py",
        'return None if value == "" else value',
        "return value",
        "unit/test_json_values.py::test_json_without_a_value_is_left_out_at_any_depth",
    ),
    Off(
        "DISC-10",
        "a pair of id and hook is listed once",
        "cds_wrapper/services/consistency.py",
        "if hook in service.hook[:index]:",
        "if False:",
        "unit/services/test_load.py::test_hooks_that_cannot_be_told_apart_or_are_none_are_refused",
    ),
    Off(
        "PRE-2",
        "a template holds only tokens that its hook can fill",
        "cds_wrapper/services/prefetch_rules.py",
        "if token not in known and not believed and not (ballot and is_date(token)):",
        "if False:",
        "unit/services/test_prefetch_rules.py::test_a_template_uses_only_the_tokens_its_hook_offers",
    ),
    Off(
        "PRE-6",
        "the vendor gets only the keys it asked for",
        "cds_wrapper/vendors/question.py",
        "for key, value in prefetch.values.items() if key in self.keys}",
        "for key, value in prefetch.values.items()}",
        "contract/test_vendor_call.py::test_the_vendor_gets_only_the_keys_it_asked_for_and_not_the_patient",
    ),
    Off(
        "PRE-16",
        "an id in a query holds nothing that changes it",
        "cds_wrapper/ehr/templates.py",
        '_NO_ID: Final = frozenset("/\\\\%?#")',
        '_NO_ID: Final = frozenset("")',
        "unit/ehr/test_templates.py::test_a_hostile_id_changes_neither_the_path_nor_the_query",
    ),
    Off(
        "FHIR-2",
        "a read carries the token of the call",
        "cds_wrapper/ehr/reads.py",
        '"authorization": f"Bearer {door.token}"',
        '"authorization": "Bearer none"',
        "unit/ehr/test_reads.py::test_what_did_not_come_is_read_with_the_calls_own_token",
    ),
    Off(
        "RESP-7",
        "only a 200 of the vendor's is an answer",
        "cds_wrapper/vendors/peer.py",
        "            return Unanswered(Status.UNREADABLE, Reason.NOT_200.value)",
        "            return None",
        "unit/vendors/test_cds_hooks_vendor.py::test_whatever_comes_back_has_one_status",
    ),
    Off(
        "CARD-2",
        "the vendor's summary is cut so that the whole has fewer than 140 characters",
        "cds_wrapper/caveats/cards.py",
        "short = cut(line, SUMMARY_LIMIT - units(ours))",
        "short = line",
        "unit/caveats/test_cards.py::test_only_the_vendors_summary_is_cut_and_its_whole_text_is_kept",
    ),
    Off(
        "CARD-5",
        "a card with an unknown indicator is replaced",
        "cds_wrapper/caveats/cards.py",
        "if vendor.indicator not in _INDICATORS:",
        "if False:",
        "unit/caveats/test_cards.py::test_an_invalid_card_becomes_a_valid_minimal_one_with_its_caveat",
    ),
    Off(
        "CARD-8",
        "suggestions without a selection behaviour are removed",
        "cds_wrapper/caveats/suggestions.py",
        "if vendor.selection_behavior is None:",
        "if False:",
        "unit/caveats/test_cards.py::test_what_is_held_back_or_repaired_is_recorded_without_the_vendors_words",
    ),
    Off(
        "SUG-1",
        "a suggestion whose label shows nothing is removed",
        "cds_wrapper/caveats/suggestions.py",
        "    if not label:\n",
        "    if False:\n",
        "contract/test_cards_out.py::test_what_once_went_out_wrong_does_not_any_more",
    ),
    Off(
        "ACT-1",
        "an action of an unknown type does not pass",
        "cds_wrapper/caveats/actions.py",
        'if there.get("type") not in _TYPES:',
        "if False:",
        "unit/caveats/test_acting.py::test_one_action_that_cannot_pass_takes_its_whole_suggestion_with_it",
    ),
    Off(
        "OVR-2",
        "a reason without a display is removed",
        "cds_wrapper/caveats/codings.py",
        "if not display:",
        "if False:",
        "unit/caveats/test_codings.py::test_a_reason_that_is_not_whole_is_removed",
    ),
    Off(
        "LINK-2",
        "a link leads to a listed address only",
        "cds_wrapper/caveats/vendor_links.py",
        "if not isinstance(url, str) or not passage.opens(url):",
        "if not isinstance(url, str):",
        "unit/caveats/test_vendor_links.py::test_a_link_that_is_not_safe_to_open_is_removed",
    ),
    Off(
        "LINK-3",
        "only a SMART link carries a context",
        "cds_wrapper/caveats/vendor_links.py",
        'if context and link["type"] != _SMART:',
        "if False:",
        "unit/caveats/test_vendor_links.py::test_a_context_is_for_an_app_only",
    ),
    Off(
        "SYS-1",
        "a system action that was not agreed on is held back",
        "cds_wrapper/caveats/actions.py",
        "if _kind_of(read.action) not in passage.policy.system_actions:",
        "if False:",
        "unit/caveats/test_acting.py::test_a_system_action_that_was_not_agreed_or_whose_caveat_nobody_would_see_is_held_back",
    ),
    Off(
        "COD-1",
        "a coding without code or system is removed",
        "cds_wrapper/caveats/codings.py",
        'if not {"code", "system"} <= kept.keys():',
        "if False:",
        "unit/caveats/test_codings.py::test_a_reason_that_is_not_whole_is_removed",
    ),
    Off(
        "FB-6",
        "a time with an offset becomes UTC",
        "cds_wrapper/ledger/feedback.py",
        "return moment.astimezone(UTC) if moment.tzinfo else moment",
        "return moment",
        "unit/ledger/test_feedback.py::test_times_become_utc_and_stay_readable_as_written",
    ),
    Off(
        "SEC-16",
        "our token is made out to the address of the vendor",
        "cds_wrapper/signing.py",
        '"aud": self.audience or url,',
        '"aud": self.issuer,',
        "unit/test_signing.py::test_a_token_says_who_calls_whom_and_until_when",
    ),
    Off(
        "SEC-18",
        "a page of an origin that was not listed is told nothing",
        "cds_wrapper/cross_origin.py",
        "if origin not in self.clients:\n            return False\n",
        "if origin not in self.clients:\n            return True\n",
        "service/test_cross_origin.py::test_no_other_origin_is_told_anything",
    ),
    Off(
        "CLI-1",
        "a vendor is not asked with a context that lacks what its hook requires",
        "cds_wrapper/vendors/question.py",
        "            elif one.required:\n                return Unasked.CONTEXT_INCOMPLETE\n",
        "",
        "contract/test_odd_requests.py::test_what_reaches_the_vendor_is_cds_hooks_or_it_is_not_asked",
    ),
    Off(
        "CLI-2",
        "a card with an unknown selection behaviour is withheld",
        "cds_wrapper/caveats/cards.py",
        "if behaviour is not None and behaviour not in _BEHAVIOURS:",
        "if False:",
        "unit/caveats/test_cards.py::test_a_card_whose_selection_nobody_could_understand_is_withheld",
    ),
)
