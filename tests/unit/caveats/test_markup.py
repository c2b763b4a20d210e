"""A vendor's Markdown, plain text and HTML: made inert, otherwise left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cds_wrapper.caveats.html_text import clean_html, paragraph
from cds_wrapper.caveats.markup import LONGEST_DETAIL, clean_markdown, clean_plain


def listed(scheme: str, host: str) -> bool:
    return scheme in {"http", "https"} and host.lower() == "x.example"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("**bold**\n\n- a list\n- <5 %, p < 0.05, a <- b", "**bold**\n\n- a list\n- <5 %, p < 0.05, a <- b"),
        ("<details><style>*{display:none}", "&lt;details>&lt;style>*{display:none}"),
        ("</div> <!-- x --> <?php", "&lt;/div> &lt;!-- x --> &lt;?php"),
        ("&#60;b&#x3e; &nvlt;", "&lt;b&#x3e; &lt;"),
        ("2 &lt; 3 &amp; 4 &nbsp;&copy; AT&T; &notthere;", "2 &lt; 3 &amp; 4 &nbsp;&copy; AT&T; &notthere;"),
        ("![chart](https://x.example/p.png)", "[chart](https://x.example/p.png)"),
        ("[guide](https://x.example)", "[guide](https://x.example)"),
        (
            "See https://x.example. Or (HTTPS://X.example/a)",
            "See https://x.example. Or (HTTPS://X.example/a)",
        ),
        ("[guide](https://y.example/a)", "[guide]\\(https:/ /y.example/a)"),
        ('(see https://x.example), "https://x.example".', '(see https://x.example), "https://x.example".'),
        ("**[guide](https://x.example).** | a |", "**[guide](https://x.example).** | a |"),
        ("https://x.example).y.example/a", "https:/ /x.example).y.example/a"),
        ("http://https://y.example/a", "http:/ /https:/ /y.example/a"),
        ("https&&#35;58;//y.example, AT&&#35;T", "https:/ /y.example, AT&#T"),
        ("see www.y.example or me@y.example, 5@8", "see www .y.example or me @y.example, 5@8"),
        ("[go](javascript:alert(1))", "[go]\\(javascript:alert(1))"),
        ("[go](&#106;avascript:alert(1))", "[go]\\(javascript:alert(1))"),
        ("[go]( data:text/html,x)", "[go]\\( data:text/html,x)"),
        ("![x][pic]\n\n[pic]: file:///etc/passwd", "[x][pic]\n\n\\[pic]: file:/ //etc/passwd"),
        ("[pic]: https://x.example/p", "\\[pic]: https://x.example/p"),
        ("hidden\u202e\u200f\x07 &#x202e;&rlm;", "hidden "),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("1\\. not a list, C:\\temp", "1\\. not a list, C:\\temp"),
        ("```\ncode", "```\ncode\n```"),
        ("~~~~ x\n```", "~~~~ x\n```\n~~~~"),
        ("```\ncode\n```\n\nafter", "```\ncode\n```\n\nafter"),
        ("```` \n```", "```` \n```\n````"),
        ("``` a`b", "``` a`b"),
        ("- ```\n  code\n\nafter", "- ```\n  code\n\nafter"),
        ("> ~~~\n> code", "> ~~~\n> code"),
        ("- a\n\n  ```\n  b", "- a\n\n  ```\n  b"),
        ("- a\n\nb\n```\nc", "- a\n\nb\n```\nc\n```"),
    ],
)
def test_markdown_keeps_its_meaning_and_loses_what_acts(text: str, clean: str) -> None:
    assert clean_markdown(text, listed) == clean


@given(st.text() | st.text(alphabet="`~ \n->a.w@:/&#358;<[]()!\\", max_size=80))
def test_clean_markdown_is_left_alone(text: str) -> None:
    once = clean_markdown(text, listed)
    assert clean_markdown(once, listed) == once
    harmless = re.sub(r"[^a-z ,]", "", text)
    assert clean_markdown(harmless) == harmless


ACTING = [
    "!![x](https://evil.example/p.png)",
    "!!![x][r]\n\n[r]: https://evil.example/p.png",
    "- [a]: javascript:x\n\n[a]",
    "1. [a]: data:text/html,x\n\n[a]",
    "> - [a]: file:///x\n>\n> [a]",
    "[a\\]b]: javascript:x\n\n[a\\]b]",
    "[a\nb]: javascript:x\n\n[a\nb]",
    "[x](javascript:alert(1))",
    "[x]( <javascript:alert(1)>)",
    "<img src=x onerror=y>",
    "<javascript:alert(1)>",
]


def test_a_unit_in_brackets_and_many_exclamation_marks_stay_as_they_are() -> None:
    text = "Creatinine [mg/dL]: 1.2" + "!" * 19_000
    assert clean_markdown(text) == text


def rendered(markdown: str) -> str:
    return str(MarkdownIt("commonmark").render(markdown))


@pytest.mark.parametrize("text", ACTING)
def test_rendered_it_loads_nothing_and_leads_to_listed_addresses_only(text: str) -> None:
    html = rendered(clean_markdown(text, listed))
    assert "<img" not in html
    assert all(target.startswith("https://x.example") for target in re.findall(r'href="([^"]*)"', html))


@given(st.text(alphabet="![]()<>:ab \n-\\/htps&#;@.w`~", max_size=60))
def test_whatever_is_written_renders_to_nothing_that_acts(text: str) -> None:
    for clean in (clean_markdown(text), clean_plain(text)):
        html = rendered(clean)
        assert "<img" not in html and "href=" not in html
        assert "://" not in clean


def test_a_text_no_panel_could_show_is_shortened_visibly_and_outside_its_code() -> None:
    long = clean_markdown("word " * 10_000)
    assert long.endswith("\n\n…") and len(long) < LONGEST_DETAIL + 10
    assert clean_markdown("```\n" + "word " * 10_000).endswith("\n```\n\n…")
    assert clean_html("<p>" + "word " * 10_000).endswith("</p><p>…</p>")
    assert clean_plain("word " * 10_000).endswith("\n\n…")


def test_cleaning_takes_no_longer_for_texts_that_are_made_to_take_long() -> None:
    """Each of them would keep a pattern that tries every beginning busy for minutes."""
    for text in (
        "a" * 19_990 + "://",
        "&" * 20_000,
        "[" * 20_000,
        "w" * 20_000 + ".",
        "@a" * 10_000,
        "\\" * 20_000,
        "&" * 5_000 + "#35;" + "35;" * 4_998,
        "://a)" * 4_000,
    ):
        assert len(clean_markdown(text)) <= 3 * LONGEST_DETAIL


# Other syntaxes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Risk < 5 %\nnext", "Risk < 5 %\nnext"),
        ("<details> </b>", "< details> < /b>"),
        ("![x](https://x.example/p)", "[x] (https://x.example/p)"),
        ("https://y.example", "https:/ /y.example"),
        ("[a]: https://x.example", "[a] : https://x.example"),
        ("a\u202eb", "ab"),
    ],
)
def test_plain_text_is_set_apart_where_an_escape_would_be_shown(text: str, clean: str) -> None:
    assert clean_plain(text, listed) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<p>Risk <b>3 %</b></p><ul><li>a</li></ul>", "<p>Risk <b>3 %</b></p><ul><li>a</li></ul>"),
        ("<script>x</script><style>*{}</style>a", "a"),
        ('<img src="https://y.example/p.png"><svg onload=x></svg>a', "a"),
        ('<p style="display:none" onclick=x hidden>a', "<p>a</p>"),
        ("<details><summary>s</summary>a</details><!-- c", "sa"),
        (
            '<a href="https://x.example/g">g</a>',
            '<a href="https://x.example/g" rel="noopener noreferrer">g</a>',
        ),
        ('<a href="https://y.example/g">g</a>', '<a rel="noopener noreferrer">g</a>'),
        ('<a href="javascript:x">g</a>', '<a rel="noopener noreferrer">g</a>'),
        ('<a href="https://[x">g</a>', '<a rel="noopener noreferrer">g</a>'),
        ('<b title="No caveat" lang="ar" dir="rtl" class="x" id="y">a', "<b>a</b>"),
        ("<b>open", "<b>open</b>"),
        ("a&#x202e;b", "ab"),
        ("![x](https://y.example/p)", "[x] (https:/ /y.example/p)"),
        ("[x](/logout) [x]: /y", "[x] (/logout) [x] : /y"),
    ],
)
def test_html_keeps_plain_tags_and_loses_the_rest(text: str, clean: str) -> None:
    assert clean_html(text, listed) == clean


def test_a_line_of_ours_is_text_in_html_too() -> None:
    assert paragraph("a <b> & c", bold=True) == "<p><b>a &lt;b&gt; &amp; c</b></p>"
