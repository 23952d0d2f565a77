"""Finds tool calls by asking a language model, which writes them into its own text.

``llm`` asks LFM2-Tool in its own format; ``output_parsing``, ``special_tokens`` and ``lora`` ask a model that writes
its calls beside what it says, as LFM2-Audio can be made to. What it wrote is read by core/call_stream.py.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence

from lfm_voice_ros.core import numbers, prompts
from lfm_voice_ros.core.call_stream import SYNTAXES, parse
from lfm_voice_ros.core.call_syntax import write_calls
from lfm_voice_ros.core.ports import TextModel
from lfm_voice_ros.core.prompts import Style
from lfm_voice_ros.core.tool_calls import argument_problem
from lfm_voice_ros.core.types import ChatMessage, ToolCall, ToolDecision, ToolResult, ToolSpec, ToolStatus
from lfm_voice_ros.detectors.grammar import call_grammar

LONGEST_TEXT = 600  # characters; nobody says more in the 20 s that an utterance has at most
_MAX_TOKENS = 120  # a list of eight calls
_SUMMARY_TOKENS = 60
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
#: What a model could take for the end of the person's turn or for a call.
_MARKS = re.compile(r"<\|[^|>]{0,40}\|>|</?tool>", re.IGNORECASE)


class LanguageModelDetector:
    """A Detector of core/ports.py. Holds no state between calls."""

    def __init__(self, style: Style, model: TextModel, tools: Sequence[ToolSpec]) -> None:
        """``tools`` are all that can ever come out, with arguments that fit their schemas."""
        self.name: str = style
        self._style = style
        self._model = model
        self._tools = {tool.name: tool for tool in tools}
        self._system = prompts.system(style, tools)
        self._grammar = call_grammar(tools) if style == "llm" and model.keeps_to_grammars else ""

    def detect(self, text: str) -> ToolDecision:
        """Give the calls that the model writes; none where one of them is malformed, unknown or unfit.

        Raises ResourceError when the model fails; no text makes it raise.
        """
        said = asked(text)
        if not said or len(said) > LONGEST_TEXT:
            return ToolDecision((), self.name)
        stop = [prompts.TURN_END, *([prompts.TOOL_CALL_END] if self._style == "llm" else [])]
        completion = self._model.complete(self._messages(said), stop, _MAX_TOKENS, self._grammar)
        written = completion.text
        if completion.finished and self._style == "llm" and prompts.TOOL_CALL_START in written:
            written += prompts.TOOL_CALL_END  # it is what the model stopped at
        _, calls, problems = parse(SYNTAXES[self._style], written, self._tools)
        # Half of what was asked for would surprise more than nothing.
        usable = not problems and all(self._fits(call) and was_said(call, said) for call in calls)
        return ToolDecision(calls if usable else (), self.name, completion.confidence if usable else 0.0)

    def summarize(self, text: str, results: Sequence[ToolResult]) -> str:
        """Give a sentence, in the model's words, that tells the results of the calls that ``text`` asked for.

        It is the model's: check it with core/grounding.py before it is spoken. Raises ResourceError.
        """
        calls = write_calls(result.call for result in results)
        told = [_as_json(result) for result in results]
        response = json.dumps(told[0] if len(told) == 1 else told)
        messages = [
            *self._messages(asked(text)),
            ChatMessage("assistant", f"{prompts.TOOL_CALL_START}{calls}{prompts.TOOL_CALL_END}"),
            ChatMessage("tool", f"{prompts.TOOL_RESPONSE_START}{response}{prompts.TOOL_RESPONSE_END}"),
        ]
        return self._model.complete(messages, [prompts.TURN_END], _SUMMARY_TOKENS).text.strip()

    def _messages(self, said: str) -> list[ChatMessage]:
        return [self._system, ChatMessage("user", said)]

    def _fits(self, call: ToolCall) -> bool:
        return argument_problem(self._tools[call.name].parameters, call) is None


def was_said(call: ToolCall, text: str) -> bool:
    """Whether a call's texts, and its numbers where ``text`` has any, were said: a model may not make them up.

    ``text`` has its numbers in digits. Signs don't count ("20 to the right" is -20), nor do lists and objects.
    """
    words = text.casefold()
    spoken = [float(number) for number in _NUMBER.findall(text)]
    for value in call.arguments.values():
        if isinstance(value, str) and value.casefold() not in words:
            return False
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and spoken and not any(math.isclose(abs(value), number) for number in (*spoken, 0.0)):
            return False
    return True


def asked(text: str) -> str:
    """What the model is asked: the neutral text with numbers in digits, which models read and copy best."""
    return numbers.digits(neutral(text))


def neutral(text: str) -> str:
    """The text without what a chat template or a call is marked with, and without control characters."""
    previous = None
    while previous != text:  # taking one mark out can put another together
        previous, text = text, _MARKS.sub(" ", text)
    shown = "".join(" " if unicodedata.category(character).startswith("C") else character for character in text)
    return " ".join(shown.split())


def _as_json(result: ToolResult) -> dict[str, object]:
    status = "done" if result.status is ToolStatus.SUCCEEDED else "failed"
    return {"tool": result.call.name, "status": status, **result.data}
