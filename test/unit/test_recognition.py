"""What is believed of a recognition, and what the transcript says of the rest."""

import math

import numpy as np
import pytest

from lfm_voice_ros.core.recognition import Recognition, Segment, doubt, judge, most_tokens, repeats, spoken
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Transcript, Utterance


def segment(
    text: str = " Look left.",
    *,
    words: float = 0.9,
    no_speech: float = 0.05,
    compression: float = 0.6,
    tokens: int = 4,
) -> Segment:
    return Segment(text, tokens, math.log(words) if words else -math.inf, no_speech, compression)


def judged(*segments: Segment, seconds: float = 2.0, settings: TranscriberSettings | None = None) -> Transcript:
    return judge(segments, seconds, "en", settings or TranscriberSettings())


def test_clear_words_are_kept_without_the_spaces_around_them() -> None:
    transcript = judged(segment(" Look left. "))
    assert (transcript.text, transcript.rejection, transcript.failed) == ("Look left.", "", False)
    assert transcript.confidence == pytest.approx(0.9)
    assert transcript.language == "en"


# Word probability, no-speech probability and compression ratio as tiny.en gave them.
@pytest.mark.parametrize(
    ("text", "words", "no_speech", "compression"),
    [
        ("Nod.", 0.54, 0.31, 0.33),
        ("Halt.", 0.79, 0.54, 0.33),
        ("Stop.", 0.90, 0.45, 0.38),
        ("Center.", 0.42, 0.28, 0.47),
        ("Look right.", 0.48, 0.07, 0.58),
        ("What time is it?", 0.97, 0.02, 0.67),
    ],
)
def test_short_quiet_and_noisy_commands_survive(text: str, words: float, no_speech: float, compression: float) -> None:
    transcript = judged(segment(text, words=words, no_speech=no_speech, compression=compression))
    assert transcript.text == text


@pytest.mark.parametrize(
    ("text", "words", "no_speech", "compression"),
    [
        ("Okay, let's go.", 0.29, 0.92, 0.65),
        ("Okay.", 0.22, 0.91, 0.38),
        ("Do you want to do that?", 0.26, 0.95, 0.74),
        ("Yeah.", 0.35, 0.67, 0.38),
        ("Whoa!", 0.32, 0.49, 0.38),
        ("Hmmm...", 0.18, 0.37, 0.47),
        ("Thank you.", 0.55, 0.80, 0.60),
    ],
)
def test_words_invented_for_noise_are_refused(text: str, words: float, no_speech: float, compression: float) -> None:
    transcript = judged(segment(text, words=words, no_speech=no_speech, compression=compression))
    assert transcript.text == ""
    assert transcript.rejection
    assert not transcript.failed
    assert "okay" not in transcript.rejection.lower()


def test_the_reason_is_no_speech_where_whisper_says_so() -> None:
    assert judged(segment(words=0.3, no_speech=0.9)).rejection == "no speech (probability 0.90, words 0.30)"


def test_the_reason_is_the_word_probability_where_somebody_mumbled() -> None:
    assert judged(segment(words=0.2, no_speech=0.1)).rejection == "not understood (word probability 0.20)"


def test_a_repetition_is_refused() -> None:
    transcript = judged(segment(" center" * 30, compression=8.2, tokens=10))
    assert transcript.rejection == "a repetition (compression ratio 8.2)"


def test_more_tokens_than_can_be_said_are_refused() -> None:
    limit = most_tokens(1.0)
    assert judged(segment(tokens=limit - 1), seconds=1.0).text
    assert judged(segment(tokens=limit), seconds=1.0).rejection == "more words than 1.0 s have room for"


def test_the_token_limit_grows_with_the_sound_and_fits_into_whispers_window() -> None:
    assert most_tokens(0.1) < most_tokens(1.0) < most_tokens(10.0)
    assert most_tokens(-1.0) == most_tokens(0.0) > 0
    assert most_tokens(3600.0) <= 448 // 2 - 4


@pytest.mark.parametrize("text", ["", " ", "...", " ♪♪", "?!"])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    transcript = judged(segment(text))
    assert (transcript.text, transcript.rejection) == ("", "no words")


def test_no_segment_at_all_is_no_words() -> None:
    assert judged() == Transcript("", 0.0, "en", "no words")


def test_sound_too_short_for_a_word_is_called_so() -> None:
    assert judged(seconds=0.05).rejection == "too short (50 ms)"


