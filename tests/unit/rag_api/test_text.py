"""Hidden characters are taken out of retrieved text, letters of any language stay."""

import unicodedata
from pathlib import Path

import pytest
from rag_api.text import visible

from .doubles import answering, source
from .doubles import store as store_double
from .harness import Folder, revision, serving

HIDDEN = "\x00\x07\x1b\x7f\x9f\u00ad\u200b\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff\U000e0041\ud800\u061c"


@pytest.mark.parametrize("text", ["Nghỉ phép năm: 18 ngày, “đủ lương”…", "naïve café\n\tx", "日本語 👍 עברית", ""])
def test_visible_text_stays(text: str) -> None:
    assert visible(text) == text
    assert visible(unicodedata.normalize("NFD", text)) == unicodedata.normalize("NFD", text)


def test_every_hidden_character_goes() -> None:
    for character in HIDDEN:
        assert visible(f"a{character}b") == "ab", hex(ord(character))


def test_no_control_or_format_character_is_forgotten() -> None:
    kept = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in {"Cc", "Cs"} and visible(c)]
    assert kept == ["\t", "\n"]
    bidi = [c for c in map(chr, range(0x110000)) if unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF"}]
    assert not any(visible(c) for c in bidi)


async def test_a_client_never_sees_them(folder: Folder, tmp_path: Path) -> None:
    hostile = source("Parking\u202e is\u200b free.", title="Ti\u2066tle", url="https://x\u200b.example")
    folder.serve(revision())
    async with store_double(answering(hostile)) as url, serving(tmp_path, url) as api:
        answer = (await api.ask("Is parking free?", include_trace=True)).json
    assert answer["answer"] == "Parking is free. [S1]"
    assert ("Title", "https://x.example") == (answer["citations"][0]["title"], answer["citations"][0]["url"])
