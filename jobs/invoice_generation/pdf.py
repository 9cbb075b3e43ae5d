"""A document as PDF, in the customer's language and number format: summary, lines, taxes by rate, legal mentions, payment.

A page is laid out as a list of texts and rectangles first, since every page says how many there are, and drawn then. The same document
gives the same bytes: nothing comes from a clock.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from babel import Locale, dates, numbers
from reportlab import rl_config
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfgen.canvas import Canvas

from jobs.invoice_generation import fonts
from jobs.invoice_generation.document import Component, Document, Line, Party
from jobs.invoice_generation.labels import Labels

LETTER_COUNTRIES = ("US", "CA", "MX", "PH", "CL", "CO")
MARGIN, GAP = 48.0, 12.0
BODY, SMALL, HEAD, TITLE = 9.0, 7.5, 12.0, 20.0
LEADING = 1.3
INK, GREY, ACCENT, BAND = (0.13, 0.13, 0.15), (0.42, 0.42, 0.46), (0.10, 0.27, 0.47), (0.94, 0.955, 0.97)
SHOWN_DECIMALS = 8  # of quantities and prices; UBL says all of them
BOTTOM = 92.0  # above it the lines end, below it is the foot

FILLED, OUTLINED = 0, 2  # text rendering modes of PDF
rl_config.useA85 = 0  # streams as bytes: a fifth smaller, and sooner written

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Text:
    """A text on a page: x is its left edge, y its base line, in points from the lower left corner."""

    x: float
    y: float
    text: str
    size: float = BODY
    bold: bool = False
    colour: Colour = INK


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; a line is a thin one."""

    x: float
    y: float
    width: float
    height: float
    colour: Colour


@dataclass(slots=True)
class Page:
    """What is on a page, and how far down it is written."""

    y: float
    texts: list[Text] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


def obstacle(document: Document, labels: Labels) -> str:
    """Why this document cannot be shown: the sign that no font has; empty where every one can be."""
    country = document.buyer.country
    told = [labels.words, document.number, document.original_number, document.reason]
    for party in (document.seller, document.buyer):
        told += [getattr(party, name) for name in Party.__slots__]
    told += [part for line in document.lines for part in (line.product_id, line.region, line.unit)]
    locale = labels.locale(country)
    told += [locale.territories.get(party.country, "") for party in (document.seller, document.buyer)]
    told += [part for one in document.components for part in (one.reason, one.name)]
    try:
        for text in told:
            fonts.runs(fonts.cleaned(text), False)
    except fonts.Unshown as unshown:
        return f"unshown_sign {unshown}"
    return ""


def rendered(document: Document, labels: Labels) -> bytes:
    """The document as PDF. Only for a document without an obstacle."""
    size = LETTER if document.buyer.country in LETTER_COUNTRIES else A4
    pages = _Layout(document, labels, *size).pages()
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=size, invariant=1, pageCompression=1)
    canvas.setTitle(f"{_title(document, labels)} {document.number}")
    canvas.setAuthor(document.seller.name)
    canvas.setLineWidth(0.3)
    for page in pages:
        _draw(page, canvas)
    canvas.save()
    return content.getvalue()


def _title(document: Document, labels: Labels) -> str:
    return str(getattr(labels, document.kind))


def _draw(page: Page, canvas: Canvas) -> None:
    for box in page.boxes:
        canvas.setFillColorRGB(*box.colour)
        canvas.rect(box.x, box.y, box.width, box.height, stroke=0, fill=1)
    pen = canvas.beginText()
    colour: Colour | None = None
    now: tuple[str, float] | None = None
    mode = FILLED
    for told in page.texts:
        if told.colour != colour:
            colour = told.colour
            pen.setFillColorRGB(*colour)
            pen.setStrokeColorRGB(*colour)
        pen.setTextOrigin(told.x, told.y)
        for font, piece in fonts.runs(told.text, told.bold):
            thick = told.bold and font not in (
                fonts.PLAIN,
                fonts.BOLD,
            )  # a font without a bold face is drawn with an outline
            if now != (font, told.size):  # each of these is written out as an instruction, so none is given twice
                now = (font, told.size)
                pen.setFont(font, told.size)
            if thick != (mode == OUTLINED):
                mode = OUTLINED if thick else FILLED
                pen.setTextRenderMode(mode)
            pen.textOut(piece)
    canvas.drawText(pen)
    canvas.showPage()


