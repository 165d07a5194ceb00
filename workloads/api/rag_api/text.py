"""Retrieved text is other people's text: what could hide or reorder words is taken out before anybody sees it."""

import re

# C0 and C1 controls except tab and newline, zero-width and joiner characters, bidi embeddings, overrides and isolates,
# variation selectors' invisible relatives, the byte-order mark, the tag block and lone surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The text without control, zero-width and bidi characters; tabs and newlines stay."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub("", text)
