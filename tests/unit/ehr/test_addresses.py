"""Which page is a page of the configured server, and where it is really fetched (FHIR-8)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.ehr.access import AccessMode, FHIRAccess
from cds_wrapper.ehr.addresses import normal_address, page_address
from tests.fhir import access

BASE = "https://ehr.example:8443/tenant/r4"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (f"{BASE}/Observation?page=2", f"{BASE}/Observation?page=2"),
        (f"{BASE}?_getpages=abc&_getpagesoffset=20", f"{BASE}?_getpages=abc&_getpagesoffset=20"),
        ("HTTPS://EHR.example:8443/tenant/r4/Observation?a=b", f"{BASE}/Observation?a=b"),
        ("/tenant/r4/Observation?page=2", f"{BASE}/Observation?page=2"),
        ("Observation?page=2", f"{BASE}/Observation?page=2"),
        ("?page=2", f"{BASE}?page=2"),
        (f"{BASE}/Observation?code=a|b", f"{BASE}/Observation?code=a%7Cb"),
    ],
)
def test_a_page_of_the_server_is_fetched_at_the_configured_address(link: str, address: str) -> None:
    assert page_address(link, BASE) == address


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/tenant/r4/Observation?page=2",
        "https://ehr.example:8443@evil.example/tenant/r4/x",
        "https://user@ehr.example:8443/tenant/r4/x",
        "https://ehr.example/tenant/r4/x",
        "http://ehr.example:8443/tenant/r4/x",
        "https://ehr.example.:8443/tenant/r4/x",
        "https://ehr.example:8443/tenant/r4x/Observation",
        "https://ehr.example:8443/other/r4/Observation",
        "https://ehr.example:8443/tenant/r4/../../other/r4/Observation",
        "https://ehr.example:8443/tenant/r4/%2e%2e/%2e%2e/other",
        "https://ehr.example:8443/tenant/r4/..%2f..%2fother",
        "https://ehr.example:8443/tenant/r4/%252e%252e/x",
        "https://ehr.example:8443\\@evil.example/tenant/r4/x",
        "//evil.example/tenant/r4/x",
        "///evil.example/x",
        "/other/r4/Observation",
        "../../other",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://ehr.example:99999/tenant/r4/x",
        "https://[::1/tenant/r4/x",
        "https://ehr.example:8443/tenant/r4/x\r\nhost: evil",
        "https://ehr.example:8443/tenant/r4/ x",
        "",
        BASE,
        f"{BASE}/",
    ],
)
def test_a_link_to_anywhere_else_is_not_followed(link: str) -> None:
    assert page_address(link, BASE) is None


@given(st.text(max_size=60) | st.lists(st.sampled_from("/.%2eE\\@:?#ehr"), max_size=20).map("".join))
def test_whatever_a_link_says_it_leads_to_the_configured_server_or_nowhere(tail: str) -> None:
    for link in (tail, BASE + tail, f"{BASE}/{tail}", f"https:{tail}"):
        address = page_address(link, BASE)
        if address is not None:
            parts = urlsplit(address)
            assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "ehr.example:8443", "")
            assert address.startswith(BASE) and address.isascii() and ".." not in parts.path.split("/")


NAMED = access("https://ehr.example/fhir", "http://127.0.0.1:9000/r4")


@pytest.mark.parametrize(
    ("named", "called"),
    [
        ("https://ehr.example/fhir", "https://ehr.example/fhir"),
        ("https://EHR.Example:443/fhir/", "https://ehr.example/fhir"),
        ("http://127.0.0.1:9000/r4/", "http://127.0.0.1:9000/r4"),
    ],
)
def test_a_listed_server_is_called_by_the_configured_text(named: str, called: str) -> None:
    assert NAMED.server(named) == called


@pytest.mark.parametrize(
    "named",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://10.0.0.1/fhir",
        "http://192.168.1.1/fhir",
        "http://localhost:9000/r4",
        "http://127.0.0.1:9001/r4",
        "http://127.0.0.1/r4",
        "http://2130706433:9000/r4",
        "http://0x7f.1:9000/r4",
        "https://ehr.example@evil.example/fhir",
        "https://ehr.example:443@evil.example/fhir",
        "https://evil.example/https://ehr.example/fhir",
        "https://evil.example#https://ehr.example/fhir",
        "https://evil.example\\@ehr.example/fhir",
        "https://user:password@ehr.example/fhir",
        "http://ehr.example/fhir",
        "ftp://ehr.example/fhir",
        "file:///etc/passwd",
        "//ehr.example/fhir",
        "ehr.example/fhir",
        "https://ehr.example:8443/fhir",
        "https://ehr.example./fhir",
        "https://ehr.example/FHIR",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://ehr.example/",
        "https://еhr.example/fhir",  # noqa: RUF001  a Cyrillic letter is the point
        "https://ehr。example/fhir",
        "https://ehr.example.evil.example/fhir",
        "https://xehr.example/fhir",
        "",
        " ",
    ],
)
def test_a_server_that_is_not_listed_is_none_we_know(named: str) -> None:
    assert NAMED.server(named) is None


def test_nothing_of_a_key_is_printed() -> None:
    assert "key" not in repr(FHIRAccess(("https://ehr.example",), AccessMode.TOKEN, 5, NAMED.within)).lower()


def test_an_address_without_end_is_no_server_and_is_kept_nowhere() -> None:
    kept = normal_address.cache_info().currsize
    assert access(BASE).server(BASE + "/" * 1_000_000) is None
    assert normal_address.cache_info().currsize == kept
