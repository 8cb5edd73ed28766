#!/usr/bin/env python3
"""What Python's str knows of letters beyond the plain case pairs, as tables in C.

    make_case_tables.py

Writes src/text/jinja/jinja_case_tables.c. Every character is put to Python itself: upper(), title(), islower(), isupper(), isdigit()
and isnumeric(), and what they say beside Unicode's general categories is written down.
"""

import subprocess
import unicodedata
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "src" / "text" / "jinja" / "jinja_case_tables.c"
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HEAD = """/* jinja_case_tables.c: made by tools/make_case_tables.py from what Python does with every character; see
 * jinja_case.h. Not edited by hand. */
#include "jinja_case.h"

"""


def ranges(wanted):
    runs = []
    for character in CHARACTERS:
        if not wanted(character):
            continue
        if runs and runs[-1][1] == ord(character) - 1:
            runs[-1][1] += 1
        else:
            runs.append([ord(character)] * 2)
    return runs


def letters(characters):
    return "{ " + ", ".join(f"{ord(c):#x}" for c in characters) + " }"


def table(name, rows):
    body = ", ".join("{ " + ", ".join(row) + " }" for row in rows)
    kind = "letter_forms" if name == "several_letters" else "character_range"
    return f"const {kind} {name}[] = {{ {body} }};\nconst size_t {name}_count = sizeof {name} / sizeof *{name};\n"


def of_ranges(name, wanted):
    return table(name, [(f"{first:#x}", f"{last:#x}") for first, last in ranges(wanted)])


def main():
    category = unicodedata.category
    several = [c for c in CHARACTERS if len(c.upper()) > 1 or len(c.title()) > 1]
    tables = [
        table("several_letters", [(f"{ord(c):#x}", letters(c.upper()), letters(c.title())) for c in several]),
        of_ranges("other_lower", lambda c: c.islower() and category(c) != "Ll"),
        of_ranges("other_upper", lambda c: c.isupper() and category(c) != "Lu"),
        of_ranges("other_digits", lambda c: c.isdigit() and category(c) != "Nd"),
        of_ranges("other_numbers", lambda c: c.isnumeric() and category(c)[0] != "N"),
    ]
    OUT.write_text(HEAD + "\n".join(tables))
    subprocess.run(["clang-format", "-i", str(OUT)], check=True)


if __name__ == "__main__":
    main()
