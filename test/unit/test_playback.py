"""What was heard of the replies, with a clock that passes when told."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.playback import Chunk, PlaybackReport, PlaybackState, Player, RobotVoice, TimedSink
from lfm_voice_ros.core.types import Samples

RATE = 1_000
STARTED, PLAYING, FINISHED, INTERRUPTED, PAUSED = PlaybackState


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class RecordingSink(TimedSink):
    """Knows what it was told, and which samples were handed to it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.told: list[str] = []
        self.samples: list[float] = []

    def begin(self, utterance_id: str) -> None:
        self.told.append(f"begin {utterance_id}")

    def finish(self) -> None:
        self.told.append("finish")

    def end(self) -> None:
        self.told.append("end")

    def write(self, samples: Samples, sample_rate: int) -> None:
        super().write(samples, sample_rate)
        self.samples += samples.tolist()

    def flush(self) -> None:
        super().flush()
        self.told.append("flush")


class Room:
    """A player with its sink, and what it said."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sink = RecordingSink(self.clock)
        self.reports: list[PlaybackReport] = []
        self.stalled: list[str] = []
        self.player = Player(self.sink, self.reports.append, self.stalled.append, self.clock)

    def say(
        self, reply: str, sequence: int, seconds: float, *, last: bool = False, text: str = "", rate: int = RATE
    ) -> None:
        samples = np.full(round(seconds * rate), sequence, np.float32)
        self.player.add(Chunk(reply, sequence, last, samples, rate, text))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.clock.now += 0.01
            self.player.tick()

    def states(self, reply: str) -> list[PlaybackState]:
        """The states of a reply, repeated ones once."""
        states = [report.state for report in self.reports if report.utterance_id == reply]
        return [state for index, state in enumerate(states) if index == 0 or states[index - 1] != state]


def test_a_reply_is_started_played_and_finished_with_what_was_heard() -> None:
    room = Room()
    room.say("a", 0, 0.5, text="Hello.")
    room.say("a", 1, 0.5, last=True, text="How are you?")
    assert room.reports == []
    room.wait(1.1)
    assert room.states("a") == [STARTED, PLAYING, FINISHED]
    assert room.reports[-1].heard == pytest.approx(1.0)
    assert room.reports[-1].text == "Hello. How are you?"
    assert not room.player.busy


def test_started_is_dated_to_the_first_sample() -> None:
    room = Room()
    room.say("a", 0, 0.5)
    room.clock.now += 0.017
    room.player.tick()
    (report,) = room.reports
    assert report.state == STARTED
    assert report.age == pytest.approx(0.017)


def test_playing_is_said_ten_times_a_second() -> None:
    room = Room()
    room.say("a", 0, 2.0)
    room.wait(1.0)
    assert 9 <= sum(report.state == PLAYING for report in room.reports) <= 10


def test_only_sentences_that_were_begun_count_as_heard() -> None:
    room = Room()
    room.say("a", 0, 0.5, text="One.")
    room.say("a", 1, 0.5)
    room.say("a", 2, 0.5, text="Two.")
    room.wait(0.9)
    room.player.interrupt("a")
    assert room.states("a")[-1] == INTERRUPTED
    assert room.reports[-1].heard == pytest.approx(0.9)
    assert room.reports[-1].text == "One."


def test_the_file_is_complete_before_the_end_is_said() -> None:
    room = Room()
    told_at_end: list[list[str]] = []
    player = Player(room.sink, lambda _report: told_at_end.append(list(room.sink.told)), print, room.clock)
    player.add(Chunk("a", 0, True, np.ones(100, np.float32), RATE))
    room.clock.now += 0.2
    player.tick()
    assert told_at_end[-1] == ["begin a", "finish", "end"]


def test_replies_wait_for_each_other_in_the_order_in_which_they_came() -> None:
    room = Room()
    room.say("a", 0, 0.2)
    room.say("b", 0, 0.2, last=True)
    room.wait(1.0)
    assert room.states("b") == []
    room.say("a", 1, 0.2, last=True)
    room.wait(0.6)
    assert [report.utterance_id for report in room.reports if report.state == FINISHED] == ["a", "b"]
    assert room.reports[-1].heard == pytest.approx(0.2)


def test_after_an_interrupt_late_chunks_are_thrown_away_and_a_new_reply_plays() -> None:
    room = Room()
    room.say("a", 0, 1.0)
    room.wait(0.2)
    room.player.interrupt("")
    room.say("a", 1, 1.0, last=True)
    assert room.player.dropped["late"] == 1
    assert not room.player.busy
    room.say("b", 0, 0.1, last=True)
    room.wait(0.2)
    assert room.states("b")[-1] == FINISHED
    assert "flush" in room.sink.told


def test_an_interrupt_without_id_cuts_all_that_play_or_wait() -> None:
    room = Room()
    room.say("a", 0, 1.0, last=True)
    room.say("b", 0, 1.0, last=True, text="Never heard.")
    room.wait(0.2)
    room.player.interrupt("")
    assert room.states("a")[-1] == INTERRUPTED
    assert room.states("b") == [INTERRUPTED]
    assert (room.reports[-1].heard, room.reports[-1].text) == (0.0, "")


def test_an_interrupt_with_an_id_cuts_only_that_reply() -> None:
    room = Room()
    room.say("a", 0, 0.3, last=True)
    room.say("b", 0, 0.3, last=True)
    room.say("c", 0, 0.3, last=True)
    room.player.interrupt("b")
    room.player.interrupt("a")
    room.wait(0.5)
    assert room.states("a") == room.states("b") == [INTERRUPTED]
    assert room.states("c")[-1] == FINISHED


def test_a_reply_that_is_cut_before_its_first_sample_was_not_heard() -> None:
    room = Room()
    room.say("a", 0, 0.3, text="Hello.")
    room.player.interrupt("a")
    (report,) = room.reports
    assert (report.state, report.heard, report.text) == (INTERRUPTED, 0.0, "")


def test_what_was_heard_of_a_reply_does_not_count_the_one_before_it() -> None:
    room = Room()
    room.say("a", 0, 0.3, last=True)
    room.say("b", 0, 1.0, last=True)
    room.wait(0.5)
    room.player.interrupt("b")
    assert room.reports[-1].heard == pytest.approx(0.2, abs=0.011)


def test_a_reply_that_was_cut_before_it_came_is_not_played() -> None:
    room = Room()
    room.player.interrupt("a")
    room.say("a", 0, 1.0, last=True)
    room.wait(1.5)
    assert room.reports == []
    assert room.sink.samples == []


def test_an_interrupt_of_nothing_does_nothing() -> None:
    room = Room()
    room.player.interrupt("")
    room.say("a", 0, 0.1, last=True)
    room.wait(0.2)
    assert room.states("a")[-1] == FINISHED


def test_a_reply_without_sound_only_finishes() -> None:
    room = Room()
    room.say("a", 0, 0.0, last=True)
    assert room.states("a") == [FINISHED]
    assert room.reports[0].heard == 0.0


def test_chunks_that_come_twice_or_late_are_dropped_and_missing_ones_counted() -> None:
    room = Room()
    for sequence in (0, 0, 3, 1, 4):
        room.say("a", sequence, 0.1, last=sequence == 4)
    room.say("a", 5, 0.1)
    assert sorted(set(room.sink.samples)) == [0.0, 3.0, 4.0]
    assert room.player.dropped == {"out of order": 3, "missing": 2}
    room.wait(0.5)
    assert room.reports[-1].heard == pytest.approx(0.3)


def test_a_chunk_of_another_rate_is_dropped_and_counted() -> None:
    room = Room()
    room.say("a", 0, 0.1)
    room.say("a", 1, 0.1, rate=2 * RATE, last=True)
    room.wait(0.2)
    assert room.player.dropped["rate changed"] == 1
    assert room.reports[-1].state == FINISHED
    assert room.reports[-1].heard == pytest.approx(0.1)


def test_a_reply_that_stops_coming_is_ended_after_five_seconds_of_silence() -> None:
    room = Room()
    room.say("a", 0, 1.0)
    room.wait(5.9)
    assert room.player.busy
    room.wait(0.2)
    assert room.stalled == ["a"]
    assert room.states("a")[-1] == FINISHED


def test_a_gap_between_chunks_does_not_count_as_heard() -> None:
    room = Room()
    room.say("a", 0, 0.5)
    room.wait(2.0)
    room.say("a", 1, 0.5, last=True)
    room.wait(0.6)
    assert room.reports[-1].state == FINISHED
    assert room.reports[-1].heard == pytest.approx(1.0)


def test_another_sink_goes_on_where_the_first_was_heard_to() -> None:
    room = Room()
    room.say("a", 0, 0.5)
    room.wait(0.3)
    other = RecordingSink(room.clock)
    assert room.player.change_sink(other) is room.sink
    room.say("a", 1, 0.5, last=True)
    assert other.told == ["begin a", "finish"]
    assert other.samples == [0.0] * 200 + [1.0] * 500
    room.wait(0.8)
    assert room.reports[-1].state == FINISHED
    assert room.reports[-1].heard == pytest.approx(1.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans(), st.integers(0, 300)), max_size=40))
def test_whatever_comes_each_reply_ends_exactly_once(chunks: list[tuple[str, int, bool, int]]) -> None:
    room = Room()
    for reply, sequence, last, milliseconds in chunks:
        room.say(reply, sequence, milliseconds / 1000, last=last)
        room.clock.now += 0.05
        room.player.tick()
    while room.player.busy:
        room.clock.now += 1.0
        room.player.tick()
    for reply in {chunk[0] for chunk in chunks}:
        reports = [report for report in room.reports if report.utterance_id == reply]
        assert [report.state for report in reports].count(FINISHED) == 1
        assert reports[-1].state == FINISHED
        heard = [report.heard for report in reports]
        assert heard == sorted(heard)


def test_a_paused_reply_is_silent_and_goes_on_from_the_sentence_that_was_just_begun() -> None:
    room = Room()
    room.say("a", 0, 2.0, text="One.")
    room.say("a", 1, 2.0, text="Two.")
    room.wait(2.5)
    assert room.player.pause("a")
    handed = len(room.sink.samples)
    room.say("a", 2, 1.0, last=True, text="Three.")
    room.wait(10.0)
    assert len(room.sink.samples) == handed
    assert room.reports[-1].state == PAUSED
    assert room.reports[-1].heard == pytest.approx(2.5, abs=0.011)
    assert room.reports[-1].queued == pytest.approx(2.5, abs=0.011)
    room.player.resume()
    assert len(room.sink.samples) - handed == 3 * RATE
    room.wait(3.1)
    assert room.states("a") == [STARTED, PLAYING, PAUSED, PLAYING, FINISHED]
    assert room.reports[-1].heard == pytest.approx(5.0)
    assert room.reports[-1].text == "One. Two. Three."


def test_far_into_a_sentence_the_reply_goes_on_from_the_gap_before_the_word() -> None:
    room = Room()
    sound = np.ones(5 * RATE, np.float32)
    sound[2_650:2_700] = 0.0  # a gap between two words
    room.player.add(Chunk("a", 0, True, sound, RATE, "A long sentence."))
    room.wait(3.0)
    room.player.pause("a")
    handed = len(room.sink.samples)
    room.player.resume()
    assert 5_000 - (len(room.sink.samples) - handed) == pytest.approx(2_675, abs=30)


def test_sound_comes_back_without_a_click() -> None:
    room = Room()
    room.player.add(Chunk("a", 0, True, np.ones(5 * RATE, np.float32), RATE, "A long sentence."))
    room.wait(3.0)
    room.player.pause("a")
    handed = len(room.sink.samples)
    room.player.resume()
    again = room.sink.samples[handed:]
    assert again[0] == 0.0
    assert max(abs(np.diff(again))) < 0.3
    assert again[10] == 1.0


def test_a_paused_reply_that_is_cut_ends_where_it_was_heard_to() -> None:
    room = Room()
    room.say("a", 0, 2.0, text="One.")
    room.wait(0.7)
    room.player.pause("")
    room.wait(1.0)
    room.player.interrupt("a", by_person=True)
    room.say("a", 1, 1.0, last=True)
    room.wait(1.0)
    assert room.states("a") == [STARTED, PLAYING, PAUSED, INTERRUPTED]
    assert room.reports[-1].heard == pytest.approx(0.7, abs=0.011)
    assert not room.player.busy
    assert max(room.sink.samples) == 0.0  # nothing of the late chunk


def test_only_what_plays_and_may_be_interrupted_is_paused() -> None:
    room = Room()
    assert not room.player.pause("")
    room.player.add(Chunk("a", 0, True, np.ones(RATE, np.float32), RATE, uninterruptible=True))
    room.say("b", 0, 1.0, last=True)
    assert not room.player.pause("a")
    assert not room.player.pause("b")
    room.wait(1.9)
    assert not room.player.pause("b")  # over in a moment
    room.wait(0.2)
    assert room.states("a") == room.states("b") == [STARTED, PLAYING, FINISHED]


def test_a_reply_that_pauses_before_its_first_sample_begins_at_the_beginning() -> None:
    room = Room()
    room.say("a", 0, 1.0, last=True)
    assert room.player.pause("a")
    room.wait(0.5)
    room.player.resume()
    room.wait(1.1)
    assert room.states("a") == [PAUSED, STARTED, PLAYING, FINISHED]


def test_another_sink_leaves_a_paused_reply_silent() -> None:
    room = Room()
    room.say("a", 0, 1.0, last=True)
    room.wait(0.3)
    room.player.pause("a")
    other = RecordingSink(room.clock)
    room.player.change_sink(other)
    assert other.samples == []
    room.player.resume()
    room.wait(1.1)
    assert room.reports[-1].state == FINISHED
    assert room.reports[-1].heard == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_interruptions_at_random_moments_lose_nothing_double_nothing_and_leave_nothing_stale(
    seed: int,
) -> None:
    """Each reply's samples are its number, so that whatever is handed to the sink tells whose it is."""
    chance = random.Random(seed)
    room = Room()
    cut: set[str] = set()
    for number in range(1, 101):
        reply = f"r{number}"
        count = chance.randint(1, 5)
        moment = chance.randint(0, count)
        for sequence in range(count):
            if sequence == moment:
                room.wait(chance.uniform(0.0, 0.8))
                paused = room.player.pause(reply)
                assert paused == (room.player.paused == reply)
                room.wait(chance.uniform(0.0, 0.3))
            room.player.add(Chunk(reply, sequence, sequence == count - 1, np.full(300, number, np.float32), RATE))
        room.wait(chance.uniform(0.0, 0.2))
        if room.player.paused and chance.random() < 0.5:
            room.player.resume()
        else:
            room.player.interrupt(reply)
            cut.add(reply)
            before = len(room.sink.samples)
            room.player.add(Chunk(reply, count, True, np.full(300, number, np.float32), RATE))
            room.wait(0.1)
            assert number not in room.sink.samples[before:]
        while room.player.busy:
            room.wait(0.5)
        ends = [r.state for r in room.reports if r.utterance_id == reply and r.state in (FINISHED, INTERRUPTED)]
        assert len(ends) == 1
        if ends == [FINISHED]:
            heard = [r for r in room.reports if r.utterance_id == reply][-1].heard
            assert heard == pytest.approx(0.3 * count)
    assert not room.player.busy
    assert cut


