"""Attacks on the service, what becomes of each, and the test that shows it: writes docs/reference/attacks.md.

Run it as `.venv/bin/python -m tests.contract.attacks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "attacks.md"
COMMAND = ".venv/bin/python -m tests.contract.attacks"

HEAD: Final = f"""<!-- Written from its table by `{COMMAND}`; change the table, not this page. -->

# Attacks, and what becomes of them

Each row is an attack that somebody outside could make, what the service does, and the test that would fail
if it did not. The tests run with the whole suite. What is not here was not tried.
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """One row; `test` is pytest's node id from the folder `tests` on."""

    name: str
    becomes: str
    test: str


JWT = "contract/test_jwt_attacks.py"
TRUST = "service/test_trust.py"
READS = "contract/test_fhir_reads.py"
PAGES = "service/test_cross_origin.py"
CALL = "contract/test_vendor_call.py"
EVERY = f"{JWT}::test_an_attack_meets_the_same_bare_refusal_as_every_other"

ATTACKS: Final[Mapping[str, tuple[Attack, ...]]] = {
    "The token of a call": (
        Attack("unsigned (`alg: none` in any spelling)", "401 without a reason", EVERY),
        Attack("`alg` confusion: HMAC under the public key", "401 without a reason", EVERY),
        Attack(
            "the attacker's own key, named or brought along (`jwk`, `x5u`, `kid`)",
            "401, nothing fetched",
            EVERY,
        ),
        Attack("a `jku` that is not listed, with the right key or another", "401, never fetched", EVERY),
        Attack("a key that was withdrawn, is for encryption, or stands twice under one name", "401", EVERY),
        Attack("expired, not yet valid, living too long, for another address or tenant", "401", EVERY),
        Attack(
            "guessing addresses without a token",
            "401 at each, whether it exists or not",
            f"{JWT}::test_every_address_is_guarded_and_none_says_whether_it_exists",
        ),
        Attack(
            "a stale key: withdrawn at the EHR while nobody calls",
            "stops working within the time that the site set",
            "unit/ehr/test_keys.py::test_a_withdrawn_key_stops_working_though_nobody_calls",
        ),
        Attack(
            "a flood of tokens with unknown keys, to flood the key server through us",
            "one fetch, and none again before the floor",
            "unit/ehr/test_keys.py::test_a_key_nobody_has_seen_is_fetched_at_once_but_not_again_before_the_floor",
        ),
        Attack(
            "a forged certificate header",
            "refused from any address but the proxy's",
            f"{TRUST}::test_a_certificate_counts_as_a_trusted_proxy_wrote_it",
        ),
        Attack(
            "a known client asks for another's service",
            "403, the same for one that is not there",
            f"{TRUST}::test_a_client_hears_the_same_of_services_it_may_not_call_and_of_none",
        ),
    ),
    "Replay": (
        Attack(
            "a token is used a second time",
            "401, and `token_replayed` in the log",
            f"{JWT}::test_a_token_that_was_used_is_an_attack_from_then_on",
        ),
        Attack(
            "two processes are sent one token at the same moment",
            "one yes",
            "unit/ehr/test_replay.py::test_two_processes_that_race_for_one_token_get_one_yes",
        ),
        Attack(
            "a token is used again after a restart",
            "401",
            f"{TRUST}::test_a_used_token_is_remembered_over_a_restart",
        ),
    ),
    "Being sent elsewhere (SSRF)": (
        Attack(
            "`fhirServer` names a metadata address, a private one, a host like a listed one",
            "not called; `host_refused` in the log",
            f"{READS}::test_no_server_that_is_not_listed_is_called_whatever_it_looks_like",
        ),
        Attack("a listed server redirects", "not followed", f"{READS}::test_no_redirect_is_followed"),
        Attack(
            "the next page of a search lies elsewhere",
            "not fetched",
            f"{READS}::test_no_further_page_is_fetched_elsewhere",
        ),
        Attack(
            "a patient's id that is a path or a query",
            "fills a template as an id, or not at all",
            "unit/ehr/test_templates.py::test_no_id_at_all_changes_the_path_or_the_query",
        ),
        Attack(
            "without leave to read, a call names a server",
            "nobody is called",
            f"{CALL}::test_no_server_that_a_caller_names_is_ever_called",
        ),
        Attack(
            "a `Host` header of the attacker's, at an address with a slash too many",
            "404, no redirect",
            "service/test_abuse.py::test_nobody_is_redirected",
        ),
    ),
    "Leaks": (
        Attack(
            "the EHR's tokens in a log, a record, a page or the vendor's call",
            "nowhere",
            f"{CALL}::test_neither_the_access_token_nor_the_callers_own_is_kept_logged_or_passed_on",
        ),
        Attack(
            "the token for reads, wherever reading fails",
            "nowhere but in the reads",
            f"{READS}::test_the_token_is_nowhere_but_in_the_reads",
        ),
        Attack(
            "a call's content in a refusal",
            "no refusal repeats what it refuses",
            "service/test_nothing_leaks.py::test_no_refusal_repeats_what_it_refuses",
        ),
        Attack(
            "names planted in every field",
            "in no log, no ledger and no page",
            "service/test_nothing_leaks.py::test_no_planted_text_reaches_a_log_a_ledger_or_a_page",
        ),
        Attack(
            "our own key for vendors",
            "neither kept nor logged",
            "service/test_vendor_access.py::test_neither_key_nor_token_is_kept_or_logged",
        ),
        Attack(
            "another patient's data in the place of this one's",
            "withheld from everybody",
            f"{READS}::test_anothers_patient_is_nobodys_also_when_the_server_gives_it",
        ),
    ),
    "Too much": (
        Attack(
            "a body larger than the limit",
            "413 before it is read to its end",
            "service/test_refusals.py::test_a_refusal_is_an_outcome_that_repeats_nothing",
        ),
        Attack(
            "a body nested without end",
            "400 at once",
            "service/test_limits.py::test_a_body_nested_without_end_is_refused_at_once",
        ),
        Attack(
            "a body that stops coming",
            "408",
            "service/test_abuse.py::test_a_body_that_stops_coming_is_refused_and_counted",
        ),
        Attack(
            "a head without end",
            "cut off; others are served",
            "service/test_heads.py::test_a_head_without_end_is_cut_off_and_others_are_served",
        ),
        Attack(
            "one client's flood of calls",
            "429 with `Retry-After`; no other client loses a place",
            "service/test_limits.py::test_a_client_that_floods_is_told_to_wait_and_takes_no_place_from_another",
        ),
        Attack(
            "a flood of calls that only name a client",
            "takes none of its places",
            "service/test_limits.py::test_whoever_only_names_a_client_takes_none_of_its_places",
        ),
        Attack(
            "a batch of feedback without end",
            "400",
            "service/test_abuse.py::test_a_feedback_batch_without_end_is_refused_before_it_is_read",
        ),
        Attack(
            "a vendor's answer with 10,000 cards, or nested 500 deep",
            "unreadable; a card says that there is no result",
            "service/test_abuse.py::test_an_answer_no_clinician_could_read_is_unreadable",
        ),
        Attack(
            "bodies, headers and bytes that nobody would write",
            "an answer that the description of the doors has, and never an error of ours",
            "service/test_doors_fuzzed.py::test_a_bent_body_is_answered_or_refused_without_repeating_it",
        ),
    ),
    "Pages in a browser (CORS)": (
        Attack(
            "a page of an origin that was not listed",
            "told nothing; its browser refuses the call",
            f"{PAGES}::test_no_other_origin_is_told_anything",
        ),
        Attack("two origins in one call", "none of them", f"{PAGES}::test_two_origins_in_one_call_are_none"),
        Attack(
            "a listed page reads what was answered to another client",
            "it may not",
            f"{PAGES}::test_a_page_does_not_read_what_was_answered_to_another_client",
        ),
        Attack(
            "asking for methods and services by preflight",
            "tells nothing of either",
            f"{PAGES}::test_a_question_tells_nothing_of_services_or_methods",
        ),
        Attack(
            "a page asks for anything but the three addresses of CDS Hooks",
            "closed to pages",
            f"{PAGES}::test_nothing_else_is_open_to_pages",
        ),
    ),
    "Feedback of another": (
        Attack(
            "feedback on a card of another client or tenant",
            "matches no prediction",
            f"{TRUST}::test_feedback_on_a_card_of_another_client_or_tenant_matches_nothing",
        ),
        Attack(
            "feedback without a token, or with one for another address",
            "401",
            f"{TRUST}::test_feedback_needs_a_token_and_takes_one_for_either_of_its_addresses",
        ),
        Attack(
            "feedback whose text names a patient",
            "the comment is not kept",
            "service/test_nothing_leaks.py::test_feedback_keeps_no_comment",
        ),
    ),
    "A vendor's card": (
        Attack(
            "text that hides, displaces or fakes the caveat",
            "the caveat is the first thing that is seen",
            "contract/test_hostile_texts.py::test_the_caveat_is_the_first_thing_that_is_seen",
        ),
        Attack(
            "text that loads something or leads somewhere",
            "nothing is loaded, nothing opens that is not listed",
            "contract/test_hostile_texts.py::test_nothing_is_loaded_and_nothing_opens_that_is_not_listed",
        ),
        Attack(
            "an action that would be applied without a person",
            "held back unless agreed on, and whenever a caveat is due",
            "unit/caveats/test_acting.py::test_a_system_action_that_was_not_agreed_or_whose_caveat_nobody_would_see"
            "_is_held_back",
        ),
    ),
}


def page() -> str:
    """The whole page."""
    return "\n\n".join([HEAD.strip(), *(_chapter(title, rows) for title, rows in ATTACKS.items())]) + "\n"


def _chapter(title: str, rows: tuple[Attack, ...]) -> str:
    lines = ["| attack | what becomes of it | test |", "| --- | --- | --- |", *map(_row, rows)]
    return f"## {title}\n\n" + "\n".join(lines)


def _row(attack: Attack) -> str:
    file, _, name = attack.test.partition("::")
    link = f"[{name.removeprefix('test_').replace('_', ' ')}](../../tests/{file})"
    return f"| {attack.name} | {attack.becomes} | {link} |"


if __name__ == "__main__":
    PAGE.write_text(page())
