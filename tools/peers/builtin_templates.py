"""The built-in chat templates beside published ones and beside llama.cpp, for conversations of texts with and without a system
message. A built-in one is proved when for both kinds some published template, or llama.cpp, gives the same texts."""

import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from conversations import assistant, system, user
from peer import CACHE, ROOT, attempt
from published_templates import download

TALK = [user("Hi there"), assistant("Hello!"), user("  More?\n"), assistant(" No. "), user("Bye")]
ENDS = [(1, True), (2, False), (3, True), (4, False), (5, True), (5, False)]
# [(messages, add_generation_prompt)], without and with a system message.
KINDS = [[(first + TALK[:count], prompt) for count, prompt in ENDS] for first in ([], [system("Be brief.")])]
# What llama.cpp writes out where a template has eos_token. The beginning of a text it leaves to the tokenizer.
ENDS_OF_TURN = {"zephyr": "<|endoftext|>", "deepseek2": "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"}

SOURCE = ("src/llama-chat.cpp", "src/llama-chat.h", "include/llama.h", "ggml/include/")
PROGRAM = """#include "llama-chat.h"
#include "llama.h"
#include <cstdio>
#include <vector>
int main(int, char ** names) {
    static const std::vector<std::vector<llama_chat_message>> talks = {%s};
    static const bool prompts[] = {%s};
    while (*++names) {
        for (size_t i = 0; i < talks.size(); i++) {
            std::vector<const llama_chat_message *> talk;
            std::string out;
            for (auto & message : talks[i]) talk.push_back(&message);
            llm_chat_apply_template(llm_chat_template_from_str(*names), talk, out, prompts[i]);
            fwrite(out.c_str(), 1, out.size() + 1, stdout);
        }
    }
}
"""


def names():
    """The built-in names, as the program lists them for one that is none of them."""
    listed = attempt("template", "--chat-template", "no such template", "--messages", "/dev/null").stderr
    return listed.split("built-in ")[1].split(")")[0].split(", ")


def llama_source():
    """llama.cpp's own chat templates in C++, kept in the cache; None when they cannot be had."""
    folder = CACHE / "templates" / "llama.cpp"
    if folder.exists():
        return folder
    line = (ROOT / "tools" / "llama-cpp-requirements.txt").read_text().strip()
    with tempfile.TemporaryDirectory() as temporary:
        archive = download(line, temporary)
        if not archive:
            return None
        making = folder.with_name("llama.cpp.new")
        shutil.rmtree(making, ignore_errors=True)
        with tarfile.open(archive) as files:
            for member in files:
                name = member.name.partition("/vendor/llama.cpp/")[2]
                if member.isfile() and name.startswith(SOURCE):
                    path = making / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(files.extractfile(member).read())
        making.rename(folder)
    return folder


def quoted(text):
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\{byte:03o}" for c in text for byte in c.encode()) + '"'


def by_llama(wanted):
    """{name: its texts for each of KINDS}, or nothing where llama.cpp or a compiler is missing."""
    folder = llama_source()
    if not folder or not shutil.which("c++"):
        return {}
    talks = [talk for kind in KINDS for talk in kind]
    words = ",".join("{" + ",".join(f"{{{quoted(m['role'])},{quoted(m['content'])}}}" for m in talk) + "}" for talk, _ in talks)
    prompts = ",".join("true" if prompt else "false" for _, prompt in talks)
    with tempfile.TemporaryDirectory() as temporary:
        program, source = Path(temporary) / "chat", Path(temporary) / "chat.cpp"
        source.write_text(PROGRAM % (words, prompts))
        folders = [f"-I{folder / part}" for part in ("src", "include", "ggml/include")]
        subprocess.run(["c++", "-std=c++17", "-O0", *folders, str(source), str(folder / "src" / "llama-chat.cpp"), "-o", str(program)],
                       check=True)
        out = subprocess.run([str(program), *wanted], check=True, capture_output=True).stdout.decode().split("\0")
    parts = [out[i:i + len(ENDS)] for i in range(0, len(out) - 1, len(ENDS))]
    return {name: parts[len(KINDS) * i:len(KINDS) * (i + 1)] for i, name in enumerate(wanted)}


def same(expected, got):
    """Equal wherever the other one does not refuse (None), which must be somewhere."""
    pairs = [(a, b) for a, b in zip(expected, got) if a is not None]
    return bool(pairs) and all(a == b for a, b in pairs)


def compare(render, published):
    """For each name (name, published templates that are equal for each of KINDS, whether llama.cpp is). `render` of a name, messages,
    prompt, bos and eos gives lorac's text; `published` is {template: its texts for each of KINDS, with <s> and </s>}."""
    rows, wanted = [], names()
    llama = by_llama(wanted)
    for name in wanted:
        mine = [[render(name, talk, prompt, "<s>", "</s>") for talk, prompt in kind] for kind in KINDS]
        equal = [[other for other, texts in published.items() if same(texts[i], mine[i])] for i in range(len(KINDS))]
        eos = ENDS_OF_TURN.get(name, "</s>")
        mine = [[render(name, talk, prompt, "<s>", eos).removeprefix("<s>") for talk, prompt in kind] for kind in KINDS]
        theirs = [[text.removeprefix("<s>") for text in kind] for kind in llama.get(name, [[], []])]
        rows.append((name, equal, [same(theirs[i], mine[i]) for i in range(len(KINDS))]))
    return rows


def proved(row):
    _, equal, llama = row
    return all(published or by_llama for published, by_llama in zip(equal, llama))


def shown(row):
    """Name; published templates equal with and without system message, only without, only with; what llama.cpp is equal in."""
    name, (without, with_system), llama = row
    both = [other for other in without if other in with_system]
    words = {(True, True): "equal", (True, False): "equal without a system message", (False, True): "equal with a system message",
             (False, False): "other"}
    return [name, str(len(both)), str(len(without) - len(both)), str(len(with_system) - len(both)), words[tuple(llama)]]


HEAD = ["name", "published: equal", "without a system message", "with one", "llama.cpp"]
