"""Where utterances begin and end, with made-up probabilities: a frame is 0.1 s, and its samples count up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.end_of_turn import Ending
from lfm_voice_ros.core.endpointing import (
    Endpointer,
    Event,
    Listener,
    SpeechDiscarded,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
    UtteranceIds,
)
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import Samples, Utterance

FRAME = 1600  # samples, 0.1 s
SETTINGS = AudioCaptureSettings(
    speech_threshold=0.5,
    silence_threshold=0.3,
    min_speech=0.2,
    silence_window=0.3,
    pre_roll=0.2,
    max_utterance=2.0,
)


def frame(index: int) -> Samples:
    return np.arange(index * FRAME, (index + 1) * FRAME, dtype=np.float32)


def hear(probabilities: Sequence[float], settings: AudioCaptureSettings = SETTINGS, began: float = 0.0) -> list[Event]:
    """Push a frame for each probability, and the end of the stream."""
    counter = itertools.count()
    endpointer = Endpointer(settings, lambda _at: f"id{next(counter)}")
    events: list[Event] = []
    for index, probability in enumerate(probabilities):
        events += endpointer.push(frame(index), probability, began + index * FRAME / 16_000)
    return events + endpointer.finish()


def utterances(events: Sequence[Event]) -> list[Utterance]:
    return [event.utterance for event in events if isinstance(event, SpeechEnded)]


def test_the_pre_roll_is_the_sound_right_before_the_first_voiced_sample() -> None:
    (utterance,) = utterances(hear([0, 0, 0, 0, 0.9, 0.9, 0.9, 0, 0, 0], began=100.0))
    assert utterance.samples[0] == 2 * FRAME
    assert np.array_equal(np.diff(utterance.samples), np.ones(utterance.samples.size - 1))
    assert utterance.start == pytest.approx(100.2)
    assert utterance.speech_start == pytest.approx(100.4)
    assert utterance.speech_end == pytest.approx(100.7)


def test_a_pre_roll_that_is_no_whole_number_of_frames_is_exact() -> None:
    settings = AudioCaptureSettings(min_speech=0.1, pre_roll=0.25)
    (utterance,) = utterances(hear([0, 0, 0, 0, 0.9, 0.9], settings))
    assert utterance.samples[0] == 1.5 * FRAME


def test_speech_in_the_very_first_frame_has_what_pre_roll_there_is() -> None:
    (utterance,) = utterances(hear([0.9, 0.9, 0, 0, 0]))
    assert utterance.samples[0] == 0
    assert utterance.start == utterance.speech_start == 0.0


def test_the_silence_window_ends_the_utterance_and_belongs_to_it() -> None:
    events = hear([0.9, 0.9, 0, 0, 0, 0, 0])
    (utterance,) = utterances(events)
    assert utterance.samples.size == 5 * FRAME
    assert isinstance(events[0], SpeechStarted)
    assert events[0].utterance_id == utterance.utterance_id == "id0"


def test_a_pause_shorter_than_the_silence_window_does_not_end_it() -> None:
    (utterance,) = utterances(hear([0.9, 0.9, 0, 0, 0.9, 0, 0, 0]))
    assert utterance.speech_end == pytest.approx(0.5)


def test_a_probability_at_the_speech_threshold_begins_speech_and_one_below_does_not() -> None:
    assert len(utterances(hear([0.5, 0.5, 0.5, 0, 0, 0]))) == 1
    assert hear([0.49] * 20) == []


def test_a_probability_at_the_silence_threshold_goes_on_and_one_below_is_silence() -> None:
    (goes_on,) = utterances(hear([0.9, 0.9, 0.3, 0.3, 0.3, 0.3, 0, 0, 0]))
    assert goes_on.speech_end == pytest.approx(0.6)
    (ends,) = utterances(hear([0.9, 0.9, 0.29, 0.29, 0.29, 0.9]))
    assert ends.speech_end == pytest.approx(0.2)


def test_flicker_between_the_thresholds_is_one_utterance() -> None:
    assert len(utterances(hear([0.6, 0.4] * 8 + [0, 0, 0]))) == 1


def test_not_a_number_is_silence() -> None:
    assert hear([float("nan")] * 5) == []
    assert len(utterances(hear([0.9, 0.9] + [float("nan")] * 3))) == 1


def test_a_click_is_discarded_and_never_announced() -> None:
    (event,) = hear([0, 0.9, 0, 0, 0, 0])
    assert event == SpeechDiscarded(at=pytest.approx(0.1), seconds=pytest.approx(0.1))  # type: ignore[arg-type]


def test_the_sound_of_a_click_is_pre_roll_of_speech_right_after_it() -> None:
    (utterance,) = utterances(hear([0.9, 0, 0, 0, 0.9, 0.9, 0, 0, 0]))
    assert utterance.samples[0] == 2 * FRAME


def test_the_end_of_one_utterance_is_pre_roll_of_the_next() -> None:
    first, second = utterances(hear([0.9, 0.9, 0, 0, 0, 0.9, 0.9, 0, 0, 0]))
    assert first.samples[-1] == 5 * FRAME - 1
    assert second.samples[0] == 3 * FRAME


def test_speech_is_announced_when_there_is_enough_of_it_with_the_time_of_its_beginning() -> None:
    endpointer = Endpointer(SETTINGS, lambda _at: "id")
    assert endpointer.push(frame(0), 0.9, 7.0) == []
    assert endpointer.speaking == ""
    assert endpointer.push(frame(1), 0.9, 7.1) == [SpeechStarted("id", 7.0)]
    assert endpointer.speaking == "id"


def test_speech_longer_than_the_maximum_is_split_without_losing_a_sample() -> None:
    parts = utterances(hear([0.9] * 50))
    assert [part.samples.size for part in parts] == [20 * FRAME, 20 * FRAME, 10 * FRAME]
    assert np.array_equal(np.concatenate([part.samples for part in parts]), np.arange(50 * FRAME))
    assert [part.start for part in parts] == pytest.approx([0.0, 2.0, 4.0])
    assert [part.utterance_id for part in parts] == ["id0", "id1", "id2"]


def test_speech_that_ends_where_it_is_split_leaves_no_second_utterance() -> None:
    assert len(utterances(hear([0.9] * 20 + [0.0] * 10))) == 1


def test_the_pre_roll_after_split_speech_is_unbroken() -> None:
    settings = AudioCaptureSettings(min_speech=0.2, silence_window=0.3, pre_roll=1.0, max_utterance=2.0)
    last = utterances(hear([0.9] * 18 + [0, 0, 0.9, 0.9, 0, 0, 0, 0.9, 0.9], settings))[-1]
    assert last.samples[0] == 22 * FRAME
    assert np.array_equal(np.diff(last.samples), np.ones(last.samples.size - 1))


def test_the_end_of_the_stream_ends_the_utterance() -> None:
    (utterance,) = utterances(hear([0.9, 0.9]))
    assert utterance.samples.size == 2 * FRAME


def test_nothing_of_the_stream_before_is_pre_roll_of_the_next() -> None:
    endpointer = Endpointer(SETTINGS, lambda _at: "id")
    endpointer.push(frame(0), 0.0, 0.0)
    endpointer.finish()
    for index in (5, 6):
        endpointer.push(frame(index), 0.9, index * 0.1)
    (utterance,) = utterances(endpointer.finish())
    assert utterance.samples[0] == 5 * FRAME


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AudioCaptureSettings(speech_threshold=0.3, silence_threshold=0.4), "silence_threshold"),
        (AudioCaptureSettings(pre_roll=1.0, min_speech=0.5, max_utterance=1.5), "max_utterance"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings: AudioCaptureSettings, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Endpointer(settings, lambda _at: "id")


@given(st.lists(st.sampled_from([0.0, 0.3, 0.4, 0.5, 0.9]), max_size=120))
def test_every_utterance_is_an_unbroken_piece_of_the_stream_that_holds_its_speech(probabilities: list[float]) -> None:
    events = hear(probabilities)
    started = [event.utterance_id for event in events if isinstance(event, SpeechStarted)]
    ended = utterances(events)
    assert started == [utterance.utterance_id for utterance in ended]
    voiced_before = 0.0
    for utterance in ended:
        assert np.array_equal(np.diff(utterance.samples), np.ones(utterance.samples.size - 1))
        assert utterance.samples.size <= SETTINGS.max_utterance * 16_000
        assert utterance.start == pytest.approx(utterance.samples[0] / 16_000)
        assert utterance.start <= utterance.speech_start < utterance.speech_end
        assert voiced_before - 1e-9 <= utterance.speech_start
        voiced_before = utterance.speech_end


@given(st.lists(st.integers(0, 30), min_size=1, max_size=10))
def test_loud_runs_of_enough_speech_are_all_in_some_utterance(pauses: list[int]) -> None:
    probabilities: list[float] = []
    runs = []
    for pause in pauses:
        probabilities += [0.0] * pause
        runs.append(len(probabilities) * FRAME)
        probabilities += [0.9] * 3
    heard = {int(sample) for utterance in utterances(hear(probabilities)) for sample in utterance.samples[::FRAME]}
    # A run that is split by the maximum may leave less than min_speech on one side.
    lost = [run for run in runs if not any(abs(run - sample) < 3 * FRAME for sample in heard)]
    assert lost == []


def test_ids_are_unique_short_and_sort_by_time() -> None:
    new_id = UtteranceIds()
    ids = [new_id(1.7e9 + step * 1e-4) for step in range(2000)]
    assert len(set(ids)) == 2000
    assert ids == sorted(ids)
    assert len(ids[0]) == 15


class Loudness:
    """A detector that takes the first sample of a frame for the probability."""

    frame_samples = 4

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, frame: Samples) -> float:
        assert frame.size == 4
        return float(frame[0])

    def reset(self) -> None:
        self.resets += 1


def listener(detector: Loudness) -> Listener:
    settings = AudioCaptureSettings(min_speech=0.0, pre_roll=0.0)
    return Listener(detector, Endpointer(settings, lambda _at: "id"))


def test_the_listener_cuts_any_pieces_into_frames_with_their_times() -> None:
    ears = listener(Loudness())
    heard = []
    at = 10.0
    for size in (1, 6, 3, 2):
        heard += ears.push(np.zeros(size, np.float32), at)[1]
        at += size / 16_000
    assert [frame.at for frame in heard] == pytest.approx([10.0, 10.0 + 4 / 16_000, 10.0 + 8 / 16_000])


@pytest.mark.parametrize("jump", [0.3, -5.0])
def test_a_jump_of_the_stream_ends_what_is_being_spoken(jump: float) -> None:
    detector = Loudness()
    ears = listener(detector)
    ears.push(np.ones(4, np.float32), 10.0)
    before, _ = ears.push(np.ones(4, np.float32), 10.0 + jump)
    assert len(utterances(before)) == 1
    assert detector.resets == 1


def test_stamps_that_tremble_are_no_jump() -> None:
    detector = Loudness()
    ears = listener(detector)
    ears.push(np.ones(4, np.float32), 10.0)
    assert ears.push(np.ones(4, np.float32), 10.15)[0] == []
    assert detector.resets == 0


# Pauses, and what the words say of them.

JUDGED = AudioCaptureSettings(
    speech_threshold=0.5,
    silence_threshold=0.3,
    min_speech=0.2,
    draft_silence=0.1,
    complete_window=0.3,
    silence_window=0.5,
    unclear_window=0.6,
    unfinished_window=0.8,
    pre_roll=0.2,
    max_utterance=5.0,
)


class Conversation:
    """Pushes frames to an endpointer; collects what it says."""

    def __init__(self, settings: AudioCaptureSettings = JUDGED) -> None:
        counter = itertools.count()
        self.endpointer = Endpointer(settings, lambda _at: f"id{next(counter)}")
        self.frames = 0
        self.events: list[Event] = []

    def hear(self, *probabilities: float) -> None:
        for probability in probabilities:
            at = self.frames * FRAME / 16_000
            self.events += self.endpointer.push(frame(self.frames), probability, at)
            self.frames += 1

    def judge(self, ending: Ending, draft: Utterance | None = None, shift: float = 0.0) -> None:
        draft = draft or self.drafts[-1]
        self.events += self.endpointer.judge(draft.utterance_id, draft.speech_end + shift, ending)

    @property
    def drafts(self) -> list[Utterance]:
        return [event.utterance for event in self.events if isinstance(event, SpeechPaused)]

    @property
    def ended(self) -> list[Utterance]:
        return utterances(self.events)


def test_each_pause_is_told_once_with_the_utterance_so_far() -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0, 0, 0, 0.9, 0, 0)
    first, second = talk.drafts
    assert (first.utterance_id, first.samples.size) == (second.utterance_id, 3 * FRAME)
    assert first.speech_end == pytest.approx(0.2)
    assert second.speech_end == pytest.approx(0.6)
    assert second.samples.size == 7 * FRAME
    assert not talk.ended


def test_speech_that_is_too_short_for_an_utterance_has_no_draft() -> None:
    assert not any(isinstance(event, SpeechPaused) for event in hear([0.9, 0, 0, 0, 0, 0], JUDGED))


def test_without_draft_silence_nothing_is_told_and_the_silence_window_ends_the_utterance() -> None:
    talk = Conversation(replace(JUDGED, draft_silence=0.0))
    talk.hear(0.9, 0.9, 0, 0, 0, 0)
    assert not talk.drafts
    assert not talk.ended
    talk.hear(0)
    assert len(talk.ended) == 1


@pytest.mark.parametrize(
    ("ending", "frames"),
    [(Ending.COMPLETE, 3), (Ending.UNCLEAR, 6), (Ending.UNFINISHED, 8)],
    ids=lambda it: str(it),
)
def test_what_the_words_say_decides_how_long_a_silence_ends_the_utterance(ending: Ending, frames: int) -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0)
    talk.judge(ending)
    talk.hear(*[0] * (frames - 2))
    assert not talk.ended
    talk.hear(0)
    assert len(talk.ended) == 1


def test_a_judgement_that_comes_after_its_window_ends_the_utterance_at_once() -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0, 0, 0, 0)
    talk.judge(Ending.COMPLETE)
    (utterance,) = talk.ended
    assert utterance.samples.size == 6 * FRAME
    assert not talk.endpointer.speaking


def test_a_judgement_of_an_earlier_pause_is_ignored() -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0, 0.9, 0, 0, 0)
    talk.judge(Ending.COMPLETE, talk.drafts[0])
    assert not talk.ended


def test_what_was_said_of_a_pause_is_forgotten_when_the_person_goes_on() -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0)
    talk.judge(Ending.UNFINISHED)
    talk.hear(0.9, 0, 0, 0, 0, 0)
    assert len(talk.ended) == 1


def test_a_judgement_of_another_utterance_or_of_none_is_ignored() -> None:
    talk = Conversation()
    assert talk.endpointer.judge("id0", 0.2, Ending.COMPLETE) == []
    talk.hear(0.9, 0.9, 0, 0, 0)
    draft = talk.drafts[0]
    assert talk.endpointer.judge("other", draft.speech_end, Ending.COMPLETE) == []
    assert talk.endpointer.judge("", draft.speech_end, Ending.COMPLETE) == []
    talk.hear(0, 0)
    assert len(talk.ended) == 1
    assert talk.endpointer.judge(draft.utterance_id, draft.speech_end, Ending.COMPLETE) == []


def test_a_time_that_was_a_stamp_on_its_way_still_names_its_pause() -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0, 0, 0)
    talk.judge(Ending.COMPLETE, shift=3e-7)
    assert len(talk.ended) == 1


def test_the_longest_utterance_is_ended_also_while_the_person_is_waited_for() -> None:
    talk = Conversation(replace(JUDGED, max_utterance=1.0))
    talk.hear(0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0)
    talk.judge(Ending.UNFINISHED)
    talk.hear(0, 0, 0)
    assert [utterance.samples.size for utterance in talk.ended] == [10 * FRAME]


def test_the_end_of_the_stream_ends_a_pause_of_any_kind() -> None:
    talk = Conversation()
    talk.hear(0.9, 0.9, 0)
    talk.judge(Ending.UNFINISHED)
    assert len(utterances(talk.endpointer.finish())) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"complete_window": 0.7},
        {"unclear_window": 0.9},
        {"draft_silence": 0.5, "silence_window": 0.5},
        {"draft_silence": 0.4, "endpointing": "quick"},
    ],
)
def test_windows_that_do_not_fit_together_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="unclear_window"):
        Endpointer(replace(JUDGED, **values), UtteranceIds())


@pytest.mark.parametrize(("endpointing", "frames"), [("fixed", 5), ("cautious", 8), ("quick", 4)])
def test_the_manner_scales_the_windows_or_makes_them_all_the_same(endpointing: str, frames: int) -> None:
    talk = Conversation(replace(JUDGED, complete_window=0.5, endpointing=endpointing))
    talk.hear(0.9, 0.9, 0)
    talk.judge(Ending.COMPLETE)
    talk.hear(*[0] * (frames - 2))
    assert not talk.ended
    talk.hear(0)
    assert len(talk.ended) == 1
