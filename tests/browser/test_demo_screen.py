"""The whole demonstration, started as a person starts it and driven in a real browser.

Pictures go into the test's own folder (`pytest --basetemp DIR` keeps them where one wants them).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response

from cds_wrapper.caveats.evidence import EvidenceBook
from cds_wrapper.pages.published import hidden_names
from cds_wrapper.services import load_services
from tests.browser.chromium import CHROMIUM, chromium
from tests.ports import free_port
from tests.service.harness import SILENCE, copy_every_service
from tests.unit.demo.test_supervisor import holds_soon

ROOT = Path(__file__).parents[2]
DESKTOP, PHONE = (1440, 900), (390, 844)
STOP_SECONDS = 120

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
]


@dataclass(frozen=True)
class Demo:
    """A running demonstration."""

    url: str
    data: Path
    process: subprocess.Popen[str]


def start(port: int, data: Path) -> subprocess.Popen[str]:
    """`python3 run.py demo --port N --data DIR`, as run.py becomes it; a record has more time than usual."""
    hooks = copy_every_service(data.parent / f"of-{port}", **SILENCE)
    return subprocess.Popen(
        [sys.executable, "-m", "cds_wrapper.cli", "demo", "--port", str(port), "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CDS_WRAPPER_HOOKS": str(hooks)},
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo") / "data"
    port = free_port(neighbours=2)
    process = start(port, data)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    ready = next((line for line in lines if line.startswith("ready ")), None)
    if ready is None:
        raise AssertionError(process.communicate()[1])
    yield Demo(ready.split()[1], data, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=STOP_SECONDS)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """The screen on a desktop; the test fails when the page complains about anything."""
    width, height = DESKTOP
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("requestfailed", lambda request: complaints.append(f"failed: {request.method}"))
    foreign: list[str] = []
    opened.on(
        "request", lambda request: None if request.url.startswith(demo.url) else foreign.append("foreign")
    )
    opened.goto(demo.url)
    yield opened
    context.close()
    assert complaints == []
    assert foreign == []


def choose(page: Page, patient: str) -> None:
    page.click(f'.patients button[value="{patient}"]')
    page.wait_for_selector(f'.patients button[value="{patient}"][aria-current="true"]')


def card_of(page: Page) -> str:
    return page.inner_text(".cds .card")


def record_of(page: Page) -> str:
    return re.sub(r"\s+", " ", page.inner_text("#record"))


CASES = [
    (
        "black-35",
        "3.1 % – true risk may be higher for this patient",
        "too low for similar patients",
        "reduced",
    ),
    ("white-55", "7.7 %", "not yet been checked on enough patients here", "limited"),
    (
        "native-50",
        "2.1 % – no results for similar patients",
        "no results for similar patients",
        "not_validated",
    ),
    ("declined-35", "3.1 %", "could not be checked: details not on file", "not_assessed"),
    ("age-81", "28.2 % – outside the developer's intended use", "ages outside 30 to 79", "reduced"),
]


@pytest.mark.parametrize(("patient", "summary", "caveat", "level"), CASES, ids=[case[0] for case in CASES])
def test_the_card_says_how_far_the_score_works_for_this_patient(
    page: Page, tmp_path: Path, patient: str, summary: str, caveat: str, level: str
) -> None:
    choose(page, patient)
    assert page.inner_text(".card h3") == f"10-year cardiovascular risk {summary}"
    assert caveat in page.inner_text(".card .detail > p:first-child")
    assert "Not reviewed by a person." in card_of(page)
    assert f"Level {level} " in record_of(page)
    assert "Status answered " in record_of(page)
    page.screenshot(path=tmp_path / f"{patient}.png")


IN_HOSPITAL = [
    (
        "ward-no-alertness-71",
        "deterioration",
        "NEWS2 5 of 20 (medium) – true score may be higher: no level of consciousness",
        "Calculated without level of consciousness, counted as normal.",
    ),
    (
        "ward-oximetry-62",
        "deterioration",
        "NEWS2 6 of 20 (medium) – true risk may be higher for this patient",
        "Oxygen saturation is measured less accurately in similar patients.",
    ),
    (
        "back-again-66",
        "readmission",
        "30-day readmission risk 34 % (higher than average)",
        "not yet been checked on enough patients here",
    ),
]


@pytest.mark.parametrize(("patient", "service", "summary", "caveat"), IN_HOSPITAL, ids=lambda one: one[:20])
def test_a_patient_in_hospital_has_the_card_of_the_service_that_answers_then(
    page: Page, tmp_path: Path, patient: str, service: str, summary: str, caveat: str
) -> None:
    choose(page, patient)
    assert page.inner_text(".card h3") == summary
    assert caveat in page.inner_text(".card .detail > p:first-child")
    assert f"{service} answers." in page.inner_text(".cds")
    assert "Status answered " in record_of(page)
    page.screenshot(path=tmp_path / f"{patient}.png")


def test_the_same_patient_can_be_opened_admitted_and_discharged(page: Page) -> None:
    choose(page, "ward-low-67")
    for hook, begins in (
        ("encounter-discharge", "30-day readmission risk"),
        ("patient-view", "10-year cardiovascular risk"),
        ("encounter-start", "NEWS2 0 of 20 (low)"),
    ):
        page.click(f'button[name="hook"][value="{hook}"]')
        page.wait_for_selector(f'button[name="hook"][value="{hook}"][aria-pressed="true"]')
        assert page.inner_text(".card h3").startswith(begins)


def test_a_score_that_cannot_be_calculated_is_said_and_recorded(page: Page) -> None:
    choose(page, "no-hdl")
    assert "not calculated, HDL cholesterol missing. This does not mean low risk." in card_of(page)
    assert "Status missing_input " in record_of(page)
    assert "Missing inputs HDL cholesterol" in record_of(page)


def test_the_same_score_gets_another_card_for_another_patient(page: Page) -> None:
    summaries = []
    for patient in ("black-35", "white-35"):
        choose(page, patient)
        summaries.append(page.inner_text(".card h3"))
        assert "Score 3.1 % " in record_of(page)
    assert summaries[0].startswith(summaries[1])
    assert summaries[0] != summaries[1]


def test_no_patient_stands_in_the_address_or_in_the_history(page: Page, demo: Demo) -> None:
    choose(page, "black-35")
    assert page.url == demo.url


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("slow", "timed_out"),
        ("down", "unreachable"),
        ("cut", "unreadable"),
        ("error", "failed"),
        ("html", "unreadable"),
        ("huge", "unreadable"),
        ("truncated", "unreadable"),
    ],
)
def test_a_vendor_that_fails_gives_a_truthful_card_and_a_record(page: Page, fault: str, status: str) -> None:
    choose(page, "black-35")
    page.click(f'.faults button[value="{fault}"]')
    page.wait_for_selector(f'.faults button[value="{fault}"][aria-pressed="true"]')
    assert "no result right now. This does not mean low risk." in card_of(page)
    assert f"Status {status} " in record_of(page)
    page.click('.faults button[value="ok"]')
    page.wait_for_selector('.faults button[value="ok"][aria-pressed="true"]')
    assert "3.1 %" in card_of(page)


def follow_the_link(page: Page) -> tuple[Page, Response]:
    with page.context.expect_page() as opened:
        page.click(".card .link")
    behind = opened.value
    behind.wait_for_load_state()
    answer = behind.reload()
    assert answer is not None
    return behind, answer


def test_the_page_behind_the_card_repeats_the_caveat_and_names_no_group(page: Page, tmp_path: Path) -> None:
    choose(page, "black-35")
    behind, answer = follow_the_link(page)
    assert "too low for similar patients" in behind.inner_text("h1")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "private, no-store"
    assert behind.evaluate("document.referrer") == ""
    service = load_services(ROOT / "hooks").of("cvd-risk")[0]
    words = behind.inner_text("body")
    names = hidden_names(service.card.estimates, service.scheme)
    assert "Black" in names
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", words, re.IGNORECASE)]
    assert not re.search("black|race|35|aspen", behind.url)
    behind.screenshot(path=tmp_path / "evidence.png", full_page=True)


def test_two_patients_with_one_finding_share_the_page(page: Page) -> None:
    links = []
    for patient in ("white-35", "white-55"):
        choose(page, patient)
        links.append(page.get_attribute(".card .link", "href"))
    assert links[0] == links[1]


def test_a_phone_shows_caveat_meaning_and_results_on_its_first_screen(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    choose(page, "black-35")
    link = page.get_attribute(".card .link", "href")
    assert link is not None
    width, height = PHONE
    context = browser.new_context(viewport={"width": width, "height": height})
    phone = context.new_page()
    phone.goto(link)
    third = phone.locator("p.plain").bounding_box()
    assert third is not None
    assert third["y"] + third["height"] <= height
    assert phone.evaluate("document.documentElement.scrollWidth") == width
    phone.screenshot(path=tmp_path / "evidence-phone.png")
    context.close()


@pytest.mark.parametrize("size", [DESKTOP, (1024, 768), PHONE], ids=["desktop", "tablet", "phone"])
def test_nothing_is_wider_than_the_window(browser: Browser, demo: Demo, size: tuple[int, int]) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    opened = context.new_page()
    opened.goto(demo.url)
    assert opened.evaluate("document.documentElement.scrollWidth") <= size[0]
    choose(opened, "hispanic-45")
    assert opened.evaluate("document.documentElement.scrollWidth") <= size[0]
    context.close()


def test_the_screen_works_without_scripts(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(demo.url)
    opened.click('.patients button[value="black-35"]')
    assert "true risk may be higher" in opened.inner_text(".card h3")
    opened.click('.faults button[value="html"]')
    assert "no result right now" in opened.inner_text(".card h3")
    opened.click('.faults button[value="ok"]')
    opened.fill("#query", "Aspen")
    opened.click(".search button")
    assert opened.locator(".person").count() == 1
    context.close()


def test_the_list_can_be_searched_and_used_by_keyboard_alone(page: Page) -> None:
    page.focus("#query")
    page.keyboard.type("cedar")
    assert page.locator(".person:visible").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card")
    assert page.inner_text("#banner-name") == "Example-Cedar, Jordan"
    assert page.evaluate("document.activeElement.id") == "banner-name"


def test_what_the_demonstration_leaves_behind_names_nobody(page: Page, demo: Demo) -> None:
    choose(page, "black-35")
    file = demo.data / "operator.log"
    # A line is written after its answer, and an id may hold any four digits.
    assert holds_soon(lambda: "invocation_completed" in file.read_text())
    log = file.read_text()
    for word in ("Aspen", "Andre", "DEMO00001", "black-35"):
        assert word not in log
    assert re.search(r"(?<![0-9a-f])199[01]-\d\d-\d\d", log) is None


def test_a_port_that_is_taken_is_explained_in_one_sentence(demo: Demo, tmp_path: Path) -> None:
    port = int(demo.url.rstrip("/").rsplit(":", 1)[1])
    second = start(port, tmp_path)
    output, errors = second.communicate(timeout=STOP_SECONDS)
    assert (second.returncode, output) == (1, "")
    assert errors.count("\n") == 1
    assert f"Port {port} is in use" in errors
    assert "--port" in errors


def test_a_folder_that_is_in_use_is_explained_in_one_sentence(demo: Demo) -> None:
    second = start(free_port(neighbours=2), demo.data)
    output, errors = second.communicate(timeout=STOP_SECONDS)
    assert (second.returncode, output, errors.count("\n")) == (1, "", 1)
    assert "--data" in errors


def test_the_edition_that_spoke_is_the_one_in_force(page: Page) -> None:
    choose(page, "black-35")
    book: EvidenceBook = load_services(ROOT / "hooks").of("cvd-risk")[0].book
    assert f"Evidence edition {book.edition}" in record_of(page)
