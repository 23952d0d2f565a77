"""What calls have in common with one another and with their tools."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import jsonschema

from lfm_voice_ros.core.types import Json, ToolCall

_LONGEST_MESSAGE = 200  # characters
_TOLERANCE = 1e-6  # of numbers in arguments


def argument_problem(parameters: Mapping[str, Json], call: ToolCall) -> str | None:
    """Why the arguments of a call don't fit the JSON schema of its tool, as a phrase; None when they fit."""
    problems = list(jsonschema.Draft202012Validator(parameters).iter_errors(dict(call.arguments)))
    if not problems:
        return None
    problem = min(problems, key=lambda each: len(each.absolute_path))
    where = ".".join(str(part) for part in problem.absolute_path)
    what = f"the value for {where} doesn't" if where else f"the arguments of {call.name} don't"
    return f"{what} fit: {shortened(problem.message)}"


def shortened(message: str) -> str:
    """A message of jsonschema, which repeats the whole value, cut to what can be read."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]} …"


def call_text(name: str, arguments: Mapping[str, Json]) -> str:
    """A call as one reads it: ``pan_left(degrees=30)``."""

    def text(value: Json) -> str:
        return f"{value:g}" if isinstance(value, float) else repr(value)

    return f"{name}({', '.join(f'{key}={text(value)}' for key, value in arguments.items())})"


def same_calls(some: Sequence[ToolCall], others: Sequence[ToolCall]) -> bool:
    """Whether two decisions ask for the same tools in the same order with the same arguments."""
    return len(some) == len(others) and all(
        one.name == other.name and same(dict(one.arguments), dict(other.arguments))
        for one, other in zip(some, others, strict=True)
    )


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values mean the same: numbers within 1e-6, texts without regard to case."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=_TOLERANCE)
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