def test_what_passes_unheard_is_told_with_its_times_and_what_is_thrown_away_is_not() -> None:
    clock = Clock()
    told: list[tuple[list[float], int, float]] = []
    sink = TimedSink(clock, lambda samples, rate, at: told.append((samples.tolist(), rate, at)))
    sound = np.arange(1_000, dtype=np.float32)
    sink.write(sound, RATE)
    for _ in range(3):
        clock.now += 0.1
        sink.queued_seconds()
    sink.flush()
    clock.now += 1.0
    sink.queued_seconds()
    assert [at for _, _, at in told] == pytest.approx([50.0, 50.1, 50.2, 50.3])
    assert [sample for samples, _, _ in told for sample in samples] == sound[:300].tolist()
    assert told[-1][0] == []  # silence follows


def test_a_paused_robot_still_has_the_floor_but_is_not_audible() -> None:
    robot = RobotVoice()
    robot.update("a", PLAYING, 10.0)
    robot.update("a", PAUSED, 10.2)
    robot.update("a", PAUSED, 10.4)
    assert robot.playing(11.3) == "a"
    assert robot.audible(10.49)
    assert not robot.audible(10.51)


def test_the_robot_is_audible_while_it_plays_and_a_little_longer() -> None:
    robot = RobotVoice()
    assert not robot.audible(0.0)
    robot.update("a", STARTED, 10.0)
    assert robot.audible(10.0)
    assert robot.playing(10.5) == "a"
    robot.update("a", FINISHED, 11.0)
    assert robot.playing(11.0) == ""
    assert robot.audible(11.29)
    assert not robot.audible(11.31)


def test_a_lost_end_deafens_for_no_more_than_a_second() -> None:
    robot = RobotVoice()
    robot.update("a", PLAYING, 10.0)
    assert robot.audible(10.99)
    assert not robot.audible(11.0)
    assert robot.playing(11.0) == ""


def test_the_end_of_another_reply_changes_nothing() -> None:
    robot = RobotVoice()
    robot.update("a", PLAYING, 10.0)
    robot.update("b", INTERRUPTED, 10.1)
    assert robot.playing(10.5) == "a"
