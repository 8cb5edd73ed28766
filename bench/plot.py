"""Line plots as SVG text: panels side by side, one line per series, named at the top. Pure: numbers in, text out."""

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 62, 46
COLOURS = {"lorac": "#0b6e4f", "PEFT": "#c1440e", "llama.cpp": "#2f4b9c"}
OTHERS = ["#8a6d00", "#6b3fa0", "#555555"]


@dataclass
class Panel:
    """`series` is {name: [(x, y), ...]}. The y axis begins at 0; x goes in doublings when `doubling` is set."""

    title: str
    x_label: str
    series: dict
    doubling: bool = True


def steps_to(most):
    """Round numbers from 0 to the first one that is not below `most`: four to eight of them."""
    if most <= 0:
        return [0, 1]
    rough = most / 5
    scale = 10 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= rough * 0.999)
    return [step * i for i in range(math.ceil(most / step * 0.999) + 1)]


def short(value):
    for size, letter in [(1e9, "G"), (1e6, "M"), (1e3, "k")]:
        if value >= size * 10:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def colour_of(name, names):
    unnamed = [other for other in names if other not in COLOURS]
    return COLOURS[name] if name in COLOURS else OTHERS[unnamed.index(name) % len(OTHERS)]


class Scale:
    """Numbers of a panel to points of the picture."""

    def __init__(self, panel):
        points = [point for line in panel.series.values() for point in line]
        self.place = math.log2 if panel.doubling else float
        xs = [self.place(x) for x, _ in points]
        self.first, self.span = min(xs), (max(xs) - min(xs)) or 1.0
        self.ticks = steps_to(max(y for _, y in points))

    def x(self, value):
        return LEFT + (self.place(value) - self.first) / self.span * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.ticks[-1] * (HEIGHT - TOP - BOTTOM)


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
    panels = [Panel(p.title, p.x_label, {n: s for n, s in p.series.items() if s}, p.doubling) for p in panels]
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