def test_segments_are_joined_and_their_confidence_is_weighted_by_length() -> None:
    transcript = judged(segment(" Look left", words=0.9, tokens=3), segment(" and up.", words=0.5, tokens=1))
    assert transcript.text == "Look left and up."
    assert transcript.confidence == pytest.approx(math.exp((3 * math.log(0.9) + math.log(0.5)) / 4))


def test_an_invention_after_real_words_is_left_out() -> None:
    transcript = judged(segment(" Look left."), segment(" Thank you.", words=0.2, no_speech=0.9))
    assert (transcript.text, transcript.rejection) == ("Look left.", "")
    assert transcript.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("logprob", [math.nan, -math.inf])
def test_a_meaningless_probability_counts_as_none(logprob: float) -> None:
    transcript = judged(Segment("Look left.", 4, logprob, 0.1, 0.6))
    assert transcript.text == ""
    assert transcript.confidence == 0.0


def test_a_positive_logprob_from_rounding_is_certainty() -> None:
    assert judged(Segment("Stop.", 2, 1e-6, 0.1, 0.6)).confidence == 1.0


@pytest.mark.parametrize(
    ("strict", "what"),
    [
        (TranscriberSettings(min_confidence=0.95), segment()),
        (TranscriberSettings(max_no_speech=0.01), segment(words=0.5)),
        (TranscriberSettings(max_compression=1.0), segment(compression=1.1)),
    ],
)
def test_the_settings_are_the_thresholds(strict: TranscriberSettings, what: Segment) -> None:
    assert judged(what).text
    assert not judged(what, settings=strict).text


def doubted(*segments: Segment, seconds: float = 2.0) -> str:
    return doubt(Recognition(segments, seconds, "en"), TranscriberSettings())


def test_plain_words_are_not_recognized_again() -> None:
    assert doubted(segment()) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" Center the camera. Center the camera.", "a repetition"),
        (" Look left, look left, look", "a repetition"),
        (" No, no, no.", "a repetition"),
        (" Nod. Commands: pan left, pan right, tilt up, tilt down.", "the prompt"),
        (" ...", "no words"),
    ],
)
def test_words_that_look_made_up_are_recognized_again(text: str, reason: str) -> None:
    assert doubted(segment(text)) == reason


@pytest.mark.parametrize("text", [" What time is it?", " Pan left, pan right and tilt up.", " Shake your head, stop."])
def test_a_command_that_the_prompt_names_is_not_taken_for_it(text: str) -> None:
    assert doubted(segment(text)) == ""


def test_what_would_be_refused_is_recognized_again() -> None:
    assert doubted().startswith("no words")
    assert doubted(segment(words=0.2)).startswith("not understood")
    assert doubted(segment(words=0.5, no_speech=0.9)).startswith("no speech")
    assert doubted(segment(), segment(compression=9.0)).startswith("a repetition")
    assert doubted(segment(tokens=most_tokens(0.5)), seconds=0.5).startswith("more words")


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("", False),
        ("look", False),
        ("look look", False),
        ("look look look", True),
        ("a b a b", True),
        ("so a b c a b c", True),
        ("a b c a b d", False),
        ("look left and look right", False),
    ],
)
def test_a_repetition_is_two_words_twice_or_one_three_times(text: str, repeated: bool) -> None:
    assert repeats(text.split()) is repeated


def uttered(silence: float, *, start: float = 1_700_000_000.0) -> Utterance:
    """One second of speech before so many seconds of silence."""
    sound = np.ones(round((1.0 + silence) * SAMPLE_RATE), np.float32)
    return Utterance("u1", sound, SAMPLE_RATE, start, start, start + 1.0)


def test_however_long_the_silence_was_the_sound_to_recognize_is_the_same() -> None:
    assert spoken(uttered(0.224)).size == spoken(uttered(0.5)).size == round(1.15 * SAMPLE_RATE)


def test_sound_that_ends_with_the_speech_is_taken_as_it_is() -> None:
    assert spoken(uttered(0.0)).size == SAMPLE_RATE


def test_the_whole_sound_counts_where_the_end_of_speech_is_unknown() -> None:
    utterance = Utterance("u1", np.ones(SAMPLE_RATE, np.float32), SAMPLE_RATE, 1_700_000_000.0, 0.0, 0.0)
    assert spoken(utterance).size == SAMPLE_RATE
    assert spoken(Utterance("u1", utterance.samples, SAMPLE_RATE, 0.0, 0.0, 0.0)).size == SAMPLE_RATE
