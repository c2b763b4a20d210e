"""The pages behind a card, over the repository's own service: order, words, silence about groups, headers."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from cds_wrapper.caveats.evidence import (
    GENERAL,
    Direction,
    EvidenceBook,
    Figures,
    Grade,
    LocalResult,
    MeasuredLessWell,
    OutOfScopeRule,
    TrainingGroup,
    evidence_token,
)
from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.caveats.policy import Reason
from cds_wrapper.pages.evidence import evidence_routes
from cds_wrapper.pages.published import hidden_in
from cds_wrapper.patient.subgroups import Display
from cds_wrapper.services import ServiceCatalog, ServiceDefinition, load_services

HOOKS = Path(__file__).parents[3] / "hooks"
CATALOG = load_services(HOOKS)
SERVICE = CATALOG.of("cvd-risk")[0]
BOOK = SERVICE.book
FINDING = BOOK.findings[0].id
KEYS = [*(finding.id for finding in BOOK.findings), *(reason.value for reason in Reason), GENERAL]


def address(key: str, book: EvidenceBook = BOOK) -> str:
    return f"/evidence/cvd-risk/{book.edition}/{evidence_token(book.edition, key)}"


def browser_of(catalog: ServiceCatalog) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=evidence_routes(lambda: catalog)))
    return httpx.AsyncClient(transport=transport, base_url="http://wrapper.test")


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(CATALOG) as client:
        yield client


async def words_under(order: Order | None) -> str:
    routes = evidence_routes(lambda: CATALOG, {"cvd-risk": order}.get)
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://wrapper.test") as client:
        return Outline((await client.get("/evidence/cvd-risk")).text).words


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Ordered.STOP, "this tool is switched off: the model is not asked."),
        (Ordered.SHADOW, "this tool is paused: the score is calculated and recorded, but not shown."),
    ],
)
async def test_an_order_in_force_is_told_with_its_day_and_the_role_that_gave_it(
    decision: Ordered, said: str
) -> None:
    since = datetime(2026, 11, 27, 23, 59, tzinfo=UTC)
    words = await words_under(Order("d", "cvd-risk", decision, since, "<b>chair</b>", why="secret"))

    assert f"Since 27 November 2026, by order of the <b>chair</b>, {said}" in words, (
        "and nothing of it is HTML"
    )
    assert "secret" not in words


@pytest.mark.parametrize("order", [None, Order("d", "cvd-risk", Ordered.LIVE, datetime.now(UTC), "chair")])
async def test_where_nothing_is_ordered_nothing_is_told(order: Order | None) -> None:
    assert "by order of" not in await words_under(order)


class Outline(HTMLParser):
    """What a page is made of: tags with their attributes, headings, words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.headings: list[tuple[str, str]] = []
        self._open: str | None = None
        self.feed(page)
        self.words = re.sub(r"\s+", " ", self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self._open = tag
            self.headings.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"
        if self._open:
            level, words = self.headings[-1]
            self.headings[-1] = (level, words + data)


async def page_of(browser: httpx.AsyncClient, path: str) -> Outline:
    answer = await browser.get(path)
    assert answer.status_code == 200
    return Outline(answer.text)


# Order and words --------------------------------------------------------------------------------------------


async def test_the_eight_parts_stand_in_their_order(browser: httpx.AsyncClient) -> None:
    page = await page_of(browser, address(FINDING))
    assert [words for level, words in page.headings if level in {"h1", "h2"}] == [
        "Elsewhere, this score has been too low for similar patients. True risk may be higher than shown.",
        "What it means",
        "Results here",
        "Who it was built and tested on",
        "What the hospital decided",
        "Whom to ask, and how to report",
        "How to read these numbers",
        "Source attributes, editions, print",
    ]


@pytest.mark.parametrize(
    ("key", "heading", "what_to_do"),
    [
        (
            FINDING,
            "True risk may be higher than shown.",
            "Do not rule the outcome out because the score is low.",
        ),
        (
            "out_of_scope",
            "The developer advises against this score for ages outside 30 to 79.",
            "Do not rely on",
        ),
        ("not_reported", "The developer gives no results for similar patients", "one sign among others"),
        ("group_unknown", "could not be checked: details not on file", "whatever the reason a detail is not"),
        ("thin_evidence", "not yet been checked on enough patients here", "one sign among others"),
        (GENERAL, "How 10-year cardiovascular risk (demonstration) was checked", "not a certificate"),
    ],
)
async def test_the_page_repeats_the_caveat_and_says_what_to_do(
    browser: httpx.AsyncClient, key: str, heading: str, what_to_do: str
) -> None:
    page = await page_of(browser, address(key))
    assert heading in page.headings[0][1]
    assert what_to_do in page.words


async def test_not_yet_checked_here_is_said_as_plainly_as_a_result(browser: httpx.AsyncClient) -> None:
    page = await page_of(browser, address(FINDING))
    assert page.words.count("Not yet checked here.") == 2


def with_book(**changes: object) -> ServiceDefinition:
    return replace(SERVICE, book=EvidenceBook.of(replace(BOOK.contents, **changes)))  # type: ignore[arg-type]  # each test names a field of its own


@pytest.mark.parametrize(("n", "said"), [(4_321, "on 4,321 patients"), (10, "Not yet checked here.")])
async def test_results_of_this_hospital_stand_in_the_third_part_unless_they_are_few(
    n: int, said: str
) -> None:
    overall = LocalResult({}, exclusive=False, grade=Grade.ADEQUATE, holds_up=True, n=n, estimate_ids=())
    service = with_book(local=(overall,))
    async with browser_of(ServiceCatalog((service,))) as browser:
        page = await page_of(browser, address(GENERAL, service.book))
    assert said in page.words


@pytest.mark.parametrize(
    ("direction", "heading"),
    [
        (
            Direction.MISSES_MORE,
            "found 40 in 100 cardiovascular disease cases in similar patients, 60 in others",
        ),
        (Direction.FALSE_ALARMS_MORE, "in similar patients, 40 in 100 alerts were right, 60 in others"),
        (Direction.SCORES_TOO_LOW, "for similar patients, it said 40 in 100 and 60 had"),
        (Direction.SCORES_TOO_HIGH, "for similar patients, it said 40 in 100 and 60 had"),
    ],
)
async def test_every_direction_has_its_words_and_its_figures(direction: Direction, heading: str) -> None:
    finding = replace(BOOK.findings[0], direction=direction, figures=Figures(40, 60))
    service = with_book(findings=(finding,))
    async with browser_of(ServiceCatalog((service,))) as browser:
        page = await page_of(browser, address(finding.id, service.book))
    assert heading in page.headings[0][1]


async def test_a_finding_nobody_signed_is_under_review() -> None:
    service = with_book(findings=(replace(BOOK.findings[0], signed=False),), signed=False)
    async with browser_of(ServiceCatalog((service,))) as browser:
        page = await page_of(browser, address(FINDING, service.book))
    assert "under review" in page.headings[0][1]
    assert "has not approved" in page.words


# Silence about groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [*KEYS, "no-such-key"])
async def test_no_page_behind_a_card_names_a_group_that_a_card_may_not_name(
    browser: httpx.AsyncClient, key: str
) -> None:
    names = hidden_in(SERVICE.card, SERVICE.scheme) | {"African American", "Native", "Latino"}
    assert {"Black", "White", "Hispanic"} <= names
    page = await page_of(browser, address(key))
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", page.words, re.IGNORECASE)]


@pytest.mark.parametrize(
    ("where", "say", "said"),
    [
        ({"race": ("black",)}, "Black adults", False),
        ({"race": ("black",)}, "darker-skinned adults", False),
        ({"age_band": ("80+",)}, "Samoan people aged 80 and over", False),
        ({"age_band": ("80+",)}, "people aged 80 and over", True),
    ],
)
async def test_neither_heading_nor_text_says_a_rule_about_a_group_that_a_card_may_not_name(
    where: dict[str, tuple[str, ...]], say: str, said: bool
) -> None:
    rule = OutOfScopeRule(where, say)
    training = (TrainingGroup({"race": ("nhpi",)}, as_reported="Samoan"),)
    service = replace(
        with_book(out_of_scope=(rule,)),
        card=replace(SERVICE.card, out_of_scope=(rule,), training=training),
    )
    async with browser_of(ServiceCatalog((service,))) as browser:
        page = await page_of(browser, address("out_of_scope", service.book))
    assert (say in page.headings[0][1]) is said
    assert page.words.count(say) == (2 if said else 0)


async def test_a_sentence_that_names_a_hidden_group_stands_only_on_the_models_own_page(
    browser: httpx.AsyncClient,
) -> None:
    behind, model = (
        await page_of(browser, address(FINDING)),
        await page_of(browser, "/evidence/cvd-risk/model"),
    )
    assert "the events of Black adults were predicted" in model.words
    assert "by a factor of two. [on the model’s own page] Over four health systems" in behind.words
    assert "Young Adults: Fairness, Calibration, and Performance" in behind.words


async def test_from_the_fourth_part_on_the_page_is_the_same_for_everybody(browser: httpx.AsyncClient) -> None:
    pages = [(await browser.get(address(key))).text for key in KEYS]
    assert len({page[page.index('aria-labelledby="s4"') :] for page in pages}) == 1


async def test_the_models_own_page_has_every_figure_with_its_source(browser: httpx.AsyncClient) -> None:
    page = await page_of(browser, "/evidence/cvd-risk/model")
    assert "Black, people aged 30 to 39" in page.words
    assert "1.85 (1.54 to 2.08, 95 % interval)" in page.words
    cited = {row.cite for row in SERVICE.card.estimates if row.state.value != "not_reported"}
    assert not [cite for cite in cited if cite and cite not in page.words]


FORBIDDEN = (
    "biased",
    "fair ",
    "unfair",
    "safe ",
    "validated for you",
    "high-risk group",
    "minority",
    "algorithm",
)


@pytest.mark.parametrize("key", KEYS)
async def test_the_first_parts_describe_the_score_never_the_patients(
    browser: httpx.AsyncClient, key: str
) -> None:
    page = (await browser.get(address(key))).text
    first = Outline(page[: page.index('aria-labelledby="s4"')]).words.lower()
    assert not [word for word in (*FORBIDDEN, "auroc", "non-compliant", "should not") if word in first]


# Addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"/evidence/cvd-risk/{BOOK.edition}/0000000000000000",
        f"/evidence/cvd-risk/{BOOK.edition}/%3Cscript%3E",
        "/evidence/cvd-risk/2020-01-01.00000000/89224c5adad59cfd",
        "/evidence/cvd-risk",
    ],
)
async def test_an_unknown_or_old_token_gives_the_general_page(browser: httpx.AsyncClient, path: str) -> None:
    page, general = await page_of(browser, path), await page_of(browser, address(GENERAL))
    assert page.headings == general.headings


