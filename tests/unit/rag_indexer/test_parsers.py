"""What the parsers make of Markdown, text and HTML."""

import time

import pytest
from rag_indexer.documents import Document, Meta, Parsed, Section, document
from rag_indexer.errors import Unreadable
from rag_indexer.parsers import front_matter, html, markdown, plain


def _shown(parsed: Parsed) -> list[tuple[str, list[tuple[int, str]]]]:
    """Heading path and numbered lines that are not blank."""
    return [
        (" > ".join(s.headings), [(line.number, line.text) for line in s.lines if line.text.strip()])
        for s in parsed.sections
    ]


def test_markdown_sections_keep_headings_and_line_numbers() -> None:
    text = (
        "---\ntitle: T\n---\n# One\n\nfirst\n## Two ##\nsecond\n\n### Three\nthird\n## Four\nfourth\nSet\n===\nfifth\n"
    )
    assert _shown(markdown.parse(text)) == [
        ("One", [(6, "first")]),
        ("One > Two", [(8, "second")]),
        ("One > Two > Three", [(11, "third")]),
        ("One > Four", [(13, "fourth")]),
        ("Set", [(16, "fifth")]),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("**Bold** and *thin* and `code`", "Bold and thin and code"),
        ('[the form](https://e.example/a "t") ![a plan](x.png)', "the form a plan"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("_so_ it is, 18\\* days", "so it is, 18* days"),
        ("- an item", "- an item"),
        ("| a | b |", "| a | b |"),
        ("#nothing", "#nothing"),
        ("**a **b** and __c__ d__", "**a b and c d__"),
        ("***both*** and **one *in* two**", "both and one in two"),
        ("_a_b_ and 2 * 3 *x*", "a_b and 2 * 3 x"),
    ],
)
def test_markdown_marks_are_taken_off(line: str, expected: str) -> None:
    assert [("", [(1, expected)])] == _shown(markdown.parse(line))


def test_markdown_code_is_text_and_comments_and_rules_are_not() -> None:
    text = "```sh\n# no heading\n```\n<!-- a\nb -->after\n\n---\n\n| x |\n|---|\n| y |\n<!-- open"
    shown = [("", [(2, "# no heading"), (5, "after"), (9, "| x |"), (11, "| y |"), (12, "<!-- open")])]
    assert shown == _shown(markdown.parse(text))


HOSTILE_MARKDOWN = [
    "**a " * 100_000,
    "<!--" * 200_000,
    "#" + " " * 200_000 + "x",
    "[" * 200_000,
    "_" * 200_000,
    *(f"{line}\n" * 20 for line in ("# a" + " " * 9000 + "x", " " * 9000 + "x", "--|" + " " * 9000 + "x")),
    *(f"{begin * 3000}\n" * 20 for begin in ("**a", "__a ", " *a", " _a", "`a", "--|", "- ", "[a](")),
    "---\nroles:\n" + "- a\n" * 100_000 + "---\nx",
]


@pytest.mark.parametrize("text", HOSTILE_MARKDOWN, ids=lambda text: f"{text[:8]!r}")
def test_hostile_markdown_takes_time_in_proportion(text: str) -> None:
    """Seconds, where the whole of a file of 16 MiB took hours; the bound is on the processor's time, not the clock's."""
    begun = time.process_time()
    markdown.parse(text)
    assert time.process_time() - begun < 2.0


def test_a_heading_keeps_the_marks_that_belong_to_it() -> None:
    text = "# C#\none\n## F# ##\ntwo\n### ###\nthree\n#### a # b ####  \nfour"
    assert [heading for heading, _ in _shown(markdown.parse(text))] == ["C#", "C# > F#", "C# > F#", "C# > F# > a # b"]


def test_plain_text_is_one_section() -> None:
    assert _shown(plain.parse("# not a heading\n\nb")) == [("", [(1, "# not a heading"), (3, "b")])]


def test_html_sections() -> None:
    text = """<!doctype html><html><head><title>Leave &amp; more</title>
<link rel="canonical" href="https://e.example/leave"><meta name="rag-tenant" content="north">
<meta name="rag-roles" content="manager, hr"><style>p {}</style></head>
<body><nav>Menu</nav><h1>Leave</h1>
<p>You get <b>18</b> days.<br>Ask first.</p>
<ul><li>One</li><li><p>Two</p></li></ul>
<h2>Sick <i>leave</i></h2><table><tr><td>a</td><td>b</td></tr></table>
<script>alert(1)</script><p>Tell us.
</body></html>"""
    parsed = html.parse(text)
    expected = Meta(title="Leave & more", url="https://e.example/leave", tenant="north", roles=("manager", "hr"))
    assert expected == parsed.meta
    assert _shown(parsed) == [
        ("Leave", [(5, "You get 18 days."), (5, "Ask first."), (6, "- One"), (6, "- Two")]),
        ("Leave > Sick leave", [(7, "| a | b"), (8, "Tell us.")]),
    ]


def test_html_items_and_rows_without_text_leave_no_mark() -> None:
    assert _shown(html.parse("<ul><li></li></ul>one<table><tr><td></td></tr></table>two")) == [
        ("", [(1, "one"), (1, "two")])
    ]


FAULTY_HTML = ["<p", "</p></h1>", "<h1>x", "<script>x", "a<b>c", "<head><p>x", "&#xZZ;", "<td>" * 5000, "<![x", "<![]>"]


