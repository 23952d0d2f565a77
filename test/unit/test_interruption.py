"""Whether a person who speaks into a reply interrupts it."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.backchannels import is_backchannel
from lfm_voice_ros.core.interruption import Interruption, Verdict


def spoken_into(by: str = "u1", now: float = 0.0) -> Interruption:
    interruption = Interruption()
    interruption.begin("reply", by, now)
    return interruption


def test_words_cut_the_reply_as_soon_as_a_draft_has_them() -> None:
    assert spoken_into().words("u1", "No, stop.", final=False) is Verdict.CUT


@pytest.mark.parametrize("final", [False, True])
def test_a_sign_of_listening_lets_the_reply_go_on(final: bool) -> None:
    assert spoken_into().words("u1", "Mhm.", final=final) is Verdict.RESUME


def test_no_words_let_it_go_on_only_when_that_is_final() -> None:
    interruption = spoken_into()
    assert interruption.words("u1", "", final=False) is Verdict.WAIT
    assert interruption.words("u1", "", final=True) is Verdict.RESUME


def test_speech_that_nobody_could_understand_cuts() -> None:
    assert spoken_into().words("u1", "", final=True, failed=True) is Verdict.CUT


def test_a_sign_of_listening_that_becomes_a_sentence_cuts_the_resumed_reply() -> None:
    interruption = spoken_into()
    assert interruption.words("u1", "Okay.", final=False) is Verdict.RESUME
    assert interruption.words("u1", "Okay, look to the left.", final=True) is Verdict.CUT


def test_the_verdict_is_given_once() -> None:
    interruption = spoken_into()
    assert interruption.words("u1", "Okay.", final=False) is Verdict.RESUME
    assert interruption.words("u1", "Okay.", final=True) is Verdict.WAIT


def test_the_reply_waits_for_all_who_spoke_into_it() -> None:
    interruption = spoken_into()
    interruption.begin("reply", "u2", 1.0)
    assert interruption.words("u1", "Mhm.", final=True) is Verdict.WAIT
    assert interruption.words("u2", "", final=True) is Verdict.RESUME


def test_other_peoples_words_are_none_of_its_business() -> None:
    assert spoken_into().words("u0", "Look left.", final=True) is Verdict.WAIT
    assert Interruption().words("u1", "Look left.", final=True) is Verdict.WAIT


def test_words_that_stay_out_for_three_seconds_after_speech_let_it_go_on() -> None:
    interruption = spoken_into(now=0.0)
    for second in range(1, 11):
        interruption.speaking("u1", float(second))
    assert interruption.check(12.9) is Verdict.WAIT
    assert interruption.check(13.0) is Verdict.RESUME
    assert interruption.check(14.0) is Verdict.WAIT
    assert interruption.words("u1", "Look left.", final=True) is Verdict.CUT


def test_another_reply_knows_nothing_of_the_one_before() -> None:
    interruption = spoken_into()
    interruption.begin("next", "u2", 1.0)
    assert interruption.words("u1", "Look left.", final=True) is Verdict.WAIT
    interruption.clear()
    assert interruption.words("u2", "Look left.", final=True) is Verdict.WAIT


@pytest.mark.parametrize(
    "text",
    [
        "Mhm.",
        "Mm-hmm.",
        "M-H-M",
        "MMHMM.",
        "Uh-huh!",
        "Okay.",
        "Yeah, okay.",
        "All right.",
        "Right.",
        "I see.",
        "Oh, I see.",
        "Hmm...",
        "OK",
    ],
)
def test_signs_of_listening(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No.",
        "Stop.",
        "Wait!",
        "Right?",
        "What?",
        "Turn right.",
        "Yes, look left.",
        "Okay, stop.",
        "Nope",
        "Hello.",
        "Okay 3",
        "Thank you.",
        "yes yes yes yes yes",
        "Never mind.",
    ],
)
def test_what_is_said_in_earnest(text: str) -> None:
    assert not is_backchannel(text)
