#!/usr/bin/env python3
"""Published chat templates, rendered by lorac and by jinja2 as transformers sets it up, over conversations of every shape.

    tools/test_peers.sh templates [--markdown FILE] [FOLDER or FILE.jinja]...

Without arguments: every template of published_templates.py, and the small ones of make_template_goldens.py. A text must be equal
byte by byte. What jinja2 refuses must be refused, with the same words where they are the template's own (raise_exception). The
library is called directly: one process for each of some 50,000 renderings would take an hour. Then the built-in templates, beside
the published ones.
"""

import argparse
import collections
import ctypes
import importlib.metadata
import json
import multiprocessing
import os
import re
import tempfile
from pathlib import Path

from transformers.utils import chat_template_utils

import builtin_templates
from conversations import CONVERSATIONS
from make_template_goldens import STYLES, Midnight
from peer import PROGRAM, laid_out
from published_templates import published

LIBRARY = Path(PROGRAM).resolve().parent / "liblorac.so"
DATE = "2026-03-04"  # Midnight's
KINDS = ["equal", "both refuse", "refused here only", "different"]
DATA_ERROR = 3


# ---- lorac


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char_p)]  # and more


class Options(ctypes.Structure):
    _fields_ = [("add_generation_prompt", ctypes.c_int), ("bos", ctypes.c_char_p), ("eos", ctypes.c_char_p), ("date", ctypes.c_char_p),
                ("file", ctypes.c_char_p)]


class Refused(Exception):
    pass


class Library:
    def __init__(self):
        self.library = ctypes.CDLL(str(LIBRARY))
        self.library.lorac_last_error.restype = ctypes.POINTER(Error)
        self.library.lorac_text_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        self.library.lorac_text_close.argtypes = self.library.lorac_free.argtypes = [ctypes.c_void_p]
        self.library.lorac_text_render.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Options), ctypes.c_void_p, ctypes.c_void_p]

    def check(self, status):
        if status:
            error = self.library.lorac_last_error().contents
            message = error.message.decode()
            assert status == error.status == DATA_ERROR, message
            raise Refused(message)

    def open(self, template):
        text = ctypes.c_void_p()
        self.check(self.library.lorac_text_open(ctypes.byref(text), None, os.fsencode(template)))
        return text

    def close(self, text):
        self.library.lorac_text_close(text)

    def render(self, text, conversation, prompt, bos="<s>", eos="</s>"):
        out, length = ctypes.c_void_p(), ctypes.c_size_t()
        options = Options(prompt, bos.encode(), eos.encode(), DATE.encode())
        self.check(self.library.lorac_text_render(text, conversation, ctypes.byref(options), ctypes.byref(out), ctypes.byref(length)))
        rendered = ctypes.string_at(out, length.value)
        self.library.lorac_free(out)
        return rendered.decode()


# ---- The comparison


def attempt(action, *arguments):
    """What it gives, or the exception: jinja2, the sandbox and Python raise many kinds."""
    try:
        return action(*arguments)
    except Exception as error:
        return error


def by_jinja(template, messages, tools, prompt, more):
    if isinstance(template, Exception):
        raise template
    given = {"bos_token": "<s>", "eos_token": "</s>", "documents": None, **more}
    return template.render(messages=chat_template_utils._alias_reasoning_fields(messages), tools=tools, add_generation_prompt=prompt, **given)


def by_lorac(library, text, conversation, prompt):
    if isinstance(text, Exception):
        raise text
    return library.render(text, conversation, prompt)


def own_words(error):
    """What a template says with raise_exception, or nothing."""
    return str(error) if type(error).__name__ == "TemplateError" else ""


def verdict(expected, got):
    if isinstance(expected, Exception):
        same = isinstance(got, Exception) and own_words(expected) in str(got)
        return "both refuse" if same else "different"
    if isinstance(got, Exception):
        return "refused here only"
    return "equal" if expected == got else "different"


def encoded():
    """The conversations as lorac takes them."""
    return [json.dumps({"messages": messages, "tools": tools, "chat_template_kwargs": more}).encode()
            for messages, tools, _, more in CONVERSATIONS]


def shown(expected, got):
    """Both answers from shortly before the first difference on."""
    if isinstance(expected, str) and isinstance(got, str):
        start = max(len(os.path.commonprefix([expected, got])) - 60, 0)
        expected, got = expected[start:], got[start:]
    return repr(expected)[:300], repr(got)[:300]


def compare(path):
    """What becomes of every conversation, [(verdict, jinja2's answer, lorac's)], and jinja2's texts for the built-in ones."""
    chat_template_utils.datetime = Midnight
    library = Library()
    template = attempt(chat_template_utils._compile_jinja_template, path.read_bytes().decode())
    text = attempt(library.open, path)
    rows = []
    for (messages, tools, prompt, more), conversation in zip(CONVERSATIONS, encoded()):
        expected = attempt(by_jinja, template, messages, tools, prompt, more)
        got = attempt(by_lorac, library, text, conversation, prompt)
        kind = verdict(expected, got)
        fine = kind in ("equal", "both refuse")
        rows.append((kind, type(expected).__name__, "") if fine else (kind, *shown(expected, got)))
    if not isinstance(text, Exception):
        library.close(text)
    plain = [[attempt(by_jinja, template, talk, None, prompt, {}) for talk, prompt in kind] for kind in builtin_templates.KINDS]
    return rows, [[None if isinstance(answer, Exception) else answer for answer in kind] for kind in plain]


