"""A grammar for llama.cpp (GBNF) in which a model can write nothing but calls of the robot's own tools, or no call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lfm_voice_ros.core.prompts import TOOL_CALL_END, TOOL_CALL_START
from lfm_voice_ros.core.types import Json, ToolSpec

_MOST_CALLS = 8
_LONGEST_STRING = 60  # characters, where the schema sets no smaller limit
_LONGEST_TEXT = 200  # characters of an answer that is no call

_BASICS = {
    "number": r'"-"? [0-9]{1,6} ("." [0-9]{1,6})?',
    "positive-number": r'[0-9]{1,6} ("." [0-9]{1,6})?',
    "integer": r'"-"? [0-9]{1,6}',
    "positive-integer": "[0-9]{1,6}",
    "boolean": '"true" | "false"',
    "character": r'[^"\\<\x00-\x1f\x7f]',
    "value": 'number | boolean | "\\"" character{0,60} "\\"" | "[" (value (", " value){0,8})? "]"',
}


def call_grammar(tools: Sequence[ToolSpec]) -> str:
    """Give the grammar: a list of calls between LFM2's tokens, arguments in the schema's order, or a plain answer.

    Types, enumerations, the sign, required and least arguments are kept to; bounds of numbers are not (they are
    checked afterwards).
    """
    rules = {
        "root": f"calls | [^<\\x00-\\x1f]{{0,{_LONGEST_TEXT}}}",
        "calls": f'"{TOOL_CALL_START}[" call (", " call){{0,{_MOST_CALLS - 1}}} "]{TOOL_CALL_END}"',
        "call": " | ".join(_rule_name(tool.name) for tool in tools) or '"none()"',
    }
    for tool in tools:
        rules |= _tool_rules(tool)
    return "\n".join(f"{name} ::= {body}" for name, body in {**rules, **_BASICS}.items())


def _tool_rules(tool: ToolSpec) -> dict[str, str]:
    name = _rule_name(tool.name)
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    required = set(tool.parameters.get("required", ()))
    rules: dict[str, str] = {}
    for argument, schema in properties.items():
        rules[f"{name}-{_rule_name(argument)}"] = f'"{argument}=" ({_value(schema)})'
    starts = _argument_lists([(f"{name}-{_rule_name(each)}", each in required) for each in properties])
    optional = not required and not tool.parameters.get("minProperties")
    body = f"({' | '.join(starts)}){'?' if optional else ''}" if starts else ""
    rules[name] = f'"{tool.name}(" {body} ")"' if body else f'"{tool.name}()"'
    return rules


def _argument_lists(arguments: Sequence[tuple[str, bool]]) -> list[str]:
    """The lists that begin with each argument that can be the first, the others behind it in order."""
    lists = []
    for index, (rule, required) in enumerate(arguments):
        rest = "".join(
            f' (", " {later}){"" if later_required else "?"}' for later, later_required in arguments[index + 1 :]
        )
        lists.append(rule + rest)
        if required:
            break
    return lists


def _value(schema: Mapping[str, Json]) -> str:
    if "enum" in schema:
        return " | ".join(_literal(json.dumps(value)) for value in schema["enum"])
    kind = schema.get("type")
    if kind in ("number", "integer"):
        return f"positive-{kind}" if schema.get("minimum", -1) >= 0 else str(kind)
    if kind == "boolean":
        return "boolean"
    if kind == "string":
        least = schema.get("minLength", 0)
        most = max(least, min(schema.get("maxLength", _LONGEST_STRING), _LONGEST_STRING))
        return f'"\\"" character{{{least},{most}}} "\\""'
    return "value"


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _rule_name(name: str) -> str:
    """GBNF knows only letters, digits and dashes."""
    return "t-" + re.sub(r"[^A-Za-z0-9]", "-", name)
