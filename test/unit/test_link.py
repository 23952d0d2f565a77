"""What the robot does about the link to its brain."""

from __future__ import annotations

from lfm_voice_ros.core.link import Act, Cut, LinkState, LinkWatch, Say, Sentence, StopHead

LOST, AWAY, BACK = Say(Sentence.LOST), Say(Sentence.AWAY), Say(Sentence.BACK)


class Robot:
    """A watch with a clock that passes when told."""

    def __init__(self, timeout: float = 2.0) -> None:
        self.watch = LinkWatch(timeout)
        self.now = 100.0

    def connected(self, seconds: float) -> list[Act]:
        """Five heartbeats a second."""
        return self._pass(seconds, beating=True)

    def alone(self, seconds: float) -> list[Act]:
        return self._pass(seconds, beating=False)

    def hears(self, utterance_id: str) -> list[Act]:
        return self.watch.utterance(utterance_id, self.now)

    def _pass(self, seconds: float, beating: bool) -> list[Act]:
        acts: list[Act] = []
        for _ in range(round(seconds / 0.2)):
            self.now += 0.2
            acts += self.watch.beat(self.now) if beating else []
            acts += self.watch.check(self.now)
        return acts


def test_a_link_that_holds_asks_for_nothing() -> None:
    robot = Robot()

    assert robot.connected(10.0) == []
    assert robot.hears("a") == []
    assert robot.watch.state is LinkState.HERE


def test_a_loss_in_a_turn_stops_the_head_cuts_the_reply_and_is_spoken_of_once() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.hears("a")

    assert robot.alone(1.8) == []
    assert robot.alone(30.0) == [StopHead(), Cut("a"), LOST]
    assert robot.watch.state is LinkState.LOST
    assert robot.watch.losses == 1


def test_a_loss_in_a_motion_is_spoken_of() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.watch.head(moving=True)

    assert robot.alone(5.0) == [StopHead(), LOST]


def test_a_loss_that_nobody_notices_stops_the_head_in_silence() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.hears("a")
    robot.watch.closed("a")

    assert robot.alone(5.0) == [StopHead()]
    assert robot.connected(5.0) == []


def test_a_reply_that_has_come_whole_is_heard_to_its_end() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.hears("a")
    robot.watch.reply("a", last=False)
    robot.watch.reply("a", last=True)

    assert robot.alone(5.0) == [StopHead(), LOST]


def test_each_utterance_without_a_brain_is_answered_once_and_never_later() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.alone(5.0)

    assert robot.hears("a") == [Cut("a"), AWAY]
    assert robot.hears("b") == [Cut("b"), AWAY]
    assert robot.alone(5.0) == []


def test_the_return_is_told_once_the_link_has_held_for_a_second() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.hears("a")
    robot.alone(30.0)

    assert robot.connected(1.0) == []
    assert robot.connected(10.0) == [BACK]
    assert robot.hears("b") == []


def test_a_link_that_comes_and_goes_is_not_back() -> None:
    robot = Robot(timeout=0.5)
    robot.connected(1.0)
    robot.hears("a")
    robot.alone(5.0)

    for _ in range(5):
        assert robot.connected(0.4) == []
        assert robot.alone(1.6) == []
    assert robot.watch.losses == 1


def test_before_the_first_heartbeat_a_person_is_answered_but_nothing_is_lost() -> None:
    robot = Robot()

    assert robot.alone(60.0) == []
    assert robot.hears("a") == [Cut("a"), AWAY]
    assert robot.connected(1.0) == [BACK]


def test_a_turn_that_nobody_closed_is_forgotten_after_a_minute() -> None:
    robot = Robot()
    robot.connected(1.0)
    robot.hears("a")
    robot.connected(61.0)

    assert robot.alone(5.0) == [StopHead()]
