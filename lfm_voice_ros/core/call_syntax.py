"""Tool calls as LFM2-Tool writes them: ``[pan_left(degrees=30), get_time(location="Tokyo")]``.

What a model wrote is data: it is read as a Python expression of literals and never evaluated.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping

from lfm_voice_ros.core.errors import ModelOutputError
from lfm_voice_ros.core.types import Json, ToolCall

_LONGEST = 4000  # characters; deeper nesting than such a text can hold is refused by the parser itself
_MOST_CALLS = 20
#: JSON's names, which models write as well as Python's.
_JSON_NAMES: Mapping[str, Json] = {"true": True, "false": False, "null": None}


def write_calls(calls: Iterable[ToolCall]) -> str:
    """Give calls as a list: ``[nod(), pan_left(degrees=30)]``; none is ``[]``."""
    return f"[{', '.join(write_call(call) for call in calls)}]"


def write_call(call: ToolCall) -> str:
    """Give one call: ``pan_left(degrees=30)``. Whole numbers have no decimals."""
    arguments = ", ".join(
        f"{name}={json.dumps(plain(value), ensure_ascii=False)}" for name, value in call.arguments.items()
    )
    return f"{call.name}({arguments})"


def write_tag(call: ToolCall) -> str:
    """Give a call in plain text: ``<tool>pan_left(degrees=30)</tool>``; ``<tool>nod</tool>`` without arguments."""
    return f"<tool>{write_call(call) if call.arguments else call.name}</tool>"


def write_in_tokens(call: ToolCall) -> str:
    """Give a call with tokens of its own: ``<|tool_call_start|><|tool_name|>nod<|tool_args|>{}<|tool_call_end|>``."""
    arguments = json.dumps({name: plain(value) for name, value in call.arguments.items()})
    return f"<|tool_call_start|><|tool_name|>{call.name}<|tool_args|>{arguments}<|tool_call_end|>"


def plain(value: Json) -> Json:
    """A number as people write it: 30.0 becomes 30; anything else stays."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_calls(text: str) -> tuple[ToolCall, ...]:
    """Read a list of calls, or one call without the brackets, in order.

    Raises ModelOutputError for everything else: positional arguments, nested calls, names and attributes as values,
    operators, arguments that are not JSON, more than 20 calls.
    """
    if len(text) > _LONGEST:
        raise ModelOutputError(f"the calls are longer than {_LONGEST} characters")
    try:
        with warnings.catch_warnings():
            # An unknown escape in a text is only a warning to Python; here it is one more thing that is no call.
            warnings.simplefilter("error", SyntaxWarning)
            body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        raise ModelOutputError(f"this is no list of calls: {_shortened(text)}") from exc
    nodes = body.elts if isinstance(body, ast.List) else [body]
    if len(nodes) > _MOST_CALLS:
        raise ModelOutputError(f"there are more than {_MOST_CALLS} calls")
    try:
        return tuple(_call(node) for node in nodes)
    except RecursionError as exc:
        raise ModelOutputError(f"this is nested too deeply: {_shortened(text)}") from exc


def read_name(text: str) -> str:
    """Give a tool's name that stands alone. Raises ModelOutputError when it is no name."""
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", text.strip(), re.ASCII):
        raise ModelOutputError(f"this is no name of a tool: {_shortened(text)}")
    return text.strip()


def read_arguments(text: str) -> dict[str, Json]:
    """Read arguments that are a JSON object; an empty text is none. Raises ModelOutputError."""
    if not text.strip():
        return {}
    if len(text) > _LONGEST:
        raise ModelOutputError(f"the arguments are longer than {_LONGEST} characters")
    try:
        arguments = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as exc:
        raise ModelOutputError(f"these are no arguments: {_shortened(text)}") from exc
    if not isinstance(arguments, dict):
        raise ModelOutputError(f"arguments must be an object: {_shortened(text)}")
    return arguments


def _call(node: ast.expr) -> ToolCall:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ModelOutputError("a call must look like name(argument=value)")
    arguments: dict[str, Json] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise ModelOutputError(f"the arguments of {node.func.id} have no names, or one name twice")
        arguments[keyword.arg] = _value(keyword.value)
    return ToolCall(read_name(node.func.id), arguments)


def _value(node: ast.expr) -> Json:
    if isinstance(node, ast.Name) and node.id in _JSON_NAMES:
        return _JSON_NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ModelOutputError("a sign belongs before a number")
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key) if key is not None else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise ModelOutputError("the keys of an object must be texts")
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | int | str)):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, float) and math.isfinite(node.value):
        return node.value
    raise ModelOutputError("arguments must be literals")


def _no_number(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is too large")
    return number


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