# --- numbers and dates ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """How a locale writes numbers, asked of Babel once."""

    point: str
    group: str
    first: int  # digits of the last group, and of those before it: India writes 12,34,567
    further: int

    def shown(self, number: Decimal, least: int, most: int) -> str:
        """A number with at least and at most so many decimals, half away from zero."""
        rounded = number.quantize(Decimal(1).scaleb(-most), rounding=ROUND_HALF_UP) + 0
        whole, _, decimals = f"{abs(rounded):f}".partition(".")
        decimals = decimals.rstrip("0").ljust(least, "0")
        groups, rest = [whole[-self.first :]], whole[: -self.first]
        while rest:
            groups.insert(0, rest[-self.further :])
            rest = rest[: -self.further]
        sign = "-" if rounded < 0 else ""
        return f"{sign}{self.group.join(groups)}{self.point if decimals else ''}{decimals}"


@lru_cache(maxsize=256)
def figures(locale: Locale) -> Figures:
    """The signs of a locale's numbers, in Western digits."""
    symbols = locale.number_symbols.get("latn") or locale.number_symbols
    first, further = numbers.parse_pattern(locale.decimal_formats[None]).grouping
    return Figures(symbols["decimal"], symbols["group"], first, further)


@lru_cache(maxsize=10_000)
def _day(day: date, locale: Locale) -> str:
    return fonts.cleaned(dates.format_date(day, "medium", locale=locale))


@lru_cache(maxsize=10_000)
def _money(amount: Decimal, currency: str, places: int, locale: Locale) -> str:
    """An amount with its currency as the locale writes it, in the decimals of the currency."""
    exact = amount.quantize(Decimal(1).scaleb(-places))
    return fonts.cleaned(
        numbers.format_currency(exact, currency, locale=locale, numbering_system="latn", currency_digits=True)
    )


# --- layout -----------------------------------------------------------------------------------------------------------


