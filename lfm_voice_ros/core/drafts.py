"""Puts the drafts of a turn together: what would be answered if the person had ended in the pause that is now."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from lfm_voice_ros.core.types import Question, ToolCall, ToolResult, Transcript

_REMEMBERED = 4  # utterances; one person speaks at a time
_ROUNDING = 1e-6  # s; a stamp that has become a float and a stamp again is another by some hundred nanoseconds


@dataclass
class Draft:
    """What was found out in one pause. Times are seconds on the clock of the messages."""

    utterance_id: str
    speech_end: float
    transcript: Transcript | None = None
    worded: float = math.nan  # when the words were known
    calls: tuple[ToolCall, ...] | None = None  # None before the decision
    results: dict[int, ToolResult] = field(default_factory=dict)

    def question(self) -> Question | None:
        """What there is to answer as far as it is known; of the results those up to the first that is missing.

        None without words, before the decision, and as long as no result of the calls is foretold.
        """
        if self.transcript is None or not self.transcript.text or self.calls is None:
            return None
        results: list[ToolResult] = []
        for index, call in enumerate(self.calls):
            result = self.results.get(index)
            # A result of an earlier pause is none of this one, unless it is that of the same call.
            if result is None or (result.call, result.total) != (call, len(self.calls)):
                break
            results.append(result)
        if self.calls and not results:
            return None
        return Question(self.utterance_id, self.transcript, tuple(results))


class DraftBook:
    """The newest draft of each utterance. For one thread; messages may come in any order."""

    def __init__(self) -> None:
        self._drafts: OrderedDict[str, Draft] = OrderedDict()

    def transcript(self, utterance_id: str, speech_end: float, transcript: Transcript, now: float) -> Draft | None:
        """The words so far are known; None where a later pause is known already."""
        if (draft := self._draft(utterance_id, speech_end)) is not None:
            draft.transcript, draft.worded = transcript, now
        return draft

    def decision(self, utterance_id: str, speech_end: float, calls: tuple[ToolCall, ...]) -> Draft | None:
        """These tools would be called; None where a later pause is known already."""
        if (draft := self._draft(utterance_id, speech_end)) is not None:
            draft.calls = calls
        return draft

    def result(self, utterance_id: str, result: ToolResult) -> Draft | None:
        """A call would say this; None where nothing is known of the utterance."""
        draft = self._drafts.get(utterance_id)
        if draft is not None:
            draft.results[result.index] = result
        return draft

    def find(self, utterance_id: str, speech_end: float) -> Draft | None:
        """The draft of this pause."""
        draft = self._drafts.get(utterance_id)
        return draft if draft is not None and abs(draft.speech_end - speech_end) <= _ROUNDING else None

    def close(self, utterance_id: str) -> None:
        """The turn is over."""
        self._drafts.pop(utterance_id, None)

    def _draft(self, utterance_id: str, speech_end: float) -> Draft | None:
        draft = self.find(utterance_id, speech_end)
        if draft is None:
            newest = self._drafts.get(utterance_id)
            if newest is not None and newest.speech_end > speech_end:
                return None
            # The results that came ahead of their decision stay: question() looks whether they belong to it.
            draft = Draft(utterance_id, speech_end, results=newest.results if newest else {})
            self._drafts[utterance_id] = draft
            while len(self._drafts) > _REMEMBERED:
                self._drafts.popitem(last=False)
        return draft