NOT_IN_FORCE = "This address is not of the edition in force:"


async def test_a_card_of_an_earlier_edition_is_told_so(browser: httpx.AsyncClient) -> None:
    old = await page_of(browser, "/evidence/cvd-risk/2020-01-01.00000000/89224c5adad59cfd")
    assert NOT_IN_FORCE in old.words
    assert NOT_IN_FORCE not in (await page_of(browser, address(FINDING))).words


@pytest.mark.parametrize("token", ["0000000000000000", "89224c5adad59cf", "%3Cscript%3E"])
async def test_a_mistyped_token_of_the_edition_in_force_says_nothing_about_editions(
    browser: httpx.AsyncClient, token: str
) -> None:
    page = await page_of(browser, f"/evidence/cvd-risk/{BOOK.edition}/{token}")
    assert NOT_IN_FORCE not in page.words
    assert "may have been made with an earlier one" not in page.words


@pytest.mark.parametrize("path", ["/evidence/nope", "/evidence/nope/e/t", "/evidence/nope/model"])
async def test_a_service_that_does_not_exist_has_no_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "no service of this name" in answer.text
    assert "nope" not in answer.text


async def test_a_new_catalog_is_seen_at_the_next_request() -> None:
    catalogs = [ServiceCatalog(), CATALOG]
    transport = httpx.ASGITransport(Starlette(routes=evidence_routes(lambda: catalogs.pop(0))))
    async with httpx.AsyncClient(transport=transport, base_url="http://wrapper.test") as browser:
        assert (await browser.get("/evidence/cvd-risk")).status_code == 404
        assert (await browser.get("/evidence/cvd-risk")).status_code == 200


