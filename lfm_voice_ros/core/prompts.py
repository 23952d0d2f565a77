"""What models are told, by the way in which they write their calls. Training and detection use the same words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from lfm_voice_ros.core.types import ChatMessage, ToolSpec

#: Detectors by a model's own text, and how their models write.
Style = Literal["llm", "output_parsing", "special_tokens", "lora"]

TOOL_LIST_START, TOOL_LIST_END = "<|tool_list_start|>", "<|tool_list_end|>"
TOOL_CALL_START, TOOL_CALL_END = "<|tool_call_start|>", "<|tool_call_end|>"
TOOL_RESPONSE_START, TOOL_RESPONSE_END = "<|tool_response_start|>", "<|tool_response_end|>"
TURN_END = "<|im_end|>"


def system(style: Style, tools: Sequence[ToolSpec]) -> ChatMessage:
    """The system turn: the tools, and for the styles that models don't know by themselves how a call is written."""
    if style == "llm":
        return ChatMessage("system", f"List of tools: {TOOL_LIST_START}{tool_list(tools)}{TOOL_LIST_END}")
    how = {
        "output_parsing": "write ACTION:name(argument=value) for each, then RESPONSE: and what you say. "
        "If none is asked for, write only RESPONSE: and what you say",
        "special_tokens": f"write {TOOL_CALL_START}<|tool_name|>name<|tool_args|>JSON{TOOL_CALL_END} for each, "
        "then what you say. If none is asked for, write only what you say",
        "lora": "write <tool>name(argument=value)</tool> for each, then what you say. "
        "If none is asked for, write only what you say",
    }[style]
    return ChatMessage("system", f"You are a robot. If actions are asked for, {how}. Actions: {_names(tools)}")


def dialogue(style: Style | None, tools: Sequence[ToolSpec], speaker: str = "") -> str:
    """The default system prompt of a speech-to-speech dialogue: what the robot can do, and how it should answer.

    ``style`` is the way in which it calls tools itself; None where others do that. It begins with the words that
    LFM2-Audio was trained with.
    """
    voice = f" Use the {speaker} voice." if speaker else ""
    able = " ".join(f"{tool.description.split('. ')[0].rstrip('.')}." for tool in tools)
    own = f" {system(style, tools).content}" if style else ""
    return (
        f"Respond with interleaved text and audio.{voice} You are a friendly robot with a camera head. Answer in one "
        f"short, honest sentence. What was done is told to you; never say yourself that you did something. "
        f"This is what you can do when you are asked to: {able}{own}"
    )


def tool_list(tools: Sequence[ToolSpec]) -> str:
    """The tools as LFM2-Tool is shown them: a JSON list of name, description and parameters."""
    return json.dumps(
        [{"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)} for tool in tools]
    )


def _names(tools: Sequence[ToolSpec]) -> str:
    return ", ".join(f"{tool.name}({', '.join(tool.parameters.get('properties', {}))})" for tool in tools)
