"""The charts of the report, as SVG that stands inside the page. Amounts of different currencies never share an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from markupsafe import Markup

from jobs.runtime.shown import money

CHARACTER = 6.7  # pixels of an average character of the charts' 12 px type


def bars(values: Sequence[tuple[str, int, str]], width: int = 820) -> Markup:
    """Horizontal bars: label, value, value as text. Labels stand left of the bars and are cut where they are too long."""
    if not values:
        return Markup("")
    most = max(value for _, value, _ in values) or 1
    labels = [_cut(label, 64) for label, _, _ in values]
    left = int(max(map(len, labels)) * CHARACTER) + 12
    right = int(max(len(text) for _, _, text in values) * CHARACTER) + 14
    room, step = width - left - right, 24
    parts = []
    for at, ((label, value, text), short) in enumerate(zip(values, labels, strict=True)):
        y, long = at * step, max(room * value / most, 1.5)
        parts.append(
            Markup(
                '<g><title>{}: {}</title><text x="{}" y="{}" text-anchor="end" class="label">{}</text>'
                '<rect x="{}" y="{}" width="{:.1f}" height="14" rx="2" class="bar"/><text x="{:.1f}" y="{}" class="value">{}</text></g>'
            ).format(label, text, left - 8, y + 15, short, left, y + 4, long, left + long + 6, y + 15, text)
        )
    return _svg(width, len(values) * step + 4, parts)


def stacked(
    values: Sequence[tuple[str, tuple[float, ...]]], names: Sequence[str], told: Callable[[float], str], width: int = 820
) -> Markup:
    """Horizontal bars in named parts, with their sum behind them. told: how a value is written."""
    if not values:
        return Markup("")
    most = max(sum(parts) for _, parts in values) or 1.0
    left = int(max(len(label) for label, _ in values) * CHARACTER) + 12
    room, step = width - left - 66, 24
    drawn = []
    for at, (label, parts) in enumerate(values):
        y, x = at * step, float(left)
        drawn.append(
            Markup('<g><text x="{}" y="{}" text-anchor="end" class="label">{}</text>').format(left - 8, y + 15, label)
        )
        for number, part in enumerate(parts):
            long = room * part / most
            if long >= 0.5:
                drawn.append(
                    Markup(
                        '<rect x="{:.1f}" y="{}" width="{:.1f}" height="14" class="part{}"><title>{} {}</title></rect>'
                    ).format(x, y + 4, long, number, names[number], told(part))
                )
            x += long
        drawn.append(Markup('<text x="{:.1f}" y="{}" class="value">{}</text></g>').format(x + 6, y + 15, told(sum(parts))))
    return _svg(width, len(values) * step + 4, drawn)


def months(title: str, values: Sequence[tuple[str, Decimal]], currency: str, width: int = 310) -> Markup:
    """One currency's months as columns on a scale of its own; what is less than nothing hangs below the line."""
    top, high, foot = 40, 100, 22
    most = max((abs(value) for _, value in values), default=Decimal(0)) or Decimal(1)
    lowest = min((value for _, value in values), default=Decimal(0))
    below = 40 if lowest < 0 else 0
    room = (width - 8) / max(len(values), 1)
    column = min(room * 0.62, 64)
    every = max(1, -(-int(7 * CHARACTER + 6) // max(int(room), 1)))  # so many months share the room of one label
    parts = [Markup('<text x="4" y="14" class="title">{}</text>').format(title)]
    for at, (month, value) in enumerate(values):
        middle = 4 + room * (at + 0.5)
        long = float(abs(value) / most) * (high if value >= 0 else below)
        y = top + high - long if value >= 0 else top + high
        parts.append(
            Markup(
                '<g><title>{}: {} {}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" class="bar"/>'
            ).format(month, money(value, currency), currency, middle - column / 2, y, column, max(long, 1.0))
        )
        if len(values) <= 4:
            parts.append(
                Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="middle" class="value">{}</text>').format(
                    middle, y - 5, _short(value)
                )
            )
        if (len(values) - 1 - at) % every == 0:
            parts.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="label">{}</text>').format(
                    middle, top + high + below + 16, month
                )
            )
        parts.append(Markup("</g>"))
    parts.append(Markup('<line x1="4" x2="{}" y1="{}" y2="{}" class="axis"/>').format(width - 4, top + high, top + high))
    return _svg(width, top + high + below + foot, parts)


def _short(value: Decimal) -> str:
    """An amount for a chart: 12.3 M."""
    for size, name in ((Decimal(10) ** 9, " bn"), (Decimal(10) ** 6, " M"), (Decimal(10) ** 3, " k")):
        if abs(value) >= size:
            return f"{value / size:,.1f}{name}"
    return f"{value:,.0f}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(width: int, height: int, parts: Iterable[Markup]) -> Markup:
    start = f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    return Markup(start) + Markup("").join(parts) + Markup("</svg>")
