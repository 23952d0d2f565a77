"""Transcripts that were made ahead, while it was open whether the person had ended."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable

from lfm_voice_ros.core.types import Transcript

_REMEMBERED = 20  # utterances: as many as a topic keeps


class TranscriptDrafts:
    """The newest transcript that was made ahead, until its utterance comes. For any thread.

    It belongs to an utterance and to the pause in which it was made, and is worth nothing once speech has gone on.
    Each draft is counted in ``used`` or in ``thrown_away`` when that is known.
    """

    def __init__(self) -> None:
        self.used = 0
        self.thrown_away = 0
        self._lock = threading.Lock()
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)
        self._made: tuple[str, Hashable, Transcript] | None = None

    def end(self, utterance_id: str) -> None:
        """The utterance itself has come: no draft of it is needed that isn't being made already."""
        with self._lock:
            self._ended.append(utterance_id)

    def wanted(self, utterance_id: str) -> bool:
        """Whether the utterance may still go on or end, so that a draft of it is worth its time."""
        with self._lock:
            return utterance_id not in self._ended

    def keep(self, utterance_id: str, pause: Hashable, transcript: Transcript) -> None:
        """Hold a draft ready, in the place of an older one. ``pause`` is what tells its pause from others."""
        with self._lock:
            self._throw_away()
            self._made = utterance_id, pause, transcript

    def take(self, utterance_id: str, pause: Hashable) -> Transcript | None:
        """Give the draft of this utterance and pause, if there is one; another one of the utterance is thrown away."""
        with self._lock:
            if self._made is None or self._made[0] != utterance_id:
                return None
            if self._made[1] != pause:
                self._throw_away()
                return None
            self.used += 1
            transcript = self._made[2]
            self._made = None
            return transcript

    def throw_away(self) -> None:
        """Count a draft that was not made, or not kept."""
        with self._lock:
            self.thrown_away += 1

    def forget(self) -> None:
        """Throw away what is held ready."""
        with self._lock:
            self._throw_away()

    def _throw_away(self) -> None:
        self.thrown_away += self._made is not None
        self._made = None
