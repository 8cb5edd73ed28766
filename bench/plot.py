"""Line plots as SVG text: panels side by side, one line per series, named at the top. Pure: numbers in, text out."""

import math
from dataclasses import dataclass, replace
from html import escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 62, 46
COLOURS = {"lorac": "#0b6e4f", "PEFT": "#c1440e", "llama.cpp": "#2f4b9c"}
OTHERS = ["#8a6d00", "#6b3fa0", "#555555"]


@dataclass
class Panel:
    """`series` is {name: [(x, y), ...]}. x goes in doublings; the y axis begins at 0, or goes in powers of ten."""

    title: str
    x_label: str
    series: dict
    powers: bool = False


def steps_to(most):
    """Round numbers from 0 to the first one that is not below `most`: four to eight of them."""
    if most <= 0:
        return [0, 1]
    rough = most / 5
    scale = 10 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= rough * 0.999)
    return [step * i for i in range(math.ceil(most / step * 0.999) + 1)]


def powers_around(least, most):
    """1, 2 and 5 times powers of ten: from the last one not above `least` to the first one not below `most`."""
    lowest, highest = math.floor(math.log10(least)), math.ceil(math.log10(most))
    all = [factor * 10.0**power for power in range(lowest, highest + 1) for factor in (1, 2, 5)]
    below, above = [tick for tick in all if tick <= least], [tick for tick in all if tick >= most]
    return [tick for tick in all if below[-1] <= tick <= above[0]]


def short(value):
    for size, letter in [(1e9, "G"), (1e6, "M")]:
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:g}"


def colour_of(name, names):
    unnamed = [other for other in names if other not in COLOURS]
    return COLOURS[name] if name in COLOURS else OTHERS[unnamed.index(name) % len(OTHERS)]


class Scale:
    """Numbers of a panel to points of the picture."""

    def __init__(self, panel):
        points = [point for line in panel.series.values() for point in line]
        xs, ys = [math.log2(x) for x, _ in points], [y for _, y in points]
        self.first, self.span = min(xs), (max(xs) - min(xs)) or 1.0
        self.ticks = powers_around(min(ys), max(ys)) if panel.powers else steps_to(max(ys))
        self.height = math.log10 if panel.powers else float

    def x(self, value):
        return LEFT + (math.log2(value) - self.first) / self.span * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        low, high = self.height(self.ticks[0]), self.height(self.ticks[-1])
        return HEIGHT - BOTTOM - (self.height(value) - low) / ((high - low) or 1.0) * (HEIGHT - TOP - BOTTOM)


def text_at(x, y, words, anchor="middle", **more):
    extra = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(words)}</text>'


def grid(panel, scale):
    parts = []
    for tick in scale.ticks:
        y = scale.y(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(text_at(LEFT - 6, y + 4, short(tick), "end"))
    for x in sorted({x for line in panel.series.values() for x, _ in line}):
        parts.append(text_at(scale.x(x), HEIGHT - BOTTOM + 17, short(x)))
    parts.append(text_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, panel.x_label))
    parts.append(text_at(LEFT, 20, panel.title, "start", font_weight="bold"))
    return parts


def legend(panel):
    parts, x = [], LEFT
    for name in panel.series:
        colour = colour_of(name, list(panel.series))
        parts.append(f'<line x1="{x}" x2="{x + 18}" y1="37" y2="37" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(text_at(x + 23, 41, name, "start"))
        x += 23 + 7 * len(name) + 14
    return parts


def line(points, scale, colour):
    places = [(scale.x(x), scale.y(y)) for x, y in sorted(points)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def draw(panels):
    """One picture of all panels that have points."""
    panels = [replace(p, series={name: line for name, line in p.series.items() if line}) for p in panels]
    panels = [panel for panel in panels if panel.series]
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222222">',
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for i, panel in enumerate(panels):
        scale = Scale(panel)
        parts.append(f'<g transform="translate({i * WIDTH} 0)">')
        parts += grid(panel, scale) + legend(panel)
        for name, points in panel.series.items():
            parts.append(line(points, scale, colour_of(name, list(panel.series))))
        parts.append("</g>")
    return "\n".join(parts + ["</svg>"]) + "\n"
