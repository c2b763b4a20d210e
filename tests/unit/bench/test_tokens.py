"""Tokens for a benchmark: the wrapper's own door lets each of them in, once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

from cds_wrapper.bench.site_files import AUDIENCE, prepare_site, signing_key
from cds_wrapper.bench.tokens import CLIENT, Signer
from cds_wrapper.bench.wire import Messages, post, with_token
from cds_wrapper.ehr.key_sets import KeySet
from cds_wrapper.ehr.trust import Presented, Verified, present, verify
from cds_wrapper.services import examine_clients
from tests.service.harness import ROOT


def test_every_token_is_one_of_the_known_ehr_for_the_service_and_none_comes_twice(tmp_path: Path) -> None:
    hooks = Path(prepare_site(ROOT / "hooks", tmp_path, 1)["CDS_WRAPPER_HOOKS"])
    known = examine_clients(hooks).known
    assert known is not None
    (client,) = known.clients
    found = []
    for text in itertools.islice(Signer(signing_key(tmp_path), AUDIENCE).tokens(2), 4):
        presented = present(text, known)
        assert isinstance(presented, Presented)
        assert isinstance(client.keys, KeySet)
        found.append(verify(presented, client.keys, [AUDIENCE], datetime.now(UTC)))
    assert all(isinstance(one, Verified) and one.client.name == CLIENT for one in found)
    assert len({one.token_id for one in found if isinstance(one, Verified)}) == 4


def test_nobody_else_can_read_the_key_that_signs(tmp_path: Path) -> None:
    prepare_site(ROOT / "hooks", tmp_path, 1)
    assert signing_key(tmp_path).stat().st_mode & 0o077 == 0


def test_a_call_with_a_token_is_the_same_call_with_one_header_more() -> None:
    call = post("/cds-services/x", b'{"hook":"a\\r\\nb"}')
    with_it = with_token(call, "a.b.c")
    (message,), (plain,) = Messages(answers=False).feed(with_it), Messages(answers=False).feed(call)
    assert message == plain
    assert b"\r\nauthorization: Bearer a.b.c\r\n" in with_it.partition(b"\r\n\r\n")[0]
