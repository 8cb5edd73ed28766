#!/usr/bin/env python3
"""The built-in chat templates beside published ones of their families: for conversations of texts by user, assistant and, where
the published one takes it, system, both must give the same text. The published templates are those of published_templates.py,
found by the name of their file; transformers' settings, as in check_templates.py.

    tools/test_peers.sh builtin_templates [--search]     --search names every published template that is equal, for each

What llama.cpp knows by a name without a published template among these is compared with llama.cpp's own words in its source."""

import sys

import check_templates
from conversations import assistant, system, user
from peer import attempt, laid_out
from published_templates import published

# Name: the published template, and the tokens of its models.
FAMILIES = {}

TALK = [user("Hi there"), assistant("Hello!"), user("  More?\n"), assistant(" No. "), user("Bye")]
CONVERSATIONS = [(messages[:count], prompt) for messages in (TALK, [system("Be brief."), *TALK]) for count, prompt in
                 ((1, True), (2, False), (3, True), (4, False), (5, True))]


def names():
    """The built-in names, as the program lists them."""
    done = attempt("template", "--chat-template", "no such name", "--messages", "/dev/null")
    return done.stderr.split("built-in ")[1].split(" (")[0].split(")")[0].split(", ")
