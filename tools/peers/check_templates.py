#!/usr/bin/env python3
"""Published chat templates, rendered by lorac and by jinja2 as transformers sets it up, over conversations of every shape.

    check_templates.py [FOLDER or FILE.jinja]...

Without arguments: the templates that the TRL package carries (fetched with pip into the cache, nothing of it is kept in the
repository) and the small ones of tools/make_template_goldens.py.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from transformers.utils import chat_template_utils

from make_template_goldens import STYLES, Midnight
from peer import CACHE, PROGRAM

TRL = "1.16.0"

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather <now> & \"later\"",
        "parameters": {"type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "The city"}, "days": {"type": ["integer", "null"]},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "more": {"type": "object", "properties": {"list": {"type": "array", "items": {"type": "number"}}}}}},
        "return": {"type": "string", "description": "text"}}},
    {"type": "function", "function": {"name": "nothing", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
CALL = {"type": "function", "id": "call00001", "function": {
    "name": "get_weather", "arguments": {"city": "Åre", "days": 2, "x": 1.5, "ok": True, "n": None, "l": [1, "a"]}}}


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def result(content):
    return {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": content}


def part(text):
    return [{"type": "text", "text": text}]


# (messages, tools, add_generation_prompt)
CONVERSATIONS = [
    ([user("Hi")], None, False),
    ([user("Hi")], None, True),
    ([system("Be brief."), user("Hi"), assistant("Hello!"), user("More?"), assistant("No.")], None, False),
    ([system("Be brief."), user("Hi"), assistant("Hello!"), user("More?")], None, True),
    ([user("  spaced \n"), assistant("\n\nanswer\n "), user("é😀 <|im_end|>"), assistant("ok")], None, False),
    ([user(part("part one")), assistant(part("part two"))], None, False),
    ([system(part("sys")), user(part("part one") + [{"type": "image"}]), assistant(part("part two"))], None, True),
    ([user("w?"), assistant("", tool_calls=[CALL]), result("sunny"), assistant("It is sunny.")], TOOLS, False),
    ([user("w?"), assistant(None, tool_calls=[CALL, CALL]), result("{\"t\": 1}"), result("b")], TOOLS, True),
    ([system("s"), user("w?")], TOOLS, True),
    ([user("think"), assistant("<think>\nhm\n</think>\n\nfine"), user("again"), assistant("<think>x</think>y")], None, False),
    ([user("think"), assistant("fine", reasoning_content="hm"), user("again"), assistant("y", reasoning_content="deep")], None, False),
    ([user("think"), assistant("fine", thinking="hm"), user("again")], None, True),
    ([user("think"), assistant("fine", reasoning="hm"), user("again")], None, True),
    ([user("a"), user("b")], None, False),
    ([assistant("a"), user("b")], None, False),
    ([{"role": "developer", "content": "d"}, user("x"), assistant("y")], None, True),
    ([user("w?"), assistant("calling", tool_calls=[{"function": {"name": "nothing", "arguments": "{}"}}]), result("r")], TOOLS, False),
    ([system("s"), user("u"), assistant(""), user("u2"), assistant("a2", tool_calls=[])], None, False),
    ([user([{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "what"}]), assistant("x")], None, False),
]


def published():
    """The folder of TRL's templates, or nothing when it cannot be fetched."""
    folder = CACHE / f"trl-{TRL}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as temporary:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", temporary, f"trl=={TRL}"]
            subprocess.run(command, capture_output=True)
            for wheel in Path(temporary).glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".jinja")])
    return sorted(folder.rglob("*.jinja"))


def by_jinja(source, messages, tools, prompt):
    """The text, or the exception: whatever jinja2, the sandbox or Python raises."""
    try:
        template = chat_template_utils._compile_jinja_template(source)
        return template.render(messages=chat_template_utils._alias_reasoning_fields(messages), tools=tools, documents=None,
                               add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")
    except Exception as error:
        return error


def by_lorac(file, messages, tools, prompt, folder):
    path = Path(folder) / "messages.json"
    path.write_text(json.dumps({"messages": messages, "tools": tools} if tools else {"messages": messages}))
    command = [PROGRAM, "template", "--chat-template", str(file), "--messages", str(path), "--bos", "<s>", "--eos", "</s>",
               "--date", "2026-03-04"] + (["--add-generation-prompt"] if prompt else [])
    done = subprocess.run(command, capture_output=True)
    if done.returncode not in (0, 3):
        sys.exit(f"FAIL {' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode()}")
    return done.stdout.decode() if done.returncode == 0 else RuntimeError(done.stderr.decode().strip())


def check(file, folder, counts):
    source = file.read_bytes().decode()
    for number, (messages, tools, prompt) in enumerate(CONVERSATIONS):
        expected, got = by_jinja(source, messages, tools, prompt), by_lorac(file, messages, tools, prompt, folder)
        both_refuse = isinstance(expected, Exception) and isinstance(got, Exception)
        kind = "refused by both" if both_refuse else "equal" if expected == got else "different"
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "different":
            print(f"FAIL {file.name}, conversation {number}\n  jinja2: {expected!r}\n  lorac:  {got!r}")


def main():
    given = [Path(argument) for argument in sys.argv[1:]]
    files = [file for path in given for file in (sorted(path.rglob("*.jinja")) if path.is_dir() else [path])] or published()
    chat_template_utils.datetime = Midnight
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, style in enumerate([] if given else STYLES):
            path = Path(folder) / f"style-{number}.jinja"
            path.write_text(style)
            files.append(path)
        for file in files:
            check(file, folder, counts)
    print(f"{len(files)} templates, {len(CONVERSATIONS)} conversations:", counts)
    sys.exit(1 if counts.get("different") or not counts.get("equal") else 0)


if __name__ == "__main__":
    main()