# What the browser is told -----------------------------------------------------------------------------------

EVERY_PAGE = [address(FINDING), "/evidence/cvd-risk", "/evidence/cvd-risk/model", "/evidence/nope"]


@pytest.mark.parametrize("path", EVERY_PAGE)
async def test_pages_send_no_referrer_and_are_kept_in_no_cache(browser: httpx.AsyncClient, path: str) -> None:
    headers = (await browser.get(path)).headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "private, no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert "set-cookie" not in headers


@pytest.mark.parametrize("path", EVERY_PAGE)
async def test_pages_work_without_scripts_and_load_nothing_from_elsewhere(
    browser: httpx.AsyncClient, path: str
) -> None:
    tags = Outline((await browser.get(path)).text).tags
    assert not [tag for tag, _ in tags if tag in {"script", "iframe", "object", "img", "form"}]
    assert not [
        attrs for _, attrs in tags if "style" in attrs or any(name.startswith("on") for name in attrs)
    ]
    loaded = [attrs["href"] or "" for tag, attrs in tags if tag == "link"]
    assert loaded == ["data:,", "/evidence-style/pages.css"]
    style = (await browser.get("/evidence-style/pages.css")).text
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("path", EVERY_PAGE)
async def test_pages_can_be_read_without_seeing_them(browser: httpx.AsyncClient, path: str) -> None:
    answer = (await browser.get(path)).text
    page = Outline(answer)
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert [level for level, _ in page.headings].count("h1") == 1
    levels = [int(level[1]) for level, _ in page.headings]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert "content" in ids
    assert answer.count("<table>") == answer.count("<caption>")
    assert not [attrs for tag, attrs in page.tags if tag == "th" and "scope" not in attrs]


