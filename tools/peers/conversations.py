"""Conversations of every shape, for whoever compares chat templates: what roles, contents, tools and variables there can be."""

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather <now> & \"later\"",
        "parameters": {"type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "The city"}, "days": {"type": ["integer", "null"]},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
            "more": {"type": "object", "properties": {"list": {"type": "array", "items": {"type": "number"}}}}}},
        "return": {"type": "string", "description": "text"}}},
    {"type": "function", "function": {"name": "nothing", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
PLAIN_TOOLS = [tool["function"] for tool in TOOLS]
DOCUMENTS = [{"title": "One", "text": "First\ntext.", "content": "First\ntext."}, {"title": "Zwei", "text": "Ä", "content": "Ä", "doc_id": 2}]
ARGUMENTS = {"city": "Åre", "days": 2, "x": 1.5, "ok": True, "n": None, "l": [1, "a"], "big": 12345678901, "d": {"k": "v"}}


def user(content, **more):
    return {"role": "user", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(arguments, name="get_weather", number="call00001"):
    return {"type": "function", "id": number, "function": {"name": name, "arguments": arguments}}


def result(content, **more):
    return {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": content, **more}


def part(text):
    return [{"type": "text", "text": text}]


CALL = call(ARGUMENTS)
SHORT = [system("Be brief."), user("Hi"), assistant("Hello!"), user("More?"), assistant("No.")]
ASKED = [user("w?"), assistant("", tool_calls=[CALL]), result("sunny"), assistant("It is sunny.")]
THOUGHT = [user("think"), assistant("fine", reasoning_content="hm\n"), user("again"), assistant("y", reasoning_content="deep")]

# (messages, tools, add_generation_prompt, further variables)
CONVERSATIONS = [(messages, tools, prompt, more[0] if more else {}) for messages, tools, prompt, *more in [
    # turns
    ([user("Hi")], None, False),
    ([user("Hi")], None, True),
    (SHORT, None, False),
    (SHORT[:-1], None, True),
    (SHORT[1:], None, False),
    ([system("s")], None, True),
    ([system("s"), user("u"), assistant(""), user("u2"), assistant("a2", tool_calls=[])], None, False),
    ([user("a"), user("b")], None, False),
    ([assistant("a"), user("b")], None, False),
    ([user("a"), assistant("b"), system("late"), user("c")], None, True),
    ([{"role": "developer", "content": "d"}, user("x"), assistant("y")], None, True),
    ([{"role": "ipython", "content": "d"}, {"role": "nobody", "content": "d"}], None, True),
    ([], None, True),
    ([user(f"u{i}") if i % 2 == 0 else assistant(f"a{i}") for i in range(12)], None, False),
    # texts
    ([user("  spaced \n"), assistant("\n\nanswer\n "), user("é😀 <|im_end|>"), assistant("ok")], None, False),
    ([user("\u3000wide\u00a0\u2028 'q' \"d\" \\n {{ x }} {% if %}"), assistant("\ttab\r\n<b>&amp;</b>\x7f")], None, True),
    ([system(""), user(""), assistant("")], None, False),
    ([system(" \n "), user("日本語"), assistant("한국어\n\n"), user("العربية")], None, True),
    # contents that are not texts
    ([user(part("part one")), assistant(part("part two"))], None, False),
    ([system(part("sys")), user(part("part one") + [{"type": "image"}]), assistant(part("part two"))], None, True),
    ([user([{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "what"}]), assistant("x")], None, False),
    ([user([{"type": "video", "video": "v"}, {"type": "audio", "audio": "a"}] + part("t")), assistant("x")], None, True),
    ([user(None), assistant(None)], None, False),
    ([user("x", name="Ann"), {"role": "assistant"}], None, True),
    ([user(3), assistant(True)], None, False),
    # tools
    ([system("s"), user("w?")], TOOLS, True),
    ([user("w?")], TOOLS, True),
    ([user("w?")], PLAIN_TOOLS, True),
    ([user("w?")], [], True),
    (ASKED, TOOLS, False),
    ([system("s"), *ASKED, user("and?")], TOOLS, True),
    (ASKED, None, False),
    ([user("w?"), assistant(None, tool_calls=[CALL, CALL]), result("{\"t\": 1}"), result("b")], TOOLS, True),
    ([user("w?"), assistant("calling", tool_calls=[call("{\"city\": \"Oslo\"}")]), result("r")], TOOLS, False),
    ([user("w?"), assistant("calling", tool_calls=[{"function": {"name": "nothing", "arguments": "{}"}}]), result("r")], TOOLS, False),
    ([user("w?"), assistant("", tool_calls=[{"name": "nothing", "arguments": {}, "id": "123456789"}]), result({"k": [1.0, None]})], TOOLS, True),
    ([user("w?"), assistant("", tool_calls=[CALL]), result(part("one") + part("two")), user("so?")], TOOLS, True),
    ([user("w?"), {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "bare"}], TOOLS, True),
    # reasoning
    ([user("think"), assistant("<think>\nhm\n</think>\n\nfine"), user("again"), assistant("<think>x</think>y")], None, False),
    (THOUGHT, None, False),
    (THOUGHT[:-1], None, True),
    ([user("think"), assistant("fine", thinking="hm"), user("again")], None, True),
    ([user("think"), assistant("fine", reasoning="hm"), user("again")], None, True),
    ([user("w?"), assistant("", reasoning_content="look", tool_calls=[CALL]), result("sunny"), assistant("It is.", reasoning_content="so")],
     TOOLS, False),
    # further variables
    ([user("Hi")], None, True, {"enable_thinking": False}),
    (THOUGHT, None, True, {"enable_thinking": True, "thinking": True, "keep_past_thinking": True, "reasoning_effort": "low"}),
    (SHORT, None, True, {"thinking": False, "reasoning_effort": "high", "date_string": "01 Jan 2026", "model_identity": "I am."}),
    ([user("Ask")], None, True, {"documents": DOCUMENTS}),
    ([system("s"), user("Ask")], TOOLS, True, {"documents": DOCUMENTS, "controls": {"length": "long"}, "tools_in_user_message": False}),
    (ASKED, TOOLS, True, {"parallel_tool_calls": False, "xml_tools": PLAIN_TOOLS, "preserve_thinking": True, "bos_token": "<x>"}),
]]