@pytest.mark.parametrize("text", [*FAULTY_HTML, "<!doctype [<", "<!", "<![CDATA[a]]>", "<?", "</", "&" * 50, "<a b='"])
def test_faulty_html_is_read_as_far_as_it_goes(text: str) -> None:
    lines = [line for _, shown in _shown(html.parse(f"<p>before</p>{text}")) for line in shown]
    assert lines[0] == (1, "before")


@pytest.mark.parametrize(
    "begin", ["<!--", "<!-- >", "<![if >", "<!", "</", "<?", "<a ", "<x", "</a ", "<a b='", "<script></script", "<svg>"]
)
@pytest.mark.parametrize("end", ["", ">", "</nav>" * 30_000])
def test_hostile_html_takes_time_in_proportion(begin: str, end: str) -> None:
    begun = time.process_time()
    html.parse(begin * 30_000 + end)
    assert time.process_time() - begun < 4.0


def test_html_that_is_not_shown_ends_with_the_element_that_it_is_in() -> None:
    text = "<nav>a<nav>b</nav>c</nav>one<nav><select>d</nav>two<![if x]>three<![endif]><!-- <![x --> a <!-- b"
    assert [("", [(1, "onetwothree a <!-- b")])] == _shown(html.parse(text))


def test_the_first_word_on_who_may_read_html_counts() -> None:
    head = '<meta name="rag-tenant" content="north"><meta name="rag-roles" content="hr">'
    quoted = '<meta name="rag-tenant" content="default"><meta name="rag-roles" content="*">'
    assert html.parse(head + quoted).meta == Meta(tenant="north", roles=("hr",))
    with pytest.raises(Unreadable, match="rag-tenant"):
        html.parse('<meta name="rag-tenant" content=" ">')


def test_front_matter() -> None:
    text = "---\nid: a-1\ntitle: \"Leave: rules\"\n# note\nroles: [hr, 'manager']\nurl: https://e.example/#top # home\nother: x\n---\nbody"
    meta, lines, body = front_matter.split(text)
    assert Meta("a-1", "Leave: rules", None, ("hr", "manager"), "https://e.example/#top") == meta
    assert (lines, body) == (8, "body")


def test_front_matter_list_over_lines() -> None:
    meta, _, _ = front_matter.split("---\nroles:\n- hr\n  - manager\ntenant: north\n---\n")
    assert (meta.roles, meta.tenant) == (("hr", "manager"), "north")


@pytest.mark.parametrize("begin", ["---", "\n  \n---"])
def test_front_matter_that_people_write_carelessly_still_counts(begin: str) -> None:
    meta, lines, body = front_matter.split(f"{begin}\nTenant: north\nROLES: [hr]\n---\nsecret")
    assert (meta.tenant, meta.roles, body) == ("north", ("hr",), "secret")
    assert lines == begin.count("\n") + 4


def test_a_front_matter_that_never_ends_is_not_shown_to_everybody() -> None:
    for text in ("---\ntenant: north\nroles: [hr]\n\n# Salaries\n", "\n---\ntitle: x\nRoles: [hr]"):
        with pytest.raises(Unreadable, match="three dashes must end it"):
            front_matter.split(text)


@pytest.mark.parametrize(
    "text",
    [
        "no front matter\n---\n",
        "---\nnever closed",
        "",
        "\n\n",
        "----\na: b\n---\n",
        "\n---\nA rule, a text.\n---\n",
        "---\nA rule.\n\nurl: is no key here",
    ],
)
def test_what_is_no_front_matter_is_text(text: str) -> None:
    assert (Meta(), 0, text) == front_matter.split(text)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("tenant north", "line 2: expected `key: value`"),
        ("tenant: a\ntenant: b", "line 3: .* each key once"),
        ("roles: [hr", "a list must end"),
        ("tenant: [a, b]", "tenant must be one value"),
        ("tenant:\n  name: x", "line 3"),
        ("- x", "line 2"),
        ("tenant:", "tenant: name one"),
        ("Tenant: a\ntenant: b", "line 3: .* each key once"),
        ("roles: hr\n- manager", "line 3: roles has a value already"),
    ],
)
def test_a_faulty_front_matter_is_an_error_not_ignored(lines: str, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        front_matter.split(f"---\n{lines}\n---\nsecret")


def _document(meta: Meta, *headings: str) -> Document:
    return document("dir/leave.en.md", Parsed(meta, [Section(headings, ())]), "default")


def test_a_document_without_meta_takes_path_heading_and_default_tenant() -> None:
    made = _document(Meta(), "Leave", "Sick")
    assert (made.id, made.title, made.tenant, made.roles, made.url) == (
        "dir/leave.en.md",
        "Leave",
        "default",
        ("*",),
        None,
    )
    assert tuple(s.headings for s in made.sections) == (("Sick",),)
    assert _document(Meta()).title == "leave.en"


def test_long_titles_and_headings_are_cut_because_every_chunk_carries_them() -> None:
    made = _document(Meta(title="t" * 1000), "h" * 1000)
    assert (made.title, made.sections[0].headings) == ("t" * 300, ("h" * 300,))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (Meta(roles=()), "name 1 to 32 roles"),
        (Meta(roles=("",)), "roles: a name"),
        (Meta(tenant="x" * 64), "tenant: a name"),
        (Meta(url="javascript:alert(1)"), "only http and https"),
        (Meta(url="https://e.example/" + "x" * 2048), "at most 2048"),
        (Meta(id="x" * 2049), "at most 2048"),
    ],
)
def test_a_document_that_may_not_stand(meta: Meta, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        _document(meta)
