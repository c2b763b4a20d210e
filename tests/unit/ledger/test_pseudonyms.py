from __future__ import annotations

import hashlib
import hmac
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.ledger.pseudonyms import (
    KeyKind,
    Pseudonyms,
    create_keys,
    new_keys_file,
    pseudonyms_from,
    read_keys,
)

KEYS = {"patient": "11" * 32, "encounter": "22" * 32, "user": "33" * 32}
FILE = {"keys": [{"number": 1, "key_id": "2027a", **KEYS}]}


def keys(**differences: object) -> Pseudonyms:
    return pseudonyms_from(json.dumps({"keys": [{**FILE["keys"][0], **differences}]}).encode(), "keys.json")


def test_a_pseudonym_is_letter_number_and_sixteen_hex_digits_of_the_hmac_of_system_and_value() -> None:
    expected = hmac.new(bytes.fromhex("11" * 32), b"urn:oid:1.2.3.4|12345", hashlib.sha256).hexdigest()[:16]

    assert keys().patient("urn:oid:1.2.3.4", "12345") == f"p1:{expected}"


def test_each_kind_of_identifier_has_its_own_letter_and_its_own_key() -> None:
    made = [make("s", "1") for make in (keys().patient, keys().encounter, keys().user)]

    assert [one.split(":")[0] for one in made] == ["p1", "e1", "u1"]
    assert len({one.split(":")[1] for one in made}) == 3


@given(system=st.text(), value=st.text())
def test_any_text_has_a_stable_pseudonym(system: str, value: str) -> None:
    assert keys().patient(system, value) == keys().patient(system, value)


def test_an_id_that_utf8_cannot_hold_has_a_pseudonym_too() -> None:
    assert keys().user("s", "\ud800").startswith("u1:")


def test_the_keys_with_the_highest_number_are_in_force_and_the_older_ones_may_stay_in_the_file() -> None:
    newer = {"number": 2, "key_id": "2028a", "patient": "44" * 32, "encounter": "55" * 32, "user": "66" * 32}
    text = json.dumps({"keys": [newer, FILE["keys"][0]]}).encode()

    assert pseudonyms_from(text, "keys.json").patient("s", "1").startswith("p2:")
    assert pseudonyms_from(text, "keys.json").key_id == "2028a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not a keys file"),
        (b"[]", "not a keys file"),
        (b'{"keys": []}', "not a keys file"),
        (b'{"keys": [{"number": 1, "key_id": "a", "patient": "zz"}]}', "not a keys file"),
        (b"\xff\xfe", "not a keys file"),
    ],
)
def test_what_is_no_keys_file_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(ConfigurationRefused, match=says):
        pseudonyms_from(text, "keys.json")


@pytest.mark.parametrize(
    ("differences", "says"),
    [
        ({"patient": "11" * 31}, "shorter than 32 bytes"),
        ({"patient": "22" * 32}, "uses one key twice"),
        ({"number": 0}, "`number` from 1"),
        ({"key_id": ""}, "`key_id`"),
    ],
)
def test_weak_or_unnamed_keys_are_refused_without_being_printed(
    differences: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigurationRefused, match=says) as refusal:
        keys(**differences)
    assert "11" * 31 not in str(refusal.value)


def test_created_keys_are_readable_by_the_owner_alone_and_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    created = create_keys(path, "demonstration")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_keys(path).patient("s", "1") == created.patient("s", "1")


def test_keys_are_never_replaced(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys.json", "a")

    with pytest.raises(FileExistsError):
        create_keys(tmp_path / "keys.json", "b")


def test_two_fresh_key_files_share_no_key() -> None:
    first, second = (pseudonyms_from(new_keys_file("a"), "keys.json") for _ in range(2))

    assert len({*first.keys.values(), *second.keys.values()}) == 2 * len(KeyKind)


def test_a_file_every_user_can_read_is_refused(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys.json", "a")
    (tmp_path / "keys.json").chmod(0o644)

    with pytest.raises(ConfigurationRefused, match="chmod 600"):
        read_keys(tmp_path / "keys.json")


def test_a_missing_file_is_refused_naming_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_PSEUDONYM_KEYS"):
        read_keys(tmp_path / "keys.json")


def test_keys_never_print_themselves() -> None:
    assert repr(keys()) == "Pseudonyms(key_id='2027a')"
