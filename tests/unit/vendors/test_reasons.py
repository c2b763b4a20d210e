"""The closed list of reasons: each says what happened, and none could be taken for another's."""

from __future__ import annotations

from cds_wrapper.errors import Trouble
from cds_wrapper.vendors.question import Unasked
from cds_wrapper.vendors.reasons import Reason


def test_every_reason_has_a_meaning_in_a_sentence() -> None:
    assert [one for one in Reason if not one.meaning.endswith((".", "?"))] == []


def test_no_reason_is_called_like_trouble_on_the_way() -> None:
    others = {one.value for kind in (Trouble, Unasked) for one in kind}
    assert {one.value for one in Reason} & others == set()
