#!/usr/bin/env python3
# Makes the chat template vectors: conversations, and what jinja2 as transformers configures it makes of them.
#
#   python3 tests/oracle/templates_make.py                       writes tests/golden/templates/{conversations.json,expected.jsonl}
#   python3 tests/oracle/templates_make.py --check PROGRAM PATH... compares render_template with jinja2 on other templates
#                                                                 (.jinja files, folders of them, or .gguf files)
# Needs: transformers 5.x, jinja2 >= 3.1.6 (and gguf for .gguf files).
import glob
import json
import os
import subprocess
import sys
from datetime import datetime, timezone

import transformers.utils.chat_template_utils as chat_template_utils

NOW = 1718450123  # what strftime_now sees
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "templates")


def compile_template(source):
    template = chat_template_utils._cached_compile_jinja_template(source)
    template.environment.globals["strftime_now"] = lambda f: datetime.fromtimestamp(NOW, timezone.utc).replace(tzinfo=None).strftime(f)
    return template


def expected(template, context):
    try:
        return {"text": template.render(**context)}
    except Exception as error:  # noqa: BLE001: any failure of the reference is a failure
        return {"error": f"{type(error).__name__}: {error}"}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place, in °C or \"F\".",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "City & country"},
                "unit": {"type": "string", "enum": ["c", "f"]},
                "days": {"type": "integer", "minimum": 1, "default": 1.5},
            },
            "required": ["place"],
        },
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "",
        "parameters": {"type": "object", "properties": {"q": {"type": ["string", "null"]}}, "required": []},
        "return": {"type": "string"},
    },
}
FLAT = {"name": "flat_tool", "description": "A tool without the function wrapper", "parameters": {"type": "object", "properties": {}}}


def user(content="Hi"):
    return {"role": "user", "content": content}


def assistant(content="Hello!", **more):
    return {"role": "assistant", "content": content, **more}


def system(content="You are terse."):
    return {"role": "system", "content": content}


def call(name="get_weather", arguments=None, **more):
    return {"type": "function", "function": {"name": name, "arguments": {"place": "Köln"} if arguments is None else arguments}, **more}


