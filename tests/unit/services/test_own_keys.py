"""The prefetch keys the wrapper asks for itself: only what is needed, once, and not for the vendor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cds_wrapper.errors import Mistake
from cds_wrapper.services import ServiceDefinition, load_problems, load_services, warnings_of
from cds_wrapper.services.discovered import joined
from tests.unit.services.files import CVD_RISK

PLAIN = "core: false, monitor: true, display: never"
PAYER = f"  payer: {{{PLAIN}}}\n"
DISABILITY = f"  disability: {{{PLAIN}}}\n"
COVERAGE_QUERY = "Coverage?patient={{context.patientId}}&status=active"


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    shutil.copytree(CVD_RISK, tmp_path / "hooks" / "cvd-risk")
    return tmp_path / "hooks"


def write(hooks: Path, attributes: str = "", *, more: str = "", **service: str) -> None:
    """Add attributes and sections to subgroups.yaml; replace texts of service.yaml, `old=new`."""
    folder = hooks / "cvd-risk"
    subgroups = (folder / "subgroups.yaml").read_text().replace("crossings:", f"{attributes}crossings:", 1)
    (folder / "subgroups.yaml").write_text(subgroups + more)
    text = (folder / "service.yaml").read_text()
    for old, new in service.items():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "service.yaml").write_text(text)


def with_key(key: str, query: str) -> dict[str, str]:
    """One more prefetch key of the vendor's."""
    return {"prefetch:\n": f'prefetch:\n  {key}: "{query}"\n'}


def loaded(hooks: Path) -> ServiceDefinition:
    (service,) = load_services(hooks)
    return service


def only(hooks: Path) -> Mistake:
    (mistake,) = load_problems(hooks)
    return mistake


def test_a_site_that_collects_nothing_beside_the_patient_asks_for_nothing_more(hooks: Path) -> None:
    service = loaded(hooks)
    assert (service.own_queries, service.own_keys, service.places) == ((), frozenset(), None)
    assert not [key for key in service.prefetch if key.startswith("wrapper-")]


def test_each_key_is_there_for_something_that_is_collected_and_says_what(hooks: Path) -> None:
    write(hooks, PAYER + DISABILITY, more="encounter: {}\n", **{"encounter: []": 'encounter: ["urn:e"]'})
    service = loaded(hooks)
    assert {query.key: query.purposes for query in service.own_queries} == {
        "wrapper-coverage": ("payer",),
        "wrapper-disability": ("disability",),
        "wrapper-encounter": ("site, unit and care setting", "encounter_key"),
    }
    assert service.prefetch["wrapper-coverage"] == COVERAGE_QUERY
    assert service.prefetch["wrapper-encounter"] == "Encounter/{{context.encounterId}}"
    assert "69856-3" in service.prefetch["wrapper-disability"]
    assert "category" not in service.prefetch["wrapper-disability"], "it would fetch more than is needed"
    assert list(service.prefetch)[-3:] == ["wrapper-coverage", "wrapper-disability", "wrapper-encounter"]


@pytest.mark.parametrize(
    ("attributes", "more", "needed"),
    [
        (PAYER, "", {"wrapper-coverage"}),
        (DISABILITY, "", {"wrapper-disability"}),
        ("", "encounter: {}\n", {"wrapper-encounter"}),
    ],
)
def test_what_is_not_collected_is_not_asked_for(
    hooks: Path, attributes: str, more: str, needed: set[str]
) -> None:
    write(hooks, attributes, more=more)
    assert loaded(hooks).own_keys == needed


def test_an_interpreter_may_be_asked_for_at_the_encounter(hooks: Path) -> None:
    folder = hooks / "cvd-risk" / "subgroups.yaml"
    folder.write_text(
        folder.read_text().replace(
            "interpreter_needed:\n", "interpreter_needed:\n    sources: [encounter, patient]\n"
        )
    )
    (query,) = loaded(hooks).own_queries
    assert (query.key, query.purposes) == ("wrapper-encounter", ("interpreter_needed",))


def test_the_vendor_is_never_sent_a_key_only_the_wrapper_asks_for(hooks: Path) -> None:
    write(hooks, PAYER + DISABILITY, more="encounter: {}\n")
    service = loaded(hooks)
    assert service.own_keys <= service.prefetch.keys()
    assert service.vendor.keys.isdisjoint(service.own_keys)


def test_a_vendor_that_asks_for_the_same_by_its_own_list_is_sent_it_and_no_other_of_ours(hooks: Path) -> None:
    write(hooks, PAYER + DISABILITY)
    service = joined(loaded(hooks), {"wrapper-coverage": COVERAGE_QUERY})
    assert service.vendor.keys == {"wrapper-coverage"}
    assert service.own_keys == {"wrapper-disability"}
    assert service.own_keys <= service.prefetch.keys()


@pytest.mark.parametrize(
    "query",
    [
        COVERAGE_QUERY,
        "Coverage?status=active&patient={{ context.patientId }}",
    ],
)
def test_a_query_the_vendor_asks_too_is_not_asked_twice(hooks: Path, query: str) -> None:
    write(hooks, PAYER, **with_key("insurance", query))
    service = loaded(hooks)
    (own,) = service.own_queries
    assert (own.key, own.shared, service.own_keys) == ("insurance", True, frozenset())
    assert "wrapper-coverage" not in service.prefetch
    assert "insurance" in service.vendor.keys
    assert service.beside_keys.coverage == "insurance"


