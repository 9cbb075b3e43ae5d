"""Which font shows a text. What none can show is found before a document is made, so that no black box is ever printed.

Western European letters are in the fonts that every PDF reader has. Other Latin, Greek and Cyrillic letters are embedded from Noto
Sans, and Chinese, Japanese and Korean from WenQuanYi Micro Hei: of each the signs that a document has. Scripts that need shaping
(Arabic, Hebrew, Indian and Thai ones) are not shown: docs/documents.md.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from pathlib import Path

import fontpkg_noto_sans
import paperang_p2_fonts_cjk
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

PLAIN, BOLD, WIDE, EASTERN = "Helvetica", "Helvetica-Bold", "NotoSans", "MicroHei"
WIDE_BLOCKS = (
    (0x0020, 0x052F), (0x1E00, 0x1FFF), (0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20CF), (0x2100, 0x218F), (0xA640, 0xA69F),
    (0xA720, 0xA7FF), (0xFB00, 0xFB06),
)  # fmt: skip
EASTERN_BLOCKS = (
    (0x2E80, 0x2FDF), (0x3000, 0x312F), (0x3130, 0x318F), (0x31F0, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x2460, 0x24FF), (0x25A0, 0x266F),
)  # fmt: skip

Run = tuple[str, str]  # font, text


class Unshown(ValueError):
    """A sign that no font can show."""

    def __init__(self, sign: str) -> None:
        super().__init__(f"U+{ord(sign):04X}")


@cache
def _signs() -> dict[str, frozenset[int]]:
    """The signs of each embedded font that need no shaping; the fonts are made known to the renderer, once a process."""
    files = {
        WIDE: (Path(fontpkg_noto_sans.__file__).parent / "files" / "NotoSans[wdth,wght].ttf", WIDE_BLOCKS),
        EASTERN: (Path(paperang_p2_fonts_cjk.__file__).parent / "fonts" / "wqy-microhei.ttc", EASTERN_BLOCKS),
    }
    found = {}
    for name, (file, blocks) in files.items():
        font = TTFont(name, str(file))
        pdfmetrics.registerFont(font)
        known = font.face.charToGlyph
        found[name] = frozenset(code for first, last in blocks for code in range(first, last + 1) if known.get(code))
    return found


@lru_cache(maxsize=100_000)
def cleaned(text: str) -> str:
    """A text on one line, composed, without signs that are no letters."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in composed).split())


@lru_cache(maxsize=100_000)
def runs(text: str, bold: bool) -> tuple[Run, ...]:
    """A text in pieces, each with the font that shows it; raises Unshown."""
    if _is_western(text):
        return ((BOLD if bold else PLAIN, text),)
    pieces: list[Run] = []
    for sign in text:
        font = next((name for name, signs in _signs().items() if ord(sign) in signs), None)
        if font is None:
            raise Unshown(sign)
        if pieces and pieces[-1][0] == font:
            pieces[-1] = (font, pieces[-1][1] + sign)
        else:
            pieces.append((font, sign))
    return tuple(pieces)


def _is_western(text: str) -> bool:
    """Whether the standard fonts have all of it: WinAnsiEncoding of PDF, which is code page 1252."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=100_000)
def width(text: str, size: float, bold: bool) -> float:
    """How wide a text is, in points."""
    return sum(pdfmetrics.stringWidth(piece, font, size) for font, piece in runs(text, bold))


def wrapped(text: str, room: float, size: float, bold: bool) -> list[str]:
    """A text in lines that fit into `room` points, broken between words, or within what no line can hold."""
    if width(text, size, bold) <= room:
        return [text] if text else []
    lines, current = [], ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if width(longer, size, bold) <= room:
            current = longer
            continue
        if current:
            lines.append(current)
        while width(word, size, bold) > room:
            fitting = next(n for n in range(len(word), 0, -1) if n == 1 or width(word[:n], size, bold) <= room)
            lines.append(word[:fitting])
            word = word[fitting:]
        current = word
    return [*lines, *([current] if current else [])]