def conversations():
    odd = "a {{ b }} {% c %} {# d #} \\n \t ‘q’ \"x\" '<y>' & </s> 日本 🎉 e\u0301 \u200b\r\nend "
    result = {"role": "tool", "name": "get_weather", "content": "{\"t\": 21.5}", "tool_call_id": "abcdefgh1"}
    ipython = {"role": "ipython", "content": {"t": 21.5, "ok": True, "none": None}}
    with_id = call(id="abcdefgh1")
    thinking = "<think>\nfirst\nsecond\n</think>\n\nThe answer."
    turns = [user("One?"), assistant("1"), user("Two?"), assistant("2"), user("Three?")]
    parts = [{"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "what?"}]
    base = {
        "user": [user()],
        "system_user": [system(), user()],
        "turns": turns,
        "system_turns": [system("  padded \n"), *turns],
        "answered": turns[:4],
        "two_systems": [system(), system("again"), user()],
        "late_system": [user(), system(), user()],
        "user_user": [user("a"), user("b")],
        "assistant_first": [assistant(), user()],
        "assistant_last": [user(), assistant("I thi")],
        "empty": [],
        "empty_content": [system(""), user(""), assistant(""), user("")],
        "spaces": [system("  "), user("\n\n a \n"), assistant("\t b"), user(" ")],
        "odd": [system(odd), user(odd), assistant(odd), user(odd)],
        "null_content": [user(None), assistant(None), user("x")],
        "missing_content": [{"role": "user"}],
        "missing_role": [{"content": "x"}],
        "odd_role": [{"role": "critic", "content": "bad"}, user()],
        "developer": [{"role": "developer", "content": "Rules."}, user()],
        "number_content": [user(42), assistant(4.0), user(True)],
        "parts": [user(parts), assistant("A cat."), user([{"type": "text", "text": "sure?"}])],
        "system_parts": [system([{"type": "text", "text": "S"}]), user([{"type": "text", "text": "U"}])],
        "thinking": [user(), assistant(thinking), user("and?"), assistant("<think>\n\n</think>\n\nyes"), user("so?")],
        "reasoning": [user(), assistant("42", reasoning_content="Let me think.\n"), user("why?"), assistant("because", reasoning_content="")],
        "reasoning_last": [user(), assistant("42", reasoning_content="hm"), user("go on"), assistant("x", reasoning="r", thinking="t")],
        "tool_call": [user("Weather?"), assistant("", tool_calls=[with_id])],
        "tool_result": [user("Weather?"), assistant("", tool_calls=[with_id]), result, assistant("21.5 °C"), user("Thanks")],
        "tool_null": [user("Weather?"), assistant(None, tool_calls=[with_id]), result],
        "tool_missing": [user("Weather?"), {"role": "assistant", "tool_calls": [with_id]}, result],
        "tool_text": [system(), user("Weather?"), assistant("Let me see.", tool_calls=[with_id]), result],
        "two_calls": [user("W?"), assistant("", tool_calls=[with_id, call("search", {"q": "a\"b"}, id="abcdefgh2")]), result,
                      {**result, "content": "none", "tool_call_id": "abcdefgh2"}, user("ok")],
        "string_arguments": [user(), assistant("", tool_calls=[call(arguments="{\"place\": \"Bonn\"}", id="abcdefgh1")]), result],
        "flat_call": [user(), assistant("", tool_calls=[{"name": "search", "arguments": {"q": None}}]), result],
        "no_calls": [user(), assistant("x", tool_calls=[]), user("y")],
        "null_calls": [user(), assistant("x", tool_calls=None), user("y")],
        "ipython": [user(), assistant("", tool_calls=[with_id]), ipython],
        "tool_dict": [user(), assistant("", tool_calls=[with_id]), {"role": "tool", "content": {"deep": [1, 2.0, {"é": None}]}}],
        "prefix": [user(), assistant("The", prefix=True)],
    }
    out = []
    for name, messages in base.items():
        for prompt in (True, False):
            out.append((f"{name}{'+' if prompt else '-'}", {"messages": messages, "add_generation_prompt": prompt}))
    tooled = ["user", "system_turns", "tool_call", "tool_result", "two_calls", "tool_text", "string_arguments", "ipython", "odd", "empty", "parts"]
    for name in tooled:
        out.append((f"{name}+tools", {"messages": base[name], "add_generation_prompt": True, "tools": [WEATHER, SEARCH]}))
    out.append(("flat_tools", {"messages": base["user"], "add_generation_prompt": True, "tools": [FLAT]}))
    out.append(("empty_tools", {"messages": base["user"], "add_generation_prompt": True, "tools": []}))
    out.append(("builtin_tools", {"messages": base["system_user"], "add_generation_prompt": True, "builtin_tools": ["brave_search", "wolfram_alpha"],
                                  "tools": [WEATHER], "tools_in_user_message": False, "date_string": "1 Apr 2025"}))
    for flag in (True, False):
        for key in ("enable_thinking", "thinking"):
            out.append((f"{key}={flag}", {"messages": base["turns"], "add_generation_prompt": True, key: flag}))
        out.append((f"thinking_turns={flag}", {"messages": base["thinking"], "add_generation_prompt": True, "enable_thinking": flag, "thinking": flag}))
    for effort in ("low", "high"):
        out.append((f"reasoning_effort={effort}", {"messages": base["system_user"], "add_generation_prompt": True, "reasoning_effort": effort}))
    documents = [{"title": "Öl", "text": "Oil {{x}}", "content": "Oil"}, {"title": "Eis", "text": "Ice", "content": "Ice"}]
    out.append(("documents", {"messages": base["user"], "add_generation_prompt": True, "documents": documents}))
    for name, context in out:
        context.setdefault("tools", None)
        context.setdefault("documents", None)
        context.setdefault("bos_token", "<s>")
        context.setdefault("eos_token", "</s>")
    return out


def sources(paths):
    for path in paths:
        if os.path.isdir(path):
            yield from sources(sorted(glob.glob(os.path.join(path, "**", "*.jinja"), recursive=True)))
        elif path.endswith(".gguf"):
            import gguf

            field = gguf.GGUFReader(path).fields.get("tokenizer.chat_template")
            if field is not None:
                yield os.path.basename(path), bytes(field.parts[field.data[0]]).decode("utf-8")
        else:
            with open(path, encoding="utf-8", newline="") as file:
                yield os.path.basename(path), file.read()


def make():
    cases = conversations()
    with open(os.path.join(HERE, "conversations.json"), "w", encoding="utf-8") as file:
        json.dump([{"name": name, "context": context} for name, context in cases], file, ensure_ascii=False, indent=0)
        file.write("\n")
    with open(os.path.join(HERE, "expected.jsonl"), "w", encoding="utf-8") as file:
        for template_name, source in sources([HERE]):
            template = compile_template(source)
            for name, context in cases:
                answer = expected(template, context)
                row = {"template": template_name, "conversation": name, **({"error": True} if "error" in answer else answer)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def check(program, paths):
    cases = conversations()
    total = wrong = errors = templates = slowest = 0
    for template_name, source in sources(paths):
        templates += 1
        try:
            template = compile_template(source)
        except Exception as error:  # noqa: BLE001
            print(f"{template_name}: the reference does not parse it: {error}")
            template = None
        lines = [json.dumps({"template": source, "context": context, "now": NOW}) for _, context in cases]
        done = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, check=True, encoding="utf-8")
        answers = [json.loads(line) for line in done.stdout.split("\n") if line]
        for (name, context), ours in zip(cases, answers, strict=True):
            theirs = {"error": "no parse"} if template is None else expected(template, context)
            total += 1
            errors += "error" in theirs
            slowest = max(slowest, ours.get("microseconds", 0))
            if ("error" in ours) != ("error" in theirs) or ours.get("text") != theirs.get("text"):
                wrong += 1
                print(f"{template_name} {name}\n   reference {str(theirs)[:600]}\n   ours      {str(ours)[:600]}")
    print(f"{templates} templates, {total} renderings, {errors} errors of the reference, {wrong} differences, slowest {slowest} us")
    return wrong


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[1] == "--check":
        sys.exit(1 if check(sys.argv[2], sys.argv[3:]) else 0)
    make()
