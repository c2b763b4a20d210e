from __future__ import annotations

import pytest

from cds_wrapper.services.tables import read_quintiles


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
