"""PDF documents are looked at: turned into images and read back, nothing is clipped, nothing overlaps, every figure is there."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import combinations

import pypdfium2 as pdfium
import pytest
from babel import Locale, numbers
from PIL import ImageChops
from reportlab.pdfgen.canvas import Canvas

from jobs.invoice_generation import fonts, labels, pdf
from jobs.runtime.check_conf import check
from jobs.runtime.config import ROOT
from jobs.runtime.errors import ConfigError
from tests.invoice_generation.papers import KINDS, PDF_ONLY, bought_by, document, line, row

LANGUAGES = sorted(path.stem for path in (ROOT / "conf" / "documents" / "labels").glob("*.yaml"))
EVERY = {kind: (of, seller) for kind, (of, seller) in KINDS.items()} | {
    kind: (of, seller) for kind, (of, seller, _) in PDF_ONLY.items()
}
EDGE = 30  # points of a page on which nothing may stand
WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2
HARD = {
    "no space to break at": (row(line("1.00", product_id=WORD, region=WORD), legal_name=WORD, street=WORD, account_id=WORD), EVERY["domestic"][1]),
    "large figures": (row(line("123456789012.34", "98765432109876.123456", "123456789012.34"), line("-99999999999.99")), EVERY["domestic"][1]),
    "many rates": (row(*(line("1.00", rate=f"0.{rate:02d}") for rate in range(1, 60))), EVERY["domestic"][1]),
    "a description longer than a page": (row(line("1.00", product_id="Wort " * 2000), line("2.00")), EVERY["domestic"][1]),
    "long reasons": (row(line("1.00", category="E", rate="0"), reason="Befreit nach einem sehr langen Gesetz. " * 150), EVERY["domestic"][1]),
    "a long seller": (row(line("1.00")), replace(EVERY["domestic"][1], name="Lange Firma " * 14, registration_number="R" * 60)),
    "an end that has no room": (row(*(line("1.01", "20.2", "1.01") for _ in range(17))), EVERY["domestic"][1]),
}  # fmt: skip


@pytest.fixture(scope="module")
def words():
    return labels.by_country("en")


def printed(of, seller, words) -> bytes:
    shown = document(of, seller)
    return pdf.rendered(shown, words.get(shown.buyer.country) or words["*"])


def texts(page) -> list[tuple[tuple[float, float, float, float], str]]:
    """Every piece of text of a page with its box: left, bottom, right, top."""
    read = page.get_textpage()
    found = []
    for number in range(read.count_rects()):
        box = read.get_rect(number)
        found.append((box, read.get_text_bounded(*box).strip()))
    return found


def overlapping(page) -> list[tuple[str, str]]:
    """Pieces of text that cover each other by more than the overhang of neighbouring signs."""
    found = []
    for (one, text), (other, beside) in combinations(texts(page), 2):
        wide = min(one[2], other[2]) - max(one[0], other[0])
        high = min(one[3], other[3]) - max(one[1], other[1])
        if wide > 1.5 and high > 1.5 and text and beside:
            found.append((text, beside))
    return found


def ink_at_the_edge(page) -> bool:
    """Whether anything stands in the outermost points of the page's image."""
    image = page.render(scale=1).to_pil().convert("L")
    white = image.copy()
    white.paste(255, (0, 0, *image.size))
    box = ImageChops.difference(image, white).getbbox()
    assert box is not None, "an empty page"
    return not (box[0] >= EDGE and box[1] >= EDGE and box[2] <= image.size[0] - EDGE and box[3] <= image.size[1] - 18)


@pytest.mark.parametrize("kind", [*EVERY, *HARD])
def test_nothing_is_clipped_and_nothing_overlaps(kind, words):
    of, seller = {**EVERY, **HARD}[kind]
    read = pdfium.PdfDocument(printed(of, seller, words))
    for page in read:
        assert overlapping(page) == []
        assert not ink_at_the_edge(page)
    assert len(read) == {
        "three hundred lines": 13, "a description longer than a page": 5, "many rates": 5, "long reasons": 2, "an end that has no room": 2,
    }.get(kind, 1)  # fmt: skip


def test_what_overlaps_or_is_clipped_would_be_found():
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=(400, 400))
    canvas.drawString(100, 200, "one text")
    canvas.drawString(120, 203, "another text over it")
    canvas.showPage()
    canvas.drawString(380, 200, "clipped at the edge")
    canvas.save()
    first, second = pdfium.PdfDocument(content.getvalue())
    assert overlapping(first) and not ink_at_the_edge(first)
    assert ink_at_the_edge(second)


@pytest.mark.parametrize("kind", EVERY)
def test_every_figure_and_name_is_there(kind, words):
    of, seller = EVERY[kind]
    shown = document(of, seller)
    read = pdfium.PdfDocument(printed(of, seller, words))
    said = re.sub(r"\s+", "", "".join(page.get_textpage().get_text_range() for page in read))
    language = words.get(shown.buyer.country) or words["*"]
    figures = pdf.figures(language.locale(shown.buyer.country))
    for amount in (
        shown.net,
        shown.gross,
        *(part.amount for part in shown.components),
        *(one.amount for one in shown.lines),
    ):
        assert re.sub(r"\s", "", figures.shown(amount, shown.places, shown.places)) in said
    for text in (shown.number, shown.buyer.name, shown.seller.name, shown.buyer.tax_id, shown.original_number, shown.reason):
        assert re.sub(r"\s", "", fonts.cleaned(text)) in said
    for tax in shown.taxes:
        assert re.sub(r"\s", "", language.mentions.get(tax.category, "").rstrip(".")) in said
        assert re.sub(r"\s", "", tax.reason.rstrip(".")) in said
    if shown.payable > 0 and not shown.is_credit_note:
        assert shown.reference in said and shown.account.iban in said
    for number in range(1, len(read) + 1):
        assert re.sub(r"\s", "", language.page.format(page=number, pages=len(read))) in said


