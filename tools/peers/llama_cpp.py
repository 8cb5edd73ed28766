"""llama.cpp's tokenizer, and lorac's library beside it: many texts through one vocabulary. The former is built by
tools/make_llama_cpp.sh."""

import ctypes
import os
import struct
import subprocess
from pathlib import Path

from peer import CACHE, PROGRAM

PEER = Path(os.environ.get("LLAMA_TOKENIZE", CACHE / "llama.cpp" / "bin" / "llama-tokenize-many"))
VOCABULARIES = CACHE / "llama.cpp" / "vocabularies"


def valid(text):
    return text.decode("utf-8", "replace").encode()


def peer_results(vocabulary, texts, special=False):
    """The ids that end a generation, and for each text: ids, text with special tokens, text without them."""
    flags = 3 if special else 2
    asked = b"".join(struct.pack("<BI", flags, len(text)) + text for text in (text.encode() for text in texts))
    done = subprocess.run([PEER, vocabulary], input=asked, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"llama.cpp refuses {vocabulary}: {done.stderr[-300:].decode()}")
    at = 0

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from("<I", done.stdout, at - 4)[0]

    def numbers():
        nonlocal at
        count = number()
        at += 4 * count
        return list(struct.unpack_from(f"<{count}i", done.stdout, at - 4 * count))

    def text():
        nonlocal at
        count = number()
        at += count
        return valid(done.stdout[at - count : at])

    ends = numbers()
    return ends, [(numbers(), text(), text()) for _ in texts]


class Library:
    """liblorac.so, which lies beside the program."""

    def __init__(self):
        self.lib = ctypes.CDLL(str(Path(PROGRAM).resolve().parent / "liblorac.so"))

    def results(self, vocabulary, texts, special=False):
        """As peer_results, without the ends; or what the library says against the vocabulary."""
        model = ctypes.c_void_p()
        if self.lib.lorac_text_open(ctypes.byref(model), str(vocabulary).encode(), None):
            done = subprocess.run([PROGRAM, "tokenize", "-m", vocabulary, "-p", ""], capture_output=True, text=True)
            raise RuntimeError(done.stderr.strip())
        results = [self.result(model, text.encode(), special) for text in texts]
        self.lib.lorac_text_close(model)
        return results

    def result(self, model, text, special):
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        if self.lib.lorac_text_encode(
            model, text, ctypes.c_size_t(len(text)), int(special), ctypes.byref(ids), ctypes.byref(count)
        ):
            return "encode fails", b"", b""
        out = [ids[: count.value]]
        for skip_special in (0, 1):
            decoded, length = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t()
            if self.lib.lorac_text_decode(
                model, ids, count, skip_special, ctypes.byref(decoded), ctypes.byref(length)
            ):
                out.append(b"decode fails")
                continue
            out.append(decoded[: length.value])
            self.lib.lorac_free(decoded)
        self.lib.lorac_free(ids)
        return tuple(out)


def set_text(data, key, value):
    """A GGUF file's bytes with this string under this key; for files without tensors."""
    name, text = key.encode(), value.encode()
    entry = struct.pack("<Q", len(name)) + name
    new = entry + struct.pack("<IQ", 8, len(text)) + text
    if entry not in data:
        count = struct.unpack_from("<Q", data, 16)[0]
        return data[:16] + struct.pack("<Q", count + 1) + new + data[24:]
    at = data.index(entry)
    old = struct.unpack_from("<Q", data, at + len(entry) + 4)[0]
    return data[:at] + new + data[at + len(entry) + 12 + old :]
