"""The node that watches an assistant for the benchmark: also what the loudspeaker plays, and the head's commands."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.demo.observer import Observer
from lfm_voice_ros.demo.record import Turn
from lfm_voice_ros.evaluation.sound_times import Track, moving
from lfm_voice_ros.evaluation.turn_times import AHEAD, Heard, Seen
from lfm_voice_ros.msg import Audio, Keyword, Playback, TurnMetrics
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import to_seconds

_NEWEST = 10  # joint states; more than come in a tenth of a second
_LOUDSPEAKER = "audio/played"


class Witness(Observer):
    """Sound that the loudspeaker has played is read off ``audio/played``.

    Where nobody publishes that, it is put together from ``audio/output`` and the times of ``playback``, a tenth of a
    second at a time.
    """

    def __init__(
        self, tell: Callable[[float, str, str], None], played: Callable[[float, int, Samples], None] | None = None
    ) -> None:
        """``tell``: see Observer. ``played`` gets each piece that the loudspeaker plays: time (s), rate and samples."""
        self.played = Track()
        self.commands: list[float] = []  # when the head was sent somewhere
        self.stops: list[float] = []  # the ends of stop words that were spotted
        self._cuts: list[float] = []  # when replies were cut
        self._hear_too = played
        self._ahead: dict[str, dict[str, float]] = {}
        self._heard: dict[str, float] = {}  # s of each reply that are in `played`
        head = PanTiltSettings()
        super().__init__(tell, (head.pan_joint, head.tilt_joint))
        self.watch(Audio, _LOUDSPEAKER, self._on_played, qos.AUDIO)
        self.watch(JointTrajectory, "head_controller/joint_trajectory", self._on_command, qos.COMMAND)
        self.watch(Keyword, "keyword", self._on_keyword, qos.EVENT)

    @property
    def tapped(self) -> bool:
        """Whether somebody publishes what the loudspeaker plays."""
        return bool(self.count_publishers(_LOUDSPEAKER))

    def moves(self) -> bool:
        """Whether the head moves now. May be called from any thread."""
        with self.news:
            newest = list(islice(reversed(self.recording.joints), _NEWEST))
            return moving(newest[::-1], self.now())

    def seen(self) -> Seen:
        """What was seen of the robot until now; called with ``news`` held."""
        return Seen(self.played, list(self.recording.joints), self.commands, self.stops, self._cuts)

    def heard(self) -> list[Heard]:
        """All utterances until now, and what became of them."""
        return [self._as_heard(turn) for turn in self.recording.turns.values()]

    def _as_heard(self, turn: Turn) -> Heard:
        return Heard(
            turn.utterance_id,
            (turn.speech_start, turn.speech_end),
            {**turn.times, **self._ahead.get(turn.utterance_id, {})},
            bool(turn.transcript),
            tuple(name for name, _ in turn.calls),
            tuple(turn.results),
            turn.reply,
            turn.reply_source,
            turn.closed,
        )

    def _on_input(self, msg: Audio) -> None:
        """What the microphone gives on is not kept, so that all of the joints can be."""

    def _on_played(self, msg: Audio) -> None:
        self._play(to_seconds(msg.header.stamp), msg.sample_rate, np.asarray(msg.samples, np.float32))

    def _on_command(self, _msg: JointTrajectory) -> None:
        self.commands.append(self.now())

    def _on_keyword(self, msg: Keyword) -> None:
        if msg.kind == Keyword.STOP:
            self.stops.append(to_seconds(msg.header.stamp))

    def _on_metrics(self, msg: TurnMetrics) -> None:
        super()._on_metrics(msg)
        # A turn without a draft has NaN, and 0 where the node doesn't tell it.
        ahead = {name: float(getattr(msg, name)) for name in AHEAD}
        self._ahead[msg.utterance_id] = {name: seconds for name, seconds in ahead.items() if seconds > 0.0}

    def _on_playback(self, msg: Playback) -> None:
        super()._on_playback(msg)
        at = to_seconds(msg.header.stamp)
        if msg.state == Playback.INTERRUPTED:
            self._cuts.append(at)
        turn = self.recording.turns.get(msg.utterance_id)
        if turn is None or self.tapped or not turn.voice_rate:
            return
        before, now = self._heard.get(msg.utterance_id, 0.0), msg.heard_seconds
        if now <= before:
            return
        self._heard[msg.utterance_id] = now
        piece = np.concatenate(turn.voice)[round(before * turn.voice_rate) : round(now * turn.voice_rate)]
        # A reply that has started says when; later reports come when this much of it was heard.
        began = at if msg.state == Playback.STARTED else at - (now - before)
        self._play(began, turn.voice_rate, piece)

    def _play(self, at: float, rate: int, samples: Samples) -> None:
        self.played.add(at, rate, samples)
        if self._hear_too is not None:
            self._hear_too(at, rate, samples)
