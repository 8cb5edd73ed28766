#!/usr/bin/env python3
"""Conversations a second that a chat template renders, on one thread, parsed once: lorac beside jinja2 as transformers sets it up. A
plain ChatML template, and published ones; a conversation of four messages, and one with tools and calls. Processor time, the better
of three rounds in turns. The texts are compared too.

    bench/run.sh templates.py
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from programs import HERE, PYTHON, machine

ROOT = HERE.parent
BUILD = ROOT / "build"
PUBLISHED = ["Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct", "openai-gpt-oss-120b"]
SECONDS, ROUNDS = 0.5, 3


def conversations():
    from conversations import ASKED, TOOLS, assistant, system, user

    talk = [system("You are a kind and helpful assistant. Answer in one or two sentences."),
            user("How long does it take the light of the sun to reach the earth?"),
            assistant("About eight minutes and twenty seconds: the way is some 150 million kilometres."),
            user("And the light of the moon?")]
    return {"four messages": (talk, None), "tools and calls": ([talk[0], *ASKED], TOOLS)}


def templates(folder):
    from make_template_goldens import STYLES
    from published_templates import published

    path = Path(folder) / "ChatML.jinja"
    path.write_text(STYLES[0])
    found = {file.stem: file for files in published()[0].values() for file in files}
    return {"ChatML": path} | {name: found[name] for name in PUBLISHED if name in found}


def by_jinja(template, messages, tools):
    """(conversations a second, bytes)"""
    count, begin, used = 0, time.process_time(), 0
    while used < SECONDS:
        for _ in range(20):
            text = template.render(messages=messages, tools=tools, documents=None, add_generation_prompt=True, bos_token="<s>",
                                   eos_token="</s>")
        count += 20
        used = time.process_time() - begin
    return count / used, len(text.encode())


def by_lorac(file, conversation):
    done = subprocess.run([BUILD / "bench" / "bench_templates", file, conversation, str(SECONDS)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    speed, size = done.stdout.split()
    return float(speed), int(size)


def measure(name, file, what, messages, tools, folder):
    from transformers.utils import chat_template_utils

    conversation = Path(folder) / "conversation.json"
    conversation.write_text(json.dumps({"messages": messages, "tools": tools}))
    template = chat_template_utils._compile_jinja_template(file.read_bytes().decode())
    best = {}
    for _ in range(ROUNDS):
        for peer, (speed, size) in (("lorac", by_lorac(file, conversation)), ("jinja2", by_jinja(template, messages, tools))):
            best[peer] = max(best.get(peer, (0, 0)), (speed, size))
    (ours, size), (theirs, other) = best["lorac"], best["jinja2"]
    note = "" if size == other else f"   DIFFERENT: {other} bytes"
    print(f"{name:34} {what:16} {size:5} bytes   lorac {ours:8.0f}/s   jinja2 {theirs:7.0f}/s   {ours / theirs:5.1f} x{note}", flush=True)


def main():
    if Path(sys.executable).resolve() != PYTHON.resolve() or sys.prefix == sys.base_prefix:
        subprocess.run(["cmake", "--build", str(BUILD), "--target", "bench_templates"], check=True, stdout=subprocess.DEVNULL)
        sys.exit(subprocess.run([PYTHON, "-W", "ignore", *sys.argv], check=False).returncode)
    from make_template_goldens import Midnight
    from transformers.utils import chat_template_utils

    chat_template_utils.datetime = Midnight
    print(f"{machine()['cpu']}, one thread")
    with tempfile.TemporaryDirectory() as folder:
        for name, file in templates(folder).items():
            for what, (messages, tools) in conversations().items():
                if name != "ChatML" or tools is None:
                    measure(name, file, what, messages, tools, folder)


if __name__ == "__main__":
    main()
