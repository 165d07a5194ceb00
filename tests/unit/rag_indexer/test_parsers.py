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
    ],
)
def test_markdown_marks_are_taken_off(line: str, expected: str) -> None:
    assert [("", [(1, expected)])] == _shown(markdown.parse(line))


def test_markdown_code_is_text_and_comments_and_rules_are_not() -> None:
    text = "```sh\n# no heading\n```\n<!-- a\nb -->after\n\n---\n\n| x |\n|---|\n| y |\n<!-- open"
    shown = [("", [(2, "# no heading"), (5, "after"), (9, "| x |"), (11, "| y |"), (12, "<!-- open")])]
    assert shown == _shown(markdown.parse(text))


@pytest.mark.parametrize(
    "text", ["**a " * 100_000, "<!--" * 200_000, "#" + " " * 200_000 + "x", "[" * 200_000, "_" * 200_000]
)
def test_hostile_markdown_takes_time_in_proportion(text: str) -> None:
    begun = time.process_time()
    markdown.parse(text)
    assert time.process_time() - begun < 2.0


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


@pytest.mark.parametrize(
    "text", ["<p", "</p></h1>", "<h1>x", "<script>x", "a<b>c", "<head><p>x", "&#xZZ;", "<td>" * 5000]
)
def test_faulty_html_is_read_as_far_as_it_goes(text: str) -> None:
    html.parse(text)


def test_front_matter() -> None:
    text = "---\nid: a-1\ntitle: \"Leave: rules\"\n# note\nroles: [hr, 'manager']\nurl: https://e.example/#top # home\nother: x\n---\nbody"
    meta, lines, body = front_matter.split(text)
    assert Meta("a-1", "Leave: rules", None, ("hr", "manager"), "https://e.example/#top") == meta
    assert (lines, body) == (8, "body")


def test_front_matter_list_over_lines() -> None:
    meta, _, _ = front_matter.split("---\nroles:\n- hr\n  - manager\ntenant: north\n---\n")
    assert (meta.roles, meta.tenant) == (("hr", "manager"), "north")


@pytest.mark.parametrize("text", ["no front matter\n---\n", "---\nnever closed", "", "----\na: b\n---\n"])
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
