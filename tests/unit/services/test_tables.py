from __future__ import annotations

import pytest

from cds_wrapper.patient.demographics import PayerElement
from cds_wrapper.services.tables import read_kinds_of_place, read_payers, read_quintiles


def test_a_table_of_postal_codes_is_read() -> None:
    assert read_quintiles("t.csv", b"\xef\xbb\xbfpostal_code,quintile\r\n00001,1\r\n00002,5\r\n") == (
        {"00001": 1, "00002": 5},
        (),
    )


@pytest.mark.parametrize(
    ("content", "line", "said", "offered"),
    [
        (b"", 1, "must begin with the line", None),
        (b"postal_code\n", 1, "must begin with the line", None),
        (b"postal_code,quintil\n", 1, "not a column known here", "quintile"),
        (b"postal_code,quintile\n1,1\n", 2, "five digits", None),
        (b"postal_code,quintile\n00001,6\n", 2, "1 to 5", None),
        (b"postal_code,quintile\n00001,1.0\n", 2, "1 to 5", None),
        (b"postal_code,quintile\n00001,1\n00001,2\n", 3, "twice", None),
        (b"postal_code,quintile\n00001\n", 2, "two values", None),
        (b"postal_code,quintile\n\xff,1\n", 1, "UTF-8", None),
    ],
)
def test_a_wrong_line_is_named(content: bytes, line: int, said: str, offered: str | None) -> None:
    _, mistakes = read_quintiles("t.csv", content)
    (mistake,) = mistakes
    assert (mistake.line, mistake.suggestion, said in mistake.problem) == (line, offered, True)


def test_every_wrong_line_is_named_at_once() -> None:
    _, mistakes = read_quintiles("t.csv", b"postal_code,quintile\nx,1\n00001,1\n00002,9\n")
    assert [mistake.line for mistake in mistakes] == [2, 4]


def test_a_table_of_rurality_is_read_and_its_wrong_lines_are_named() -> None:
    read, mistakes = read_kinds_of_place(
        "r.csv", b"postal_code,rurality\n00001,metro\n00002,urban\n3,rural\n00004,micro\n00001,rural\n"
    )
    assert read == {"00001": "metro", "00004": "micro"}
    assert [(one.file, one.line) for one in mistakes] == [("r.csv", 3), ("r.csv", 4), ("r.csv", 6)]
    assert "metro, micro, rural" in mistakes[0].problem and "twice" in mistakes[2].problem


def test_a_table_of_payers_is_read_as_it_is_spelt() -> None:
    table = (
        "element,spelling,payer\n"
        "type.text,Medicare Advantage,medicare\n"
        'payor.display,"Acme, of Springfield",private\n'
        "type.coding,urn:oid:1.2.3|C-7,medicaid\n"
    )
    assert read_payers("p.csv", table.encode()) == (
        {
            (PayerElement.TYPE_TEXT, "Medicare Advantage"): "medicare",
            (PayerElement.PAYOR_DISPLAY, "Acme, of Springfield"): "private",
            (PayerElement.TYPE_CODING, "urn:oid:1.2.3|C-7"): "medicaid",
        },
        (),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("class.name,Gold,private", "type.coding, type.text, payor.display"),
        ("type.text,,private", "needs a spelling"),
        ("type.coding,C-7,medicaid", "`system|code`"),
        ("type.text,Medicare,medicar", "Did you mean `medicare`?"),
        ("type.text,none,uninsured", "needs one of medicare"),
        ("type.text,Medicare", "three values"),
        ("type.text,Acme,other", "lists a spelling twice"),
    ],
)
def test_a_wrong_line_about_a_payer_is_named(line: str, said: str) -> None:
    _, mistakes = read_payers("p.csv", f"element,spelling,payer\ntype.text,Acme,private\n{line}\n".encode())
    (mistake,) = mistakes
    assert (mistake.line, said in mistake.problem) == (3, True), mistake.problem