def test_lines_carry_their_heads_to_every_page(words):
    read = pdfium.PdfDocument(printed(*EVERY["three hundred lines"], words))
    for number, page in enumerate(read, start=1):
        said = page.get_textpage().get_text_range()
        assert f"Seite {number} von 13" in said and "AT-2026-0000042" in said and "Registernummer FN 123456a" in said
        assert "Bezeichnung" in said or number == 13


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_document_gives_the_same_bytes(kind, words):
    content = printed(*EVERY[kind], words)
    assert content == printed(*EVERY[kind], words)
    assert b"2000" not in content or b"20000101000000" in content  # the date that an invariant document carries
    assert str(date.today().year).encode() not in re.findall(rb"/CreationDate \((.*?)\)", content)[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_prints_every_layout(language, words):
    country = next(country for country, told in words.items() if told.language == language and country != "*")
    for of in (
        row(line("1234.56"), **bought_by(country, "Buyer")),
        row(line("-1.00"), **bought_by(country, "Buyer"), original_number="A-1"),
    ):
        shown = document(of)
        assert pdf.obstacle(shown, words[country]) == ""
        for page in pdfium.PdfDocument(pdf.rendered(shown, words[country])):
            assert overlapping(page) == [] and not ink_at_the_edge(page)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("number", ["0", "-0.5", "1", "999", "1000", "-1234.5", "1234567.891", "12345678901.23"])
def test_figures_are_those_of_the_locale(language, number, words):
    for country, told in words.items():
        if told.language == language:
            locale = told.locale(country)
            expected = numbers.format_decimal(
                Decimal(number), "#,##0.00###", locale, numbering_system="latn", group_separator=True
            )
            assert expected.replace("−", "-") == pdf.figures(locale).shown(Decimal(number), 2, 5) or _is_grouped_otherwise(
                locale, expected, number
            )


def _is_grouped_otherwise(locale: Locale, expected: str, number: str) -> bool:
    """India writes 12,34,567, which the pattern above does not say and the locale does."""
    own = numbers.format_decimal(Decimal(number), locale=locale, numbering_system="latn", decimal_quantization=False)
    shown = pdf.figures(locale).shown(Decimal(number), 0, 5)
    return own.replace("−", "-") == shown and expected != shown


@pytest.mark.parametrize(("text", "sign"), [
    pytest.param("شركة", "U+0634", id="arabic"), pytest.param("खाता", "U+0916", id="devanagari"), pytest.param("חשבון", "U+05D7", id="hebrew"),
    pytest.param("🧾", "U+1F9FE", id="pictograph"), pytest.param("ไทย", "U+0E44", id="thai"),
])  # fmt: skip
def test_a_sign_that_no_font_has_is_named(text, sign, words):
    of = row(line("1.00"), legal_name=f"A {text}")
    assert pdf.obstacle(document(of), words["AT"]) == f"unshown_sign {sign}"
    assert pdf.obstacle(document(row(line("1.00", product_id=text))), words["AT"]) == f"unshown_sign {sign}"


@pytest.mark.parametrize(
    "text", ["Łódź Żółć", "Ελλάδα", "Българска", "株式会社", "北京", "서울", "Việt Nam", "İstanbul ğ", "– „€“ …", "A\u0308"]
)
def test_what_a_font_shows_leaves_a_mark_of_its_own(text, words):
    """Each sign is drawn, and not as the box that stands for a missing one."""
    missing = _drawn(fonts.WIDE, "\ufffe")
    for font, piece in fonts.runs(fonts.cleaned(text), False):
        for sign in piece.replace(" ", ""):
            assert _drawn(font, sign).getbbox() is not None
            assert list(_drawn(font, sign).getdata()) != list(missing.getdata())


def _drawn(font: str, sign: str):
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=(60, 60))
    canvas.setFont(font, 40)
    canvas.drawString(10, 15, sign)
    canvas.save()
    image = pdfium.PdfDocument(content.getvalue())[0].render(scale=1).to_pil().convert("L")
    return image.point(lambda value: 255 - value)


def test_words_are_looked_at_by_check_conf(write_conf):
    assert f"documents in {len(LANGUAGES)} languages" in check()
    english = (ROOT / "conf" / "documents" / "labels" / "en.yaml").read_text()
    write_conf("documents/labels/xx.yaml", english.replace("language: en", "language: xx"))
    with pytest.raises(ConfigError, match="country GB reads 'en' already"):
        check()
    write_conf(
        "documents/labels/xx.yaml",
        re.sub("countries: .*\nlanguage", "language", english.replace("language: en", "language: xx")).replace(
            'due_date: "Due date"\n', ""
        ),
    )
    with pytest.raises(ConfigError, match=r"xx.yaml: key 'due_date' is missing"):
        check()
    write_conf(
        "documents/labels/xx.yaml",
        english.replace("language: en", "language: xx").replace("Page {page} of {pages}", "Page {page}"),
    )
    with pytest.raises(ConfigError, match="page has to contain"):
        check()
