#!/usr/bin/env python3
"""The kinds of characters that tokenizers' normalisers and pre-tokenizers tell apart, as tables in C.

    make_character_tables.py

Writes src/text/tokenizer/character_tables.c. Every character is put to the library itself (tools/peers-requirements.txt has the version): its tables
come from several editions of Unicode, so no one edition gives them.
"""

import subprocess
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

OUT = Path(__file__).resolve().parent.parent / "src" / "text" / "tokenizer" / "character_tables.c"
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]

HEAD = """/* character_tables.c: made by tools/make_character_tables.py from what Hugging Face's tokenizers do with every
 * character; see character_sets.h. Not edited by hand. */
#include "character_sets.h"

"""


def bert(**switches):
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**off, **switches})


def ranges(wanted, free=frozenset()):
    """The first and last of each run. Characters that are `free` may be in or out, so that there are fewer runs."""
    runs, open_run = [], False
    for character in CHARACTERS:
        if character in wanted:
            if open_run:
                runs[-1][1] = ord(character)
            else:
                runs.append([ord(character)] * 2)
            open_run = True
        elif character not in free:
            open_run = False
    return runs


def scripts():
    """The first of each run of a script, and the script's number; 0 is none."""
    cut = pre_tokenizers.UnicodeScripts().pre_tokenize_str
    samples, runs, last = [], [], (None, 0)
    for character in CHARACTERS:
        if not cut(character):
            number = 0
        elif last[1] and len(cut(last[0] + character)) == 1:
            number = last[1]
        else:
            number = next((i for i, sample in enumerate(samples, 1) if len(cut(sample + character)) == 1), 0)
            if not number:
                samples.append(character)
                number = len(samples)
        if number != last[1]:
            runs.append((ord(character), number))
        last = (character, number)
    return runs


def table(kind, name, rows):
    text = ", ".join(f"{{ {first:#x}, {second:#x} }}" if kind == "character_range" else f"{{ {first:#x}, {second} }}" for first, second in rows)
    return f"const {kind} {name}[] = {{ {text} }};\nconst size_t {name}_count = sizeof {name} / sizeof *{name};\n"


def main():
    clean, accents = bert(clean_text=True).normalize_str, bert(strip_accents=True).normalize_str
    decompose, marks = normalizers.NFD().normalize_str, normalizers.StripAccents().normalize_str
    punctuation = pre_tokenizers.Punctuation().pre_tokenize_str
    composed = {c for c in CHARACTERS if decompose(c) != c}  # never met after NFD
    tables = [
        table("character_range", "character_punctuation", ranges({c for c in CHARACTERS if len(punctuation("a" + c)) > 1})),
        table("character_range", "character_others", ranges({c for c in CHARACTERS if not clean(c)})),
        table("character_range", "character_marks", ranges({c for c in CHARACTERS if not marks(c)})),
        table("character_range", "character_accents", ranges({c for c in CHARACTERS if c not in composed and not accents(c)}, composed)),
        table("character_script_start", "character_scripts", scripts()),
    ]
    OUT.write_text(HEAD + "\n".join(tables))
    subprocess.run(["clang-format", "-i", str(OUT)], check=True)


if __name__ == "__main__":
    main()
