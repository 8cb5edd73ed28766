#!/usr/bin/env python3
"""Writes examples/requests/{train,valid,test}.jsonl: household requests in plain English and the one line of JSON
that stands for each.

    python3 tools/make_example_data.py [FOLDER]

Every answer has the keys intent, device, room and value, in this order:
    on, off   value is null             set, timer   value is the number (degrees or percent; minutes)
    repair    value is the first name of the person who reports it
Devices and rooms are asked for by several words but answered by one. The three files share these words and no wording:
a sentence pattern belongs to one file only. The same arguments give the same bytes with any Python 3.
"""

import json
import sys
from pathlib import Path
from random import Random

DEVICES = {
    "lamp": ["lamp", "light"],
    "fan": ["fan", "ceiling fan"],
    "heater": ["heater", "radiator", "heating"],
    "tv": ["TV", "telly", "television"],
    "speaker": ["speaker", "music player"],
    "blind": ["blind", "shade"],
    "washer": ["washer", "washing machine"],
    "fridge": ["fridge", "refrigerator"],
    "oven": ["oven", "stove"],
    "sprinkler": ["sprinkler", "lawn sprinkler"],
}
ROOMS = {
    "kitchen": ["kitchen"],
    "bedroom": ["bedroom"],
    "bathroom": ["bathroom", "bath"],
    "office": ["office", "study"],
    "hallway": ["hallway", "hall"],
    "garage": ["garage"],
    "nursery": ["nursery", "baby's room"],
    "living_room": ["living room", "lounge"],
    "garden": ["garden", "yard"],
}
# Which rooms a device stands in, so that the requests make sense.
INDOORS = ["kitchen", "bedroom", "bathroom", "office", "hallway", "garage", "nursery", "living_room"]
PLACES = {
    "sprinkler": ["garden"],
    "oven": ["kitchen"],
    "fridge": ["kitchen", "garage", "office"],
    "washer": ["bathroom", "garage", "kitchen"],
}
NAMES = """Ada Amir Anna Ben Carla Chen Clara David Elif Emma Farid Grace Hana Hugo Ines Ivan Jonas Julia Kofi Lena Leo
Lucia Marta Mei Milan Nadia Nils Noor Omar Oscar Paula Pedro Priya Rosa Samir Sara Tara Tomas Vera Yusuf""".split()

NO_PLURAL = {"blind", "shades", "lights"}  # words for which "the ... is" would be wrong

