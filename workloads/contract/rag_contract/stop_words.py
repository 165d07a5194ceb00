"""Function words of English and Vietnamese, and the evidence by which a text is taken for Vietnamese.

The two languages share spellings: folded, "thẻ" (card) is "the" and "có" (have) is "co"; unfolded, "an" opens
"an toàn" (safety) and "ai" (who) is "AI". So a word is dropped by the list of the language that the text is in,
and an English word that is also a Vietnamese syllable never dies in a Vietnamese text.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words(
    """a about also am an and any are as at be been being but by can could did do does doing for from had has have having
    he her here his how i if in into is it its many may me might much must my no nor not of on or our shall she should
    so some such than that the their them then there these they this those to too us was we were what when where which
    while who whom whose why will with would you your please tell say says give get"""
)

VIETNAMESE = _words(
    """và là của có cho các những một được bị trong với này đó kia ấy thì mà ở từ khi bao nhiêu mấy gì nào ai đâu sao
    thế như để đến tới về vào ra lên theo tại bởi vì nên do nếu hay hoặc cũng đã đang sẽ vẫn còn rất quá lại rồi chỉ
    không chưa phải cần thể bằng trên dưới trước sau giữa ngoài tôi mình bạn chúng ta họ nó mỗi mọi sự ạ à nhé nhỉ
    xin vui lòng hãy cứ đều nhưng tuy dù"""
)

# English function words that a Vietnamese text may hold as syllables with a meaning of their own.
_SHARED = _words("an am be can do he her hi in may me my no on so than the then them to too us")

# Folded Vietnamese function words that say nothing about the language: they are English words or common names too.
_NO_EVIDENCE = _words(
    "a ai an anh ba ban bang bi can cho chi co con cu da dang dau de den do em gi ho hay kia la lai len ma may me minh "
    "no on ong qua ra sao sau se so su ta the then thi to toi tu tuy ve vi vao va van xin"
)

# One Vietnamese syllable without its marks.
_SYLLABLE = re.compile(
    r"(?:b|ch?|d|gi?|gh|h|kh?|l|m|ngh?|nh?|ph?|qu?|r|s|th?|tr|v|x)?[aeiouy]{1,3}(?:ch|nh|ng|[cmnpt])?"
)
# Spellings that English hardly has: ngh-, nh-, kh-, -nh and the vowels of "nhiêu", "người", "được", "nguyên".
_TELLING = re.compile(
    r"(?:ngh?|nh|kh)[aeiouy]{1,3}(?:ch|nh|ng|[cmnpt])?|[bcdghklmnpqrstvx]{0,3}(?:[aeiouy]{1,3}nh|ieu|ieng|iet|uoi|uoc|uong|uyen|uyet)"
)


def folded_vietnamese(fold: dict[str, str]) -> frozenset[str]:
    """The Vietnamese list without its marks, by a table of words to folded words."""
    return frozenset(fold[word] for word in VIETNAMESE)


def evidence(kept: str, folded: str, folded_stops: frozenset[str]) -> int:
    """What one word says of its text's language: 1 Vietnamese, -1 English, 0 nothing."""
    if kept != folded:
        return int(_SYLLABLE.fullmatch(folded) is not None)
    if _TELLING.fullmatch(folded) or (folded in folded_stops and folded not in _NO_EVIDENCE):
        return 1
    return -1 if kept in ENGLISH and kept not in _SHARED else 0


def of_english_text() -> frozenset[str]:
    """Kept forms to drop from an English text: Vietnamese words only where their marks make them unmistakable."""
    return ENGLISH | frozenset(word for word in VIETNAMESE if not word.isascii())


def of_vietnamese_text() -> frozenset[str]:
    """Kept forms to drop from a Vietnamese text."""
    return VIETNAMESE | (ENGLISH - _SHARED)