def test_a_key_of_the_vendors_under_the_wrappers_own_name_is_refused_with_its_place(hooks: Path) -> None:
    write(hooks, PAYER, **with_key("wrapper-coverage", "Coverage?patient={{context.patientId}}"))
    mistake = only(hooks)
    assert (mistake.file, mistake.key) == ("cvd-risk/service.yaml", "prefetch.wrapper-coverage")
    assert mistake.line is not None and "name yours otherwise" in mistake.problem


def test_a_site_may_ask_otherwise(hooks: Path) -> None:
    query = "Coverage?beneficiary={{context.patientId}}"
    write(hooks, PAYER, more=f'queries: {{coverage: "{query}"}}\n')
    assert loaded(hooks).prefetch["wrapper-coverage"] == query


@pytest.mark.parametrize(
    ("queries", "key", "said"),
    [
        ('{coverage: "Coverage?patient={{context.patient}}"}', "queries.coverage", "does not offer"),
        ('{coverage: "Coverage?patient={{context.patientId}"}', "queries.coverage", "braces"),
        ('{disability: "Observation?patient={{context.patientId}}"}', "queries.disability", "nothing here"),
        ('{coverge: "x"}', "queries.coverge", "coverage"),
    ],
)
def test_a_query_that_cannot_be_is_refused_with_its_place(
    hooks: Path, queries: str, key: str, said: str
) -> None:
    write(hooks, PAYER, more=f"queries: {queries}\n")
    mistake = only(hooks)
    assert (mistake.file, mistake.key, mistake.line is not None) == ("cvd-risk/subgroups.yaml", key, True)
    assert said in str(mistake)


def test_a_hook_without_an_encounter_is_not_asked_for_one_and_check_says_so(hooks: Path) -> None:
    context = "context: [dispatchedOrders]"
    changed = {
        "hook: patient-view": "hook: order-dispatch",
        "  protocol: cds-hooks": f"  {context}\n  protocol: cds-hooks",
    }
    write(hooks, more="encounter: {}\n", **changed)
    service = loaded(hooks)
    assert service.own_queries == ()
    (warning,) = (one for one in warnings_of(load_services(hooks)) if one.key == "hook")
    assert "names no encounter" in warning.problem and "care setting" in warning.problem


@pytest.mark.parametrize(
    ("more", "asked"), [("", False), ("queries: {encounter: 'E/{{context.encounterId}}'}\n", True)]
)
def test_a_local_hook_is_asked_for_an_encounter_where_the_site_says_that_it_names_one(
    hooks: Path, more: str, asked: bool
) -> None:
    local = {"hook: patient-view": "hook: org.example.clinic.round"}
    write(hooks, more=f"encounter: {{}}\n{more}", **local)
    assert bool(loaded(hooks).own_queries) is asked


TABLES = {
    "payer": f"  payer: {{{PLAIN}, table: {{file: payers.csv}}}}\n",
    "rurality": f"  rurality: {{{PLAIN}, table: {{file: r.csv, index: RUCA, year: 2020, geography: ZIP}}}}\n",
}


def test_tables_are_read_kept_and_digested_each_by_itself(hooks: Path) -> None:
    write(hooks, "".join(TABLES.values()))
    (hooks / "cvd-risk" / "payers.csv").write_text("element,spelling,payer\ntype.text,Acme,private\n")
    (hooks / "cvd-risk" / "r.csv").write_text("postal_code,rurality\n00001,rural\n")
    service = loaded(hooks)
    assert {file.kind for file in service.files} >= {"deprivation", "payers", "rurality"}
    assert service.rules.payers is not None and service.rules.rurality is not None
    assert service.rules.rurality.kinds == {"00001": "rural"}
    assert service.rules.scheme("rurality") == "RUCA 2020 ZIP"


@pytest.mark.parametrize("attribute", TABLES)
def test_a_table_that_is_not_there_is_named(hooks: Path, attribute: str) -> None:
    write(hooks, TABLES[attribute])
    mistake = only(hooks)
    assert mistake.key == f"attributes.{attribute}.table.file" and "not in the folder" in mistake.problem


def test_a_wrong_line_of_a_table_is_a_mistake_in_that_file(hooks: Path) -> None:
    write(hooks, TABLES["payer"])
    (hooks / "cvd-risk" / "payers.csv").write_text("element,spelling,payer\ntype.text,Acme,commercial\n")
    mistake = only(hooks)
    assert (mistake.file, mistake.line) == ("cvd-risk/payers.csv", 2)


@pytest.mark.parametrize(
    ("attribute", "labels"),
    [("payer", "{medicare: a, medicaid: b, dual: c, other_gov: d, private: e, self_pay: f, other: g}")],
)
def test_to_name_a_proxy_on_a_card_is_worth_a_second_look(hooks: Path, attribute: str, labels: str) -> None:
    write(hooks, f"  {attribute}: {{core: false, monitor: true, display: show, labels: {labels}}}\n")
    (warning,) = (one for one in warnings_of(load_services(hooks)) if one.key.endswith("display"))
    assert (warning.key, "stand in" in warning.problem) == (f"attributes.{attribute}.display", True)
