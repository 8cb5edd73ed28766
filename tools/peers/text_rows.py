"""What lorac makes of texts: ids, offsets and decoded text, through the shared library beside the program."""

import ctypes
import sys
import time
from pathlib import Path

import numpy

from peer import PROGRAM, SKIPPED

LIBRARY = Path(PROGRAM).parent / "liblorac.so"


class Tokens(ctypes.Structure):
    _fields_ = [("ids", ctypes.POINTER(ctypes.c_int32)), ("begin", ctypes.POINTER(ctypes.c_uint32)), ("end", ctypes.POINTER(ctypes.c_uint32)),
                ("types", ctypes.POINTER(ctypes.c_uint8)), ("special", ctypes.POINTER(ctypes.c_uint8)), ("count", ctypes.c_size_t)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char_p)]


def library():
    if not LIBRARY.exists():
        print(f"not compared: {LIBRARY} is not there (cmake --build build --target lorac-shared)")
        sys.exit(SKIPPED)
    lorac = ctypes.CDLL(str(LIBRARY))
    lorac.lorac_last_error.restype = ctypes.POINTER(Error)
    lorac.lorac_text_tokens.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int,
                                        ctypes.POINTER(Tokens)]
    lorac.lorac_text_decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p),
                                        ctypes.POINTER(ctypes.c_size_t)]
    lorac.lorac_free.argtypes = [ctypes.c_void_p]
    lorac.lorac_text_close.argtypes = [ctypes.c_void_p]
    return lorac


class Text:
    """A tokenizer of lorac's."""

    def __init__(self, path):
        self.lorac, self.handle, self.seconds = library(), ctypes.c_void_p(), 0
        self.check(self.lorac.lorac_text_open(ctypes.byref(self.handle), str(path).encode(), None))

    def __del__(self):
        self.lorac.lorac_text_close(self.handle)

    def check(self, status):
        if status:
            raise RuntimeError(self.lorac.lorac_last_error().contents.message.decode())

    def encode(self, text, special=True, pair=None):
        """Five columns: ids, begins, ends, types, special. `seconds` counts the time of all calls."""
        tokens = Tokens()
        start = time.perf_counter()
        status = self.lorac.lorac_text_tokens(self.handle, text, len(text), pair, len(pair or b""), special, ctypes.byref(tokens))
        self.seconds += time.perf_counter() - start
        self.check(status)
        names = ("ids", "begin", "end", "types", "special") if tokens.count else ()
        columns = [numpy.ctypeslib.as_array(getattr(tokens, name), (tokens.count,)).copy() for name in names]
        self.lorac.lorac_tokens_free(ctypes.byref(tokens))
        return columns or [numpy.zeros(0, dtype=int)] * 5

    def decode(self, ids, skip_special=False):
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        ids = numpy.ascontiguousarray(ids, dtype=numpy.int32)
        self.check(self.lorac.lorac_text_decode(self.handle, ids.ctypes.data, len(ids), skip_special, ctypes.byref(text), ctypes.byref(length)))
        decoded = ctypes.string_at(text, length.value)
        self.lorac.lorac_free(text)
        return decoded


def byte_begins(text):
    """For each character of the text, and its end, the byte it begins at."""
    if text.isascii():
        return numpy.arange(len(text) + 1)
    return numpy.concatenate([[0], numpy.cumsum([len(character.encode()) for character in text], dtype=numpy.int64)])