# intent -> (devices, values, patterns of train, of valid, of test). {D} device, {R} room, {V} value.
SWITCHED = ["lamp", "fan", "heater", "tv", "speaker", "sprinkler", "oven"]
INTENTS = {
    "on": (
        SWITCHED,
        None,
        [
            "Turn on the {R} {D}.",
            "Please turn the {D} in the {R} on.",
            "Switch on the {D} in the {R}.",
            "Could you switch the {R} {D} on?",
            "I need the {D} on in the {R}.",
            "Can you start the {D} in the {R}, please?",
            "Start the {R} {D} now.",
            "I would like the {R} {D} to be on.",
            "Hey, put the {D} on in the {R}.",
            "Please get the {R} {D} going.",
            "In the {R}, turn on the {D}.",
            "We are going to the {R}, have the {D} on.",
            "Power up the {D} in the {R}.",
            "The {R} {D} should be on now, please.",
        ],
        ["Would you please turn on the {D} in the {R}?", "Let's have the {R} {D} on."],
        [
            "Would you mind turning the {R} {D} on?",
            "{R}: {D} on, please.",
            "Make sure that the {D} in the {R} is on.",
            "I am in the {R}, please switch the {D} on for me.",
            "Can we have the {D} on in the {R}?",
        ],
    ),
    "off": (
        SWITCHED,
        None,
        [
            "Turn off the {R} {D}.",
            "Please turn the {D} in the {R} off.",
            "Switch off the {D} in the {R}.",
            "Could you switch the {R} {D} off?",
            "I don't need the {D} on in the {R} any more.",
            "Can you stop the {D} in the {R}, please?",
            "Stop the {R} {D} now.",
            "I would like the {R} {D} to be off.",
            "Nobody is in the {R}, so turn the {D} off.",
            "Please shut off the {R} {D}.",
            "In the {R}, turn off the {D}.",
            "We are leaving the {R}, have the {D} off.",
            "Power down the {D} in the {R}.",
            "The {R} {D} should be off now, please.",
        ],
        ["Would you please turn off the {D} in the {R}?", "Let's have the {R} {D} off."],
        [
            "Would you mind turning the {R} {D} off?",
            "{R}: {D} off, please.",
            "Make sure that the {D} in the {R} is off.",
            "I am done in the {R}, please switch the {D} off for me.",
            "Everybody left the {R}, please stop the {D} there.",
        ],
    ),
    "set": (
        ["lamp", "heater", "blind", "speaker", "tv", "oven", "fridge"],
        "level",
        [
            "Set the {R} {D} to {V}{U}.",
            "Please set the {D} in the {R} to {V}{U}.",
            "Change the {D} in the {R} to {V}{U}.",
            "Could you put the {R} {D} at {V}{U}?",
            "I want the {D} at {V}{U} in the {R}.",
            "Can you bring the {R} {D} to {V}{U}, please?",
            "{V}{U} for the {D} in the {R}, please.",
            "Adjust the {R} {D} to {V}{U}.",
            "Make the {D} in the {R} {V}{U}.",
            "In the {R}, set the {D} to {V}{U}.",
            "Turn the {R} {D} to {V}{U}.",
            "Move the {D} in the {R} to {V}{U}.",
            "The {R} {D} should be at {V}{U}.",
            "I would like {V}{U} on the {R} {D}.",
        ],
        ["Would you please set the {D} to {V}{U} in the {R}?", "Let's have the {R} {D} at {V}{U}."],
        [
            "Would you mind setting the {R} {D} to {V}{U}?",
            "{R}: {D} to {V}{U}, please.",
            "Make sure that the {D} in the {R} is set to {V}{U}.",
            "Please adjust the {D} to {V}{U}, the one in the {R}.",
            "I think {V}{U} would be right for the {D} in the {R}.",
        ],
    ),
    "timer": (
        ["washer", "sprinkler", "fan", "oven", "heater", "speaker", "lamp"],
        "minutes",
        [
            "Run the {R} {D} for {V} minutes.",
            "Please run the {D} in the {R} for {V} minutes.",
            "Keep the {D} in the {R} on for {V} minutes.",
            "Could you leave the {R} {D} on for {V} minutes?",
            "Give the {R} {D} {V} minutes.",
            "Can you run the {D} {V} minutes in the {R}, please?",
            "{V} minutes for the {D} in the {R}, please.",
            "Let the {R} {D} run for {V} minutes.",
            "Start the {D} in the {R} for {V} minutes.",
            "In the {R}, run the {D} for {V} min.",
            "I need the {R} {D} for {V} min.",
            "Stop the {D} in the {R} after {V} minutes.",
            "Set a timer of {V} minutes for the {R} {D}.",
            "The {R} {D} should go off in {V} minutes.",
        ],
        ["Would you please run the {R} {D} for {V} min?", "Let's have the {D} in the {R} on for {V} minutes."],
        [
            "Would you mind running the {R} {D} for {V} minutes?",
            "{R}: {D} for {V} minutes, please.",
            "Make sure that the {D} in the {R} runs for {V} minutes.",
            "The {D} in the {R} can run for another {V} minutes.",
            "Put a {V} minute timer on the {R} {D}.",
        ],
    ),
    "repair": (
        list(DEVICES),
        "name",
        [
            "The {R} {D} is broken, says {V}.",
            "This is {V}. The {D} in the {R} does not work.",
            "Hello, {V} here, the {R} {D} stopped working.",
            "My name is {V} and the {D} in the {R} is broken.",
            "{V} says that the {R} {D} makes a strange noise.",
            "The {D} in the {R} needs a repair. Call {V}.",
            "Please send somebody to fix the {R} {D}. {V}",
            "Can somebody repair the {D} in the {R}? Ask for {V}.",
            "{V} reports that the {R} {D} does nothing at all.",
            "I'm {V}, and the {D} in the {R} smells of smoke.",
            "Something is wrong with the {R} {D}, please call {V}.",
            "The {R} {D} has failed again. Thanks, {V}",
            "Hi, it's {V}, our {D} in the {R} is not working.",
            "{V} wants the {R} {D} fixed.",
        ],
        ["{V} tells us that the {D} in the {R} is dead.", "We have a broken {D} in the {R}. Regards, {V}"],
        [
            "Good morning, {V} speaking. The {R} {D} is not working any more.",
            "The {D} in the {R} has stopped working, please call {V} back.",
            "{V} needs somebody to fix the {D} in the {R}.",
            "There is a problem with the {D} in the {R}, my name is {V}.",
            "Could you repair the {R} {D}? {V} is waiting for it.",
        ],
    ),
}
COUNTS = {"train": 400, "valid": 50, "test": 100}


def level_of(device, random):
    """A sensible number and its unit for what is set."""
    if device == "oven":
        return pick(random, range(120, 250, 10)), " degrees"
    if device == "heater":
        return pick(random, range(15, 27)), " degrees"
    if device == "fridge":
        return pick(random, range(2, 9)), " degrees"
    return pick(random, range(5, 100, 5)), " percent"


def pick(random, choices):
    return choices[int(random.random() * len(choices))]


def make_row(random, intent, pattern):
    devices, kind, *_ = INTENTS[intent]
    device = pick(random, devices)
    room = pick(random, PLACES.get(device, INDOORS))
    unit = ""
    value = None
    if kind == "level":
        value, unit = level_of(device, random)
    elif kind == "minutes":
        value = pick(random, range(5, 91))
    elif kind == "name":
        value = pick(random, NAMES)
    text = pattern.format(D=pick(random, DEVICES[device]), R=pick(random, ROOMS[room]), V=value, U=unit)
    answer = {"intent": intent, "device": device, "room": room, "value": value}
    return {
        "messages": [
            {"role": "user", "content": text[0].upper() + text[1:]},
            {"role": "assistant", "content": json.dumps(answer, separators=(",", ":"))},
        ]
    }


def make_split(which, count, seen):
    """Takes the patterns in turn, so that every one of them occurs; `seen` keeps a request from occurring twice."""
    random = Random(which)
    column = 2 + list(COUNTS).index(which)
    patterns = [(intent, pattern) for intent, row in INTENTS.items() for pattern in row[column]]
    rows = []
    while len(rows) < count:
        row = make_row(random, *patterns[len(rows) % len(patterns)])
        request = row["messages"][0]["content"]
        if request not in seen:
            seen.add(request)
            rows.append(row)
    for i in range(count - 1, 0, -1):  # Fisher-Yates
        j = int(random.random() * (i + 1))
        rows[i], rows[j] = rows[j], rows[i]
    return rows


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "examples" / "requests")
    every = [p for row in INTENTS.values() for patterns in row[2:] for p in patterns]
    assert len(set(every)) == len(every), "a pattern belongs to one file only"
    folder.mkdir(parents=True, exist_ok=True)
    seen = set()
    for which, count in COUNTS.items():
        with open(folder / f"{which}.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for row in make_split(which, count, seen):
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
