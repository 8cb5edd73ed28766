"""The lines of the bench: what lorac did, what stands beside it, their ratio and the goal. Pure: text in, text out."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Optional


@dataclass
class Goal:
    """Bounds on the ratio, or on lorac's own value."""

    least: Optional[float] = None
    most: Optional[float] = None
    of: str = "ratio"

    def met(self, value):
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def text(self, unit):
        unit = "×" if self.of == "ratio" else unit
        bounds = []
        if self.least is not None:
            bounds.append(f"≥ {self.least:g}")
        if self.most is not None:
            bounds.append(f"≤ {self.most:g}")
        return f"{', '.join(bounds)} {unit}".strip()


@dataclass
class Line:
    """One line of the table. `lorac` and `beside` hold one value a round. The ratio is lorac / beside, or with
    `less_is_better` beside / lorac: how many times better lorac is. `note` explains, or says why there is no value."""

    group: str
    what: str
    unit: str = ""
    lorac: list = field(default_factory=list)
    beside: list = field(default_factory=list)
    beside_name: str = ""
    less_is_better: bool = False
    goal: Optional[Goal] = None
    note: str = ""
    detail: Optional[dict] = None  # what else was measured, for those who read the JSON

    def ratio(self):
        if not self.lorac or not self.beside:
            return None
        ours, theirs = median(self.lorac), median(self.beside)
        return theirs / ours if self.less_is_better else ours / theirs

    def met(self):
        """True, False, or None where nothing is asked or nothing is known."""
        if not self.goal or not self.lorac:
            return None
        value = self.ratio() if self.goal.of == "ratio" else median(self.lorac)
        return None if value is None else self.goal.met(value)


def skipped(group, what, why):
    return Line(group, what, note=f"skipped: {why}")


def number(value):
    """Three digits or so: what a measurement is good for."""
    if value >= 100:
        return f"{value:,.0f}"
    decimals = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def amount(values, unit):
    return f"{number(median(values))} {unit}".strip() if values else "–"


HEADINGS = ["", "lorac", "beside it", "", "ratio", "goal", ""]


def cells(line):
    ratio, met = line.ratio(), line.met()
    return [
        line.what,
        amount(line.lorac, line.unit),
        amount(line.beside, line.unit),
        line.beside_name,
        "–" if ratio is None else f"{number(ratio)} ×",
        line.goal.text(line.unit) if line.goal else "",
        {True: "met", False: "missed", None: ""}[met] if line.lorac else "not measured",
    ]


def as_text(lines):
    """The table for a terminal, one heading per group; notes stand below their line."""
    rows = [HEADINGS] + [cells(line) for line in lines if not line.note.startswith("skipped")]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]

    def laid_out(row):
        words = [word.ljust(w) if i in (0, 3) else word.rjust(w) for i, (word, w) in enumerate(zip(row, widths))]
        return "  ".join(words).rstrip()

    text = [laid_out(HEADINGS)]
    group = None
    for line in lines:
        if line.group != group:
            group = line.group
            text.append(f"-- {group}")
        skips = line.note.startswith("skipped")
        text.append(f"{line.what}  {line.note.upper()[:7]}{line.note[7:]}" if skips else laid_out(cells(line)))
        if line.note and not skips:
            text.append(f"    {line.note}")
    return "\n".join(text)


def as_markdown(lines):
    """The same as a table in Markdown, without the lines that were skipped; notes become a list below it."""
    shown = [line for line in lines if not line.note.startswith("skipped")]
    text = ["| " + " | ".join(HEADINGS) + " |", "|---|--:|--:|---|--:|--:|---|"]
    text += ["| " + " | ".join(cells(line)) + " |" for line in shown]
    notes = [f"- {line.what}: {line.note}" for line in shown if line.note]
    return "\n".join(text + ([""] + notes if notes else []))


def to_json(lines):
    return [asdict(line) | {"ratio": line.ratio(), "met": line.met()} for line in lines]


def from_json(rows):
    lines = []
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("ratio", "met", "goal")}
        lines.append(Line(goal=Goal(**row["goal"]) if row["goal"] else None, **values))
    return lines
