#!/usr/bin/env python3
"""Tests of the bench itself: what it makes of measurements. No time is asserted."""

import io
import json
import struct
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from contextlib import redirect_stderr
from pathlib import Path

from measure import Failed, run, take_turns
from plot import Panel, draw, powers_around, steps_to
from random_models import SHAPES, Shape, make_model
from report import profile_table, replaced
from table import Goal, Line, as_markdown, as_text, from_json, number, skipped, to_json


class Table(unittest.TestCase):
    def test_ratio_is_of_medians(self):
        line = Line("g", "speed", "tok/s", [10, 90, 30], [15, 1, 10], "peer")
        self.assertEqual(line.ratio(), 3)
        line.less_is_better = True
        self.assertAlmostEqual(line.ratio(), 1 / 3)

    def test_goals(self):
        self.assertTrue(Line("g", "w", "s", [2], [1], goal=Goal(2)).met())
        self.assertFalse(Line("g", "w", "s", [1.9], [1], goal=Goal(2)).met())
        self.assertTrue(Line("g", "w", "s", [1.0], goal=Goal(most=1, of="value")).met())
        self.assertFalse(Line("g", "w", "s", [1.1], goal=Goal(most=1, of="value")).met())
        self.assertFalse(Line("g", "w", "s", [1.2], [1], goal=Goal(0.9, 1.1)).met())

    def test_nothing_known_is_neither_met_nor_missed(self):
        self.assertIsNone(Line("g", "w", "s", [1], goal=Goal(2)).met())
        self.assertIsNone(Line("g", "w", "s", goal=Goal(most=2, of="value")).met())
        self.assertIsNone(Line("g", "w", "s", [1], [1]).met())

    def test_numbers(self):
        written = [number(x) for x in (1234.5, 99.94, 10, 1.2345, 0.6484, 0.003)]
        self.assertEqual(written, ["1,234", "99.9", "10.0", "1.23", "0.648", "0.003"])

    def test_text_shows_what_is_skipped(self):
        lines = [Line("a", "speed", "tok/s", [30], [10], "PEFT", goal=Goal(2)), skipped("b", "streams", "no flag")]
        text = as_text(lines).splitlines()
        self.assertEqual(text[1:4:2], ["-- a", "-- b"])
        self.assertRegex(text[2], r"^speed +30\.0 tok/s +10\.0 tok/s +PEFT +3\.00 × +≥ 2 × +met$")
        self.assertEqual(text[4], "streams  SKIPPED: no flag")
        self.assertNotIn("streams", as_markdown(lines))

    def test_json_and_back(self):
        full = Line("a", "speed", "tok/s", [30, 31], [10], "PEFT", True, Goal(2), "note", {"x": 1})
        lines = [full, skipped("b", "c", "d")]
        self.assertEqual(from_json(json.loads(json.dumps(to_json(lines)))), lines)


class Measuring(unittest.TestCase):
    def test_a_child(self):
        script = "import json; print('text'); print(json.dumps({'event': 'plan'})); bytearray(1 << 27)"
        ran = run(sys.executable, "-c", script)
        self.assertEqual(len(ran.events("plan")), 1)
        self.assertEqual(ran.events("train"), [])
        self.assertEqual(ran.json(), {"event": "plan"})
        self.assertGreater(ran.peak, 1 << 27)

    def test_a_failing_child(self):
        with self.assertRaisesRegex(Failed, "ends with 3\nwhy"):
            run("sh", "-c", "echo why >&2; exit 3")

    def test_turns(self):
        order = []

        def fails():
            order.append("c")
            if order.count("c") == 2:
                raise Failed("no")

        programs = {"a": lambda: order.append("a") or 1, "c": fails, "b": lambda: order.append("b") or 2}
        with redirect_stderr(io.StringIO()):
            seen = take_turns(3, programs)
        self.assertEqual("".join(order), "acbacbab")
        self.assertEqual(seen, {"a": [1, 1, 1], "c": [], "b": [2, 2, 2]})


class Plots(unittest.TestCase):
    def test_round_ticks_reach_the_largest_value(self):
        for most in (0.003, 0.9, 1, 7.3, 10, 999, 1300, 4e9):
            ticks = steps_to(most)
            self.assertEqual(ticks[0], 0)
            self.assertGreaterEqual(ticks[-1], most * 0.999)
            self.assertTrue(4 <= len(ticks) <= 8, ticks)

    def test_powers_enclose_the_values(self):
        self.assertEqual(powers_around(3, 40), [2, 5, 10, 20, 50])
        self.assertEqual(powers_around(1, 1), [1])
        self.assertEqual(powers_around(0.07, 0.3), [0.05, 0.1, 0.2, 0.5])

    def test_picture(self):
        series = {"lorac": [(1, 100), (2, 150), (8, 200)], "PEFT": [(1, 50)], "none": []}
        root = xml.fromstring(draw([Panel("Speed", "rows <b>", series), Panel("Memory", "rows", {"none": []})]))
        inside = "{http://www.w3.org/2000/svg}"
        texts = [element.get("points").split() for element in root.iter(f"{inside}polyline")]
        lines = [[tuple(map(float, point.split(","))) for point in points] for points in texts]
        self.assertEqual([len(points) for points in lines], [3, 1])
        (x1, y1), (x2, y2), (x8, y8) = lines[0]
        self.assertAlmostEqual(x8 - x1, 3 * (x2 - x1), delta=0.2)  # doublings are equally wide
        self.assertTrue(y1 > y2 > y8)
        self.assertEqual(len(list(root.iter(f"{inside}g"))), 1)


class Report(unittest.TestCase):
    def test_only_what_is_between_the_markers(self):
        page = "before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n"
        self.assertEqual(replaced(page, "table", "new\n"), page.replace("old", "new"))
        with self.assertRaises(ValueError):
            replaced(page, "profile", "new")

    def test_profile(self):
        shares = [("b", 0.25, 0), ("a", 0.75, 100)]
        parts = [{"name": n, "share": s, "seconds": 6 * s, "gflops": g, "gbs": 0} for n, s, g in shares]
        profile = dict(parts=parts, seconds_per_step=2, needed_gflop=450, gemm_gflops=100, bandwidth_gbs=30)
        rows = profile_table(profile | {"share_of_ceiling": 0.75}).splitlines()
        self.assertEqual(rows[2:4], ["| a | 1500 | 75.0 % | 100 | 0.0 |", "| b | 500 | 25.0 % |  |  |"])
        self.assertTrue(rows[5].startswith("A step needs 150 GFLOP;"), rows[5])


class RandomModels(unittest.TestCase):
    def test_known_sizes(self):
        self.assertEqual(SHAPES[1].parameters(), 134515008)  # SmolLM2-135M

    def test_folder(self):
        shape = Shape("tiny", 64, 96, 2, 2, 1, head_size=32, vocabulary=128)
        with tempfile.TemporaryDirectory() as folder:
            made = make_model(Path(folder) / "model", shape)
            filed = (made / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", filed[:8])[0]
        header = json.loads(filed[8 : 8 + size])
        self.assertEqual(len(filed) - 8 - size, 2 * shape.parameters())
        self.assertEqual(max(t["data_offsets"][1] for t in header.values()), 2 * shape.parameters())
        # bf16 are the upper halves of floats
        values = [struct.unpack("<f", b"\0\0" + filed[i : i + 2])[0] for i in range(8 + size, len(filed), 2)]
        self.assertTrue(all(2**-7 <= abs(value) < 2**-5 for value in values))


if __name__ == "__main__":
    unittest.main()