class _Layout:
    """Where everything of a document stands."""

    def __init__(self, document: Document, labels: Labels, width: float, height: float) -> None:
        self.document, self.labels = document, labels
        self.left, self.right, self.top = MARGIN, width - MARGIN, height - MARGIN
        self.locale = labels.locale(document.buyer.country)
        self.figures = figures(self.locale)
        room = self.right - self.left
        self.columns = {  # right edges, but of the first two: left ones
            "position": self.left + 2, "description": self.left + 26, "quantity": self.left + room * 0.61, "price": self.left + room * 0.76,
            "rate": self.left + room * 0.86, "amount": self.right - 2,
        }  # fmt: skip
        self.described = self.left + room * 0.47 - self.columns["description"]

    def pages(self) -> list[Page]:
        """Every page of the document."""
        page = Page(self.top)
        self._head(page)
        written = [page]
        self._lines(written)
        self._end(written)
        for number, one in enumerate(written, start=1):
            self._foot(one, number, len(written))
        return written

    # what stands where

    def _put(
        self,
        page: Page,
        x: float,
        text: str,
        size: float = BODY,
        bold: bool = False,
        colour: Colour = INK,
        y: float | None = None,
    ) -> None:
        if shown := fonts.cleaned(text):
            page.texts.append(Text(x, page.y if y is None else y, shown, size, bold, colour))

    def _put_right(
        self,
        page: Page,
        edge: float,
        text: str,
        size: float = BODY,
        bold: bool = False,
        colour: Colour = INK,
        y: float | None = None,
    ) -> None:
        shown = fonts.cleaned(text)
        self._put(page, edge - fonts.width(shown, size, bold), shown, size, bold, colour, y)

    def _wrapped(self, text: str, room: float, size: float = BODY, bold: bool = False) -> list[str]:
        return fonts.wrapped(fonts.cleaned(text), room, size, bold)

    def _paragraph(
        self, page: Page, x: float, text: str, room: float, size: float = BODY, bold: bool = False, colour: Colour = INK
    ) -> None:
        for part in self._wrapped(text, room, size, bold):
            self._put(page, x, part, size, bold, colour)
            page.y -= size * LEADING

    def _rule(self, page: Page, left: float, right: float, y: float, colour: Colour = GREY, height: float = 0.5) -> None:
        page.boxes.append(Box(left, y, right - left, height, colour))

    def _figure(self, amount: Decimal) -> str:
        return self.figures.shown(amount, self.document.places, self.document.places)

    def _cash(self, amount: Decimal) -> str:
        return _money(amount, self.document.currency, self.document.places, self.locale)

    def _share(self, rate: Decimal) -> str:
        return f"{self.figures.shown(rate * 100, 0, 4)} %"

    def _head(self, page: Page) -> None:
        """Who sells, who buys, which document, and what is to be paid."""
        document, labels, seller, buyer = self.document, self.labels, self.document.seller, self.document.buyer
        middle = self.left + (self.right - self.left) * 0.58
        title = fonts.cleaned(_title(document, labels))
        page.y -= TITLE * 0.8
        top = page.y
        self._put_right(page, self.right, title, TITLE, True, ACCENT)
        room = self.right - self.left - fonts.width(title, TITLE, True) - 2 * GAP
        self._paragraph(page, self.left, seller.name, room, HEAD, True)
        for told in _address(seller, self.locale):
            self._paragraph(page, self.left, told, min(room, middle - self.left - GAP), SMALL, colour=GREY)
        page.y = min(page.y, top - TITLE) - 2 * GAP
        begin = page.y
        self._paragraph(page, self.left, labels.customer, middle - self.left - GAP, SMALL, colour=GREY)
        page.y -= 4
        self._paragraph(page, self.left, buyer.name, middle - self.left - GAP, BODY + 1, True)
        for told in _address(buyer, self.locale):
            self._paragraph(page, self.left, told, middle - self.left - GAP)
        if buyer.tax_id:
            self._paragraph(page, self.left, f"{labels.tax_number} {buyer.tax_id}", middle - self.left - GAP)
        after_customer, page.y = page.y, begin
        for name, told in self._facts():
            self._fact(page, middle, name, told)
        page.y = min(page.y, after_customer) - GAP
        self._band(page)
        if document.reason:
            self._paragraph(page, self.left, f"{labels.reason}: {document.reason}", self.right - self.left)
            page.y -= GAP / 2

    def _facts(self) -> Iterator[tuple[str, str]]:
        document, labels = self.document, self.labels
        yield labels.number, document.number
        yield labels.issue_date, _day(document.issue_date, self.locale)
        if not document.gives_back:
            yield labels.due_date, _day(document.due_date, self.locale)
        yield labels.period, f"{_day(document.begins, self.locale)} – {_day(document.ends, self.locale)}"
        yield labels.customer_number, document.buyer.id
        if document.original_number:
            on = f", {_day(document.original_date, self.locale)}" if document.original_date else ""
            yield labels.original, f"{document.original_number}{on}"

    def _fact(self, page: Page, x: float, name: str, told: str) -> None:
        """A name and what it is, on one line where both fit, else below each other."""
        needed = fonts.width(fonts.cleaned(name), SMALL, False) + GAP
        told_in = self._wrapped(told, self.right - x - needed)
        if len(told_in) == 1:
            self._put(page, x, name, SMALL, colour=GREY)
            self._put_right(page, self.right, told_in[0])
            page.y -= BODY * 1.5
            return
        self._paragraph(page, x, name, self.right - x, SMALL, colour=GREY)
        self._paragraph(page, x, told, self.right - x)
        page.y -= 2

    def _band(self, page: Page) -> None:
        """The amount that matters, where everybody looks."""
        document, labels = self.document, self.labels
        height = 34.0
        page.y -= height
        page.boxes.append(Box(self.left, page.y, self.right - self.left, height, BAND))
        name, amount = (
            (labels.credited, abs(document.payable)) if document.gives_back else (labels.payable, document.payable)
        )
        base = page.y + height / 2 - HEAD * 0.35
        self._put(page, self.left + GAP, name, BODY + 1, True, ACCENT, base)
        self._put_right(page, self.right - GAP, self._cash(amount), HEAD + 2, True, ACCENT, base)
        page.y -= 2 * GAP

    # lines

    def _lines(self, written: list[Page]) -> None:
        self._line_head(written[-1])
        for line in self.document.lines:
            described = self._wrapped(line.product_id or self.document.number, self.described)
            further = self._wrapped(self._beside(line), self.described, SMALL)
            cells: Line | None = line  # stand beside the first line of the description
            while described or further:  # a description may be longer than a page
                page = written[-1]
                if page.y - BODY * LEADING < BOTTOM + GAP or (
                    page.y - self._height(described, further) < BOTTOM + GAP
                    and self._height(described, further) < self.top / 2
                ):
                    page = self._next(written)
                    self._line_head(page)
                if cells is not None:
                    self._cells(page, cells)
                described, further = self._described(page, described, further)
                cells = None
            written[-1].y -= 3
        self._rule(written[-1], self.left, self.right, written[-1].y + 4)
        written[-1].y -= GAP

    def _height(self, described: list[str], further: list[str]) -> float:
        return len(described) * BODY * LEADING + len(further) * SMALL * LEADING

    def _described(self, page: Page, described: list[str], further: list[str]) -> tuple[list[str], list[str]]:
        """Write of a description what the page has room for; returns the rest."""
        at = self.columns["description"]
        while described and page.y > BOTTOM + GAP:
            self._put(page, at, described[0])
            page.y -= BODY * LEADING
            described = described[1:]
        while further and not described and page.y > BOTTOM + GAP:
            self._put(page, at, further[0], SMALL, colour=GREY)
            page.y -= SMALL * LEADING
            further = further[1:]
        return described, further

    def _cells(self, page: Page, line: Line) -> None:
        at = self.columns
        unit = f" {line.unit}" if line.unit and line.detail is None else ""
        self._put(page, at["position"], str(line.line_no), colour=GREY)
        self._fitted(page, at["quantity"], f"{self.figures.shown(line.quantity, 0, SHOWN_DECIMALS)}{unit}", 78)
        self._fitted(page, at["price"], self.figures.shown(line.price, self.document.places, SHOWN_DECIMALS), 68)
        self._put_right(page, at["rate"], "" if line.tax_category == "O" else self._share(line.tax_rate))
        self._fitted(page, at["amount"], self._figure(line.amount), 63)

    def _fitted(self, page: Page, edge: float, text: str, room: float) -> None:
        """A figure at its edge; one that is too wide for its column is written smaller, never cut."""
        needed = fonts.width(fonts.cleaned(text), BODY, False)
        self._put_right(page, edge, text, BODY if needed <= room else BODY * room / needed)

    def _beside(self, line: Line) -> str:
        """What is told of a line below its name: where, how much of it, and when, if not in the document's month."""
        told = [line.region]
        if line.detail is not None:
            told.append(f"{self.figures.shown(line.detail, 0, SHOWN_DECIMALS)} {line.unit}")
        if (line.begins, line.ends) != (self.document.begins, self.document.ends):
            told.append(f"{_day(line.begins, self.locale)} – {_day(line.ends, self.locale)}")
        return ", ".join(part for part in told if part)

    def _line_head(self, page: Page) -> None:
        labels, at = self.labels, self.columns
        heads = (
            ("quantity", labels.quantity),
            ("price", labels.unit_price),
            ("rate", labels.tax_rate),
            ("amount", f"{labels.amount} {self.document.currency}"),
        )
        page.boxes.append(Box(self.left, page.y - 5, self.right - self.left, 16, BAND))
        self._put(page, at["position"], labels.position, SMALL, True, ACCENT)
        self._put(page, at["description"], labels.description, SMALL, True, ACCENT)
        for name, told in heads:
            self._put_right(page, at[name], told, SMALL, True, ACCENT)
        page.y -= 19

    def _next(self, written: list[Page]) -> Page:
        """A further page, which says which document it is of."""
        page = Page(self.top - BODY)
        self._put(page, self.left, f"{_title(self.document, self.labels)} {self.document.number}", SMALL, colour=GREY)
        self._put_right(page, self.right, self.labels.carried, SMALL, colour=GREY)
        page.y -= 2 * GAP
        written.append(page)
        return page

    # totals, mentions, payment

    def _end(self, written: list[Page]) -> None:
        document, labels = self.document, self.labels
        self._totals(written)
        for category in sorted({tax.category for tax in document.taxes}):
            if category in labels.mentions:
                reasons = sorted({tax.reason for tax in document.taxes if tax.category == category and tax.reason})
                self._told(
                    written,
                    ". ".join([labels.mentions[category].rstrip("."), *(reason.rstrip(".") for reason in reasons)]) + ".",
                )
        self._payment(written)

    def _room_for(self, written: list[Page], height: float) -> Page:
        return written[-1] if written[-1].y - height > BOTTOM else self._next(written)

    def _totals(self, written: list[Page]) -> None:
        document, labels = self.document, self.labels
        left = self.left + (self.right - self.left) * 0.42
        rows: list[tuple[str, str, bool]] = [(labels.net, self._figure(document.net), False)]
        rows += [(self._tax(one), self._figure(one.amount), False) for one in document.components]
        rows.append((labels.gross, self._figure(document.gross), not (document.rounding or document.prepaid)))
        if document.rounding:
            rows.append((labels.rounding, self._figure(document.rounding), False))
        if document.prepaid:
            rows.append((labels.prepaid, self._figure(-document.prepaid), False))
        if document.rounding or document.prepaid:
            rows.append(
                (labels.credited if document.is_credit_note else labels.payable, self._figure(document.payable), True)
            )
        page = self._room_for(written, min(len(rows), 12) * BODY * 1.6 + GAP)
        for name, amount, is_total in rows:
            if page.y - BODY < BOTTOM:
                page = self._next(written)
            if is_total:
                self._rule(page, left, self.right, page.y + BODY + 1)
            parts = self._wrapped(name, self.right - left - 90, BODY, is_total)
            self._put_right(page, self.columns["amount"], amount, BODY, is_total)
            for part in parts:
                self._put(page, left, part, BODY, is_total)
                page.y -= BODY * (1.55 if part is parts[-1] else 1.2)
        page.y -= GAP

    def _tax(self, one: Component) -> str:
        """A tax, or a component of it, with its rate and the amount it is taken on."""
        name = self.labels.tax if one.name == "VAT" else one.name
        share = "" if one.category == "O" else f" {self._share(one.rate)}"
        return f"{name}{share}, {self.labels.taxable} {self._figure(one.taxable)}"

    def _told(self, written: list[Page], text: str, colour: Colour = INK) -> None:
        """A paragraph over the whole width, on the next page where this one has no room."""
        for part in self._wrapped(text, self.right - self.left):
            page = self._room_for(written, BODY)
            self._put(page, self.left, part, colour=colour)
            page.y -= BODY * LEADING
        written[-1].y -= 4

    def _payment(self, written: list[Page]) -> None:
        document, labels, account = self.document, self.labels, self.document.account
        if document.gives_back or document.payable == 0:
            self._told(written, labels.nothing_due)
            return
        rows = [
            (labels.reference, _spaced(document.reference) if document.reference.startswith("RF") else document.reference)
        ]
        if account:
            rows = [(labels.account, _spaced(account.iban)), *([(labels.bank, account.bic)] if account.bic else []), *rows]
        page = self._room_for(written, (len(rows) + 3) * BODY * 1.5)
        self._put(page, self.left, labels.payment, BODY, True, ACCENT)
        page.y -= BODY * 1.5
        self._told(
            written, labels.pay_until.format(amount=self._cash(document.payable), date=_day(document.due_date, self.locale))
        )
        names = max(fonts.width(fonts.cleaned(name), BODY, False) for name, _ in rows)
        for name, told in rows:
            self._put(page, self.left, name, colour=GREY)
            self._put(page, self.left + names + GAP, told)
            page.y -= BODY * 1.4

    def _foot(self, page: Page, number: int, count: int) -> None:
        """Who sells, on every page, and which page it is."""
        labels, seller = self.labels, self.document.seller
        told = [seller.name, *_address(seller, self.locale)]
        if seller.registration_number:
            told.append(f"{labels.registration_number} {seller.registration_number}")
        if seller.tax_id:
            told.append(f"{labels.tax_number} {seller.tax_id}")
        if seller.email:
            told.append(seller.email)
        self._rule(page, self.left, self.right, 62)
        shown = fonts.cleaned(labels.page.format(page=number, pages=count))
        self._put_right(page, self.right, shown, SMALL, colour=GREY, y=50)
        room = self.right - self.left - fonts.width(shown, SMALL, False) - 2 * GAP
        for row, part in enumerate(self._joined(told, room)[:4]):
            self._put(page, self.left, part, SMALL, colour=GREY, y=50 - row * SMALL * LEADING)

    def _joined(self, parts: list[str], room: float) -> list[str]:
        """Small parts beside each other, as many on a line as it has room for; none is torn that fits into one."""
        lines: list[str] = []
        for part in (piece for told in parts for piece in self._wrapped(told, room, SMALL)):
            longer = f"{lines[-1]} · {part}" if lines else part
            if lines and fonts.width(longer, SMALL, False) <= room:
                lines[-1] = longer
            else:
                lines.append(part)
        return lines


def _address(party: Party, locale: Locale) -> list[str]:
    """Street, then place, then country, as far as they are known; the country as the reader calls it."""
    place = " ".join(part for part in (party.postal_code, party.city, party.region) if part)
    return [part for part in (party.street, place, locale.territories.get(party.country, party.country)) if part]


def _spaced(number: str) -> str:
    """A number in groups of four, as IBAN and creditor reference are written on paper."""
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))