def compare_builtin(published):
    library, opened = Library(), {}

    def render(name, messages, prompt, bos, eos):
        if name not in opened:
            opened[name] = library.open(name)
        return library.render(opened[name], json.dumps({"messages": messages}).encode(), prompt, bos, eos)

    return builtin_templates.compare(render, published)


def report(path, rows):
    """One line for each way in which a template differs."""
    seen = set()
    for number, (kind, expected, got) in enumerate(rows):
        reason = re.sub(r"^.*?\.jinja", "", got)
        if kind in ("refused here only", "different") and (kind, reason if kind != "different" else "") not in seen:
            seen.add((kind, reason if kind != "different" else ""))
            print(f"{'FAIL ' if kind == 'different' else ''}{path}, conversation {number}, {kind}\n  jinja2: {expected}\n  lorac:  {got}")


# ---- The tables


def tabulate(packages, results):
    head = ["package", "templates", "new", *KINDS]
    rows, seen, whole = [], set(), collections.Counter()
    for name, files in packages.items():
        counts = collections.Counter(kind for path in files for kind, _, _ in results[path.read_bytes()])
        sources = {path.read_bytes() for path in files}
        new = sources - seen
        seen |= new
        whole += collections.Counter(kind for source in new for kind, _, _ in results[source])
        rows.append([name, len(files), len(new), *[counts[kind] for kind in KINDS]])
    rows.append(["all, each template once", "", len(seen), *[whole[kind] for kind in KINDS]])
    return head, [[str(cell) for cell in row] for row in rows], whole


def reasons(results):
    """How often jinja2 raised what, and what is refused here only, with the construct."""
    raised = collections.Counter(expected for rows in results.values() for kind, expected, _ in rows if kind == "both refuse")
    here = collections.Counter(re.sub(r"^.*?\.jinja(:\d+)*: |'\)$", "", got) for rows in results.values() for kind, _, got in rows
                               if kind == "refused here only")
    return raised, here


PAGE = """<!-- Made by `tools/test_peers.sh templates --markdown docs/template-table.md`; do not edit. -->
# Published chat templates, beside jinja2

The chat templates that Python packages carry, each rendered for {conversations} conversations by lorac and by jinja2 {jinja2} as
transformers {transformers} sets it up: with and without a system message, tools (also bare functions), tool calls with arguments
as objects and as strings, tool results, parts, reasoning fields, empty and missing contents, unusual roles, further variables,
with and without the generation prompt.

- *new*: templates that no package above has;
- *equal*: the same text, byte by byte;
- *both refuse*: jinja2 raises an error and lorac exits with code 3; where the template says why, in the same words;
- *refused here only*, *different*: what would be a fault of lorac's.

{table}

What jinja2 raised where both refuse: {raised}.

{here}

## The built-in templates

`--chat-template NAME` beside the published templates above, and beside what llama.cpp writes for the same name, on conversations of
texts by user, assistant and system: how many published ones give the same text for all of them, how many only for those without
or with a system message.

{builtin}
"""


def show_table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print(laid_out(row, widths))


def as_markdown(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_markdown(path, head, rows, raised, here, builtin):
    versions = {name: importlib.metadata.version(name) for name in ("jinja2", "transformers")}
    path.write_text(PAGE.format(
        conversations=len(CONVERSATIONS), **versions, table=as_markdown(head, rows),
        builtin=as_markdown(builtin_templates.HEAD, [builtin_templates.shown(row) for row in builtin]),
        raised=", ".join(f"{name} {count}" for name, count in raised.most_common()),
        here="\n".join(f"- refused here only, {count} times: {reason}" for reason, count in here.most_common())
        or "Nothing is refused here only."))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("paths", type=Path, nargs="*")
    options = parser.parse_args()
    missing = []
    with tempfile.TemporaryDirectory() as folder:
        if options.paths:
            packages = {str(path): sorted(path.rglob("*.jinja")) if path.is_dir() else [path] for path in options.paths}
        else:
            packages, missing = published()
            own = [Path(folder) / f"style-{number}.jinja" for number in range(len(STYLES))]
            for path, style in zip(own, STYLES):
                path.write_text(style)
            packages["make_template_goldens.py"] = own
        paths = {path.read_bytes(): path for files in packages.values() for path in files}
        with multiprocessing.Pool() as pool:
            answers = pool.map(compare, paths.values(), chunksize=8)
        results = {source: rows for source, (rows, _) in zip(paths, answers)}
        builtin = compare_builtin({path.name: plain for path, (_, plain) in zip(paths.values(), answers)})
        for source, rows in results.items():
            report(paths[source], rows)
        head, rows, whole = tabulate(packages, results)
    show_table(head, rows)
    raised, here = reasons(results)
    print(f"{len(CONVERSATIONS)} conversations; jinja2 raised {dict(raised)}")
    show_table(builtin_templates.HEAD, [builtin_templates.shown(row) for row in builtin])
    unproved = [row[0] for row in builtin if not builtin_templates.proved(row)] if not missing and not options.paths else []
    if unproved:
        print("FAIL built-in templates that are as no other:", *unproved)
    for name in missing:
        print(f"SKIPPED: the package {name} cannot be fetched")
    if options.markdown:
        write_markdown(options.markdown, head, rows, raised, here, builtin)
    return 1 if unproved or whole["different"] or whole["refused here only"] or not whole["equal"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