async def test_nothing_but_reading_is_possible(browser: httpx.AsyncClient) -> None:
    assert (await browser.post(address(FINDING))).status_code == 405


OXIMETRY = MeasuredLessWell(
    id="measured_less_well:oxygen saturation:1",
    input="oxygen saturation",
    where={"race": ("black",)},
    direction="scores_too_low",
    recheck="Readings may be too high: confirm with a blood gas.",
    source="N Engl J Med 2020;383:2477",
)


def with_oximetry(display: Display = Display.GENERIC) -> ServiceDefinition:
    contents = replace(BOOK.contents, measured_less_well=(OXIMETRY,))
    race = replace(SERVICE.scheme.attributes["race"], display=display, labels={"black": "Black patients"})
    scheme = replace(SERVICE.scheme, attributes={**SERVICE.scheme.attributes, "race": race})
    return replace(SERVICE, book=EvidenceBook.of(contents), scheme=scheme)


async def page_about(service: ServiceDefinition, key: str) -> str:
    async with browser_of(ServiceCatalog((service,))) as client:
        return (await client.get(address(key, service.book))).text


async def test_the_page_of_an_input_measured_less_well_says_so_in_the_cards_words() -> None:
    text = await page_about(with_oximetry(), OXIMETRY.id)
    assert "Oxygen saturation is measured less accurately in similar patients." in text
    assert "a low score is no reassurance" in text
    assert "Black patients" not in text


async def test_a_group_in_which_an_input_is_in_doubt_is_named_only_where_a_card_may() -> None:
    """The source too, whose title may name it."""
    hidden, shown = with_oximetry(), with_oximetry(Display.SHOW)
    text = await page_about(hidden, GENERAL)
    assert "whom this page does not name" in text
    assert "N Engl J Med 2020;383:2477" not in text
    text = await page_about(shown, GENERAL)
    assert "Measured less accurately in Black patients." in text
    assert "N Engl J Med 2020;383:2477" in text


async def test_the_models_own_page_names_the_group_and_the_source_of_an_input_in_doubt() -> None:
    async with browser_of(ServiceCatalog((with_oximetry(),))) as client:
        text = (await client.get("/evidence/cvd-risk/model")).text
    assert "Measured less accurately in Black patients." in text
    assert "N Engl J Med 2020;383:2477" in text


async def test_what_was_counted_as_normal_has_a_page_of_its_own() -> None:
    as_normal = await page_about(SERVICE, "missing_input:scores_too_low")
    omitted = await page_about(SERVICE, "missing_input")
    assert "counted as normal. The true score may be higher." in as_normal
    assert "The score may change once recorded." in omitted
