"""Spoken corpora, with the real Piper, espeak-ng and flite where they are, and the real Whisper that listens."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.backends.espeak import Espeak
from lfm_voice_ros.backends.flite import VOICES, Flite
from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import Json, Samples
from lfm_voice_ros.evaluation.corpus import read_corpus
from lfm_voice_ros.training.speech_corpus import Summary, synthesize

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed; sudo apt-get install espeak-ng"
)
needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None, reason="flite is not installed; sudo apt-get install flite"
)
SENTENCES: Sequence[Json] = (
    {"text": "Look left.", "calls": [{"name": "pan_left", "args": {}}], "note": "kept"},
    {"text": "What time is it?", "calls": [{"name": "get_time", "args": {}}]},
    {"text": "The weather is nice today.", "calls": []},
    {"text": "Tilt down ten degrees.", "calls": [{"name": "tilt_down", "args": {"degrees": 10}}]},
    {"text": "Please nod.", "calls": [{"name": "nod", "args": {}}]},
    {"text": "I left my keys on the table.", "calls": []},
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six sentences."""
    return write(tmp_path / "corpus.jsonl", SENTENCES)


def write(path: Path, sentences: Sequence[Json]) -> Path:
    path.write_text("".join(json.dumps(sentence) + "\n" for sentence in sentences))
    return path


def run(corpus: Path, out: Path, **changes: Any) -> Summary:
    arguments: dict[str, Any] = {
        "voices": ["piper"],
        "conditions": ["clean"],
        "seed": 1,
        "limit": None,
        "progress": lambda _: None,
    }
    return synthesize(corpus, out, **{**arguments, **changes})


def lines(out: Path) -> list[Json]:
    return [json.loads(line) for line in (out / "corpus.jsonl").read_text().splitlines()]


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def words(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum() or c == " ").replace("10", "ten")


def test_a_corpus_keeps_its_fields_and_gets_recordings(corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []
    conditions = ["clean", "noise:20", "motor:15", "babble:10.5", "room:0.3", "room:0.4+noise:20"]
    summary = run(corpus, tmp_path / "out", conditions=conditions, progress=told.append)
    assert summary == Summary(tmp_path / "out" / "corpus.jsonl", made=6, kept=0, skipped=0)
    assert len(told) == 6
    made = lines(tmp_path / "out")
    assert [{key: line[key] for key in original} for original, line in zip(SENTENCES, made, strict=True)] == list(
        SENTENCES
    )
    assert [line["audio"] for line in made] == [f"audio/{number:05d}.wav" for number in range(1, 7)]
    assert {line["voice"] for line in made} == {"piper"}
    assert {line["condition"]: line.get("snr_db") for line in made} == dict(
        zip(conditions, (None, 20, 15, 10.5, None, 20), strict=True)
    )
    assert "snr_db" not in next(line for line in made if line["condition"] == "clean")
    for example in read_corpus(summary.corpus):
        assert example.audio is not None
        info = soundfile.info(example.audio)
        assert (info.samplerate, info.channels, info.format, info.subtype) == (16_000, 1, "WAV", "PCM_16")
        sound = read_wav(example.audio)
        assert 0.9 + 0.4 < sound.size / 16_000 < 0.9 + 4
        assert 0.1 < np.abs(sound).max() <= 0.951


def test_speech_lies_between_silence_in_which_only_noise_is_heard(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "clean", limit=1)
    run(corpus, tmp_path / "noisy", limit=1, conditions=["noise:10"])
    clean, noisy = (read_wav(tmp_path / name / lines(tmp_path / name)[0]["audio"]) for name in ("clean", "noisy"))
    assert not clean[: round(0.3 * 16_000)].any()
    assert not clean[-round(0.6 * 16_000) :].any()
    assert clean[round(0.3 * 16_000) : -round(0.6 * 16_000)].any()
    assert np.abs(noisy[: round(0.3 * 16_000)]).max() > 0.001
    assert np.abs(noisy[-round(0.6 * 16_000) :]).max() > 0.001


def test_a_clean_recording_has_the_words(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", limit=3)
    whisper = load_transcriber(TranscriberSettings())
    for example in read_corpus(tmp_path / "out" / "corpus.jsonl"):
        assert example.audio is not None
        assert words(whisper.transcribe(read_wav(example.audio)).text) == words(example.text)


@needs_espeak
def test_a_clean_recording_of_another_voice_has_most_of_the_words(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", voices=["espeak:en-us"])
    whisper = load_transcriber(TranscriberSettings())
    found: list[bool] = []
    for example in read_corpus(tmp_path / "out" / "corpus.jsonl"):
        assert example.audio is not None
        heard = words(whisper.transcribe(read_wav(example.audio)).text).split()
        found.extend(word in heard for word in words(example.text).split())
    assert np.mean(found) > 0.6


@needs_espeak
def test_the_same_seed_gives_the_same_files_and_another_seed_others(corpus: Path, tmp_path: Path) -> None:
    how = {"voices": ["piper", "espeak:en-gb+f3"], "conditions": ["noise:10", "motor:10", "babble:10", "room:0.5"]}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        run(corpus, tmp_path / name, seed=seed, **how)
    first, again, other = (files(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert all(first[name] != other[name] for name in first if name.endswith(".wav"))


@needs_espeak
def test_voices_conditions_and_pairs_are_dealt_evenly_whatever_the_order_of_the_corpus(tmp_path: Path) -> None:
    sentences: list[Json] = [{"text": f"Number {n}.", "calls": [], "odd": n % 2} for n in range(24)]
    voices, conditions = ["espeak:en-us", "espeak:en-gb"], ["clean", "noise:20", "motor:20", "room:0.3"]
    run(write(tmp_path / "corpus.jsonl", sentences), tmp_path / "out", voices=voices, conditions=conditions)
    made = lines(tmp_path / "out")
    assert set(Counter((line["voice"], line["condition"]) for line in made).values()) == {3}
    assert len({(line["voice"], line["odd"]) for line in made}) == 4


def test_a_corpus_that_was_spoken_once_can_be_spoken_again(corpus: Path, tmp_path: Path) -> None:
    noisy = run(corpus, tmp_path / "noisy", limit=2, conditions=["noise:10"]).corpus
    run(noisy, tmp_path / "out")
    for line in lines(tmp_path / "out"):
        assert line["condition"] == "clean"
        assert "snr_db" not in line


def test_a_limit_draws_lines_that_a_higher_limit_adds_to(corpus: Path, tmp_path: Path) -> None:
    out, conditions = tmp_path / "out", ["clean", "noise:20", "room:0.3"]
    assert run(corpus, out, limit=2, conditions=conditions).made == 2
    first, sounds = lines(out), files(out)
    assert len(first) == 2
    assert [line["text"] for line in first] != [sentence["text"] for sentence in SENTENCES[:2]]
    summary = run(corpus, out, limit=5, conditions=conditions)
    assert (summary.made, summary.kept) == (3, 2)
    more = lines(out)
    assert len(more) == 5
    assert [line["audio"] for line in more] == sorted(line["audio"] for line in more)
    assert all(line in more for line in first)
    assert all(files(out)[name] == sound for name, sound in sounds.items() if name.endswith(".wav"))


def test_an_interrupted_run_goes_on_and_ends_with_the_same_files(corpus: Path, tmp_path: Path) -> None:
    conditions = ["noise:10", "room:0.3"]
    run(corpus, tmp_path / "whole", conditions=conditions)

    def interrupt(message: str) -> None:
        if message.startswith("3 of 6"):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(corpus, out, conditions=conditions, progress=interrupt)
    assert not (out / "corpus.jsonl").exists()
    kept = (out / "audio" / "00001.wav").stat().st_mtime_ns
    (out / "audio" / "00004.wav.part").write_bytes(b"half a")
    summary = run(corpus, out, conditions=conditions)
    assert (summary.made, summary.kept) == (3, 3)
    assert (out / "audio" / "00001.wav").stat().st_mtime_ns == kept
    assert files(out) == files(tmp_path / "whole")


def test_a_recording_has_its_name_only_when_it_is_complete(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, samples: Samples, rate: int) -> None:
        path.write_bytes(b"RIFF")
        raise KeyboardInterrupt

    monkeypatch.setattr("lfm_voice_ros.training.speech_corpus.write_wav", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(corpus, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.wav"))


@pytest.mark.parametrize(
    "changes",
    [{"seed": 2}, {"conditions": ["noise:20"]}, {"conditions": ["clean", "clean"]}],
)
def test_recordings_of_another_run_are_not_taken_for_its_own(
    corpus: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run(corpus, tmp_path / "out", limit=1)
    before = files(tmp_path / "out")
    with pytest.raises(ConfigurationError, match="choose another folder or delete it"):
        run(corpus, tmp_path / "out", limit=1, **changes)
    assert files(tmp_path / "out") == before


def test_recordings_of_a_corpus_that_has_changed_are_refused(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", limit=1)
    write(corpus, SENTENCES[::-1])
    with pytest.raises(ConfigurationError, match="another corpus"):
        run(corpus, tmp_path / "out", limit=1)


def test_the_corpus_itself_is_not_overwritten(corpus: Path, tmp_path: Path) -> None:
    before = corpus.read_bytes()
    with pytest.raises(ConfigurationError, match="holds another corpus"):
        run(corpus, tmp_path)
    assert corpus.read_bytes() == before


def test_what_cant_be_spoken_is_skipped_and_counted(tmp_path: Path) -> None:
    sentences: list[Json] = [{"text": text, "calls": []} for text in ("...", "Look left.", "", "\ud800 🙂")]
    summary = run(write(tmp_path / "corpus.jsonl", sentences), tmp_path / "out")
    assert (summary.made, summary.skipped) == (1, 3)
    assert [line["audio"] for line in lines(tmp_path / "out")] == ["audio/00002.wav"]
    assert list(files(tmp_path / "out")) == ["audio/00002.wav", "corpus.jsonl", "recipe.json"]


def test_babble_is_made_of_the_other_sentences(
    corpus: Path, tmp_path: Path, voice: Piper, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: list[str] = []
    speak = Piper.synthesize

    def listen(self: Piper, text: str) -> Any:
        spoken.append(text)
        return speak(self, text)

    monkeypatch.setattr(Piper, "synthesize", listen)
    run(corpus, tmp_path / "out", limit=1, conditions=["babble:10"])
    assert len(spoken) == len(set(spoken)) == 5
    assert spoken[0] == lines(tmp_path / "out")[0]["text"]


@needs_espeak
def test_babble_is_spoken_by_the_other_voices(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[str] = []
    speak = Espeak.synthesize

    def listen(self: Espeak, text: str) -> Any:
        spoken.append(self.name)
        return speak(self, text)

    monkeypatch.setattr(Espeak, "synthesize", listen)
    run(corpus, tmp_path / "out", voices=["espeak:en-us", "espeak:en-gb"], conditions=["babble:10"])
    expected: list[str] = []
    for line in lines(tmp_path / "out"):
        own, other = line["voice"], {"espeak:en-us": "espeak:en-gb", "espeak:en-gb": "espeak:en-us"}[line["voice"]]
        expected += [own, *4 * [other]]
    assert [name.replace("espeak-ng ", "espeak:") for name in spoken] == expected


def test_babble_needs_other_sentences(tmp_path: Path) -> None:
    corpus = write(tmp_path / "corpus.jsonl", [*SENTENCES[:1], {"text": "...", "calls": []}])
    with pytest.raises(ConfigurationError, match="babble needs other sentences"):
        run(corpus, tmp_path / "out", conditions=["babble:10"])


@pytest.mark.parametrize("voice", ["festival", "", "espeak", "espeak:", "flite", "flite:", "piper:joe"])
def test_an_unknown_voice_is_refused_with_those_that_there_are(corpus: Path, tmp_path: Path, voice: str) -> None:
    with pytest.raises(ConfigurationError, match=f"there is no voice '{voice}'; there are: piper, flite:VOICE"):
        run(corpus, tmp_path / "out", voices=[voice])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "condition",
    [
        *("", "rain", "noise", "noise:", "noise:loud", "noise:nan", "noise:61", "room:0", "room:9", "rain:5"),
        *("clean:1", "noise:5+motor:5", "room:0.3+room:0.3", "clean+noise:5", "noise:5+"),
    ],
)
def test_an_unknown_condition_is_refused_with_those_that_there_are(
    corpus: Path, tmp_path: Path, condition: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run(corpus, tmp_path / "out", conditions=["clean", condition])
    assert str(caught.value).startswith(f"there is no condition '{condition}'; there are: clean, noise:SNR")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{"voices": []}, {"conditions": []}, {"seed": -1}, {"limit": 0}])
def test_what_makes_no_sense_is_refused(corpus: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        run(corpus, tmp_path / "out", **changes)


def test_an_unusable_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        run(tmp_path / "none.jsonl", tmp_path / "out")


def test_a_folder_that_cant_be_made_says_so(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ResourceError, match="can't be written"):
        run(corpus, tmp_path / "out")


def test_a_missing_espeak_says_how_to_install_it(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="sudo apt-get install espeak-ng") as caught:
        run(corpus, tmp_path / "out", voices=["espeak:en-us"])
    assert "\n" not in str(caught.value)


@needs_espeak
def test_espeak_says_a_sentence_at_its_rate() -> None:
    voice = Espeak("en-gb-scotland")
    (sound,) = voice.synthesize("Look left, thirty degrees.")
    assert (voice.name, voice.sample_rate) == ("espeak-ng en-gb-scotland", 22_050)
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert 1.0 < sound.size / voice.sample_rate < 4.0
    assert 0.1 < np.abs(sound).max() <= 1.0


@needs_espeak
def test_espeak_is_faster_and_higher_as_asked() -> None:
    (slow,), (fast,) = (Espeak("en-us", speed=speed).synthesize("Look left, thirty degrees.") for speed in (120, 240))
    assert slow.size > 1.5 * fast.size
    (low,), (high,) = (Espeak("en-us", pitch=pitch).synthesize("Look left.") for pitch in (30, 70))
    assert not np.array_equal(low, high)


@needs_espeak
@pytest.mark.parametrize("text", ["", "   ", "...", "🙂", "\0", "\ud800", "[[]]"])
def test_what_espeak_cant_speak_gives_no_sound(text: str) -> None:
    assert list(Espeak("en-us").synthesize(text)) == []


@needs_espeak
@pytest.mark.parametrize("text", ["-v de look left", "Look\0 left.", "Look \ud800left.", "[[Look]] left.", "Café 🙂."])
def test_espeak_speaks_the_text_whatever_is_in_it(text: str) -> None:
    (sound,) = Espeak("en-us").synthesize(text)
    assert sound.size > 22_050 // 3


@needs_espeak
def test_brackets_make_no_phonemes() -> None:
    (plain,), (other,) = (Espeak("en-us").synthesize(text) for text in ("Look left.", "[[Look]] left."))
    assert np.array_equal(plain, other)


@needs_espeak
@pytest.mark.parametrize("voice", ["xx", "en-mars", "mb-us1", "en-uk", "", "+f3", "-h"])
def test_a_voice_that_espeak_does_not_have_is_refused_with_the_english_ones(voice: str) -> None:
    with pytest.raises(ConfigurationError, match=r"there are for English: en-029, en-gb, .*en-us"):
        Espeak(voice)


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us+nobody", "en-us+"])
def test_a_variant_that_espeak_does_not_have_is_refused_with_those_that_there_are(voice: str) -> None:
    with pytest.raises(ConfigurationError, match=r"has no variant '(nobody)?'; there are: .*f3.* m3"):
        Espeak(voice)


@needs_espeak
def test_a_variant_sounds_different() -> None:
    (plain,), (other,) = (Espeak(voice).synthesize("Look left.") for voice in ("en-us", "en-us+f3"))
    assert not np.array_equal(plain, other)


@needs_espeak
def test_a_program_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = Espeak("en-us")

    def fail(arguments: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, arguments, stderr=b"no memory\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ResourceError, match="espeak-ng en-us failed; choose another voice: no memory"):
        list(voice.synthesize("Look left."))


@needs_flite
def test_a_clean_recording_of_flite_has_most_of_the_words(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", voices=["flite:rms", "flite:slt"])
    assert {line["voice"] for line in lines(tmp_path / "out")} == {"flite:rms", "flite:slt"}
    whisper = load_transcriber(TranscriberSettings())
    found: list[bool] = []
    for example in read_corpus(tmp_path / "out" / "corpus.jsonl"):
        assert example.audio is not None
        heard = words(whisper.transcribe(read_wav(example.audio)).text).split()
        found.extend(word in heard for word in words(example.text).split())
    assert np.mean(found) > 0.6


@needs_flite
@pytest.mark.parametrize("name", VOICES)
def test_flite_says_a_sentence_at_its_rate_always_the_same(name: str) -> None:
    voice = Flite(name)
    (sound,), (again,) = (voice.synthesize("Look left, thirty degrees.") for _ in range(2))
    assert (voice.name, voice.sample_rate) == (f"flite {name}", 8_000 if name == "kal" else 16_000)
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert 1.0 < sound.size / voice.sample_rate < 4.0
    assert 0.1 < np.abs(sound).max() <= 1.0
    assert np.array_equal(sound, again)


@needs_flite
def test_flite_is_slower_as_asked() -> None:
    (quick,), (slow,) = (Flite("rms", stretch).synthesize("Look left, thirty degrees.") for stretch in (0.8, 1.6))
    assert slow.size > 1.5 * quick.size


@needs_flite
@pytest.mark.parametrize("text", ["", "   ", "...", "🙂", "\0", "\ud800", "时间"])
def test_what_flite_cant_speak_gives_no_sound(text: str) -> None:
    assert list(Flite("rms").synthesize(text)) == []


@needs_flite
@pytest.mark.parametrize("text", ["-h look left", "Look\0 left.", "Look \ud800left.", "Café 🙂.", "<b>look</b>"])
def test_flite_speaks_the_text_whatever_is_in_it(text: str) -> None:
    (sound,) = Flite("rms").synthesize(text)
    assert sound.size > 16_000 // 3


@needs_flite
def test_flite_speaks_letters_without_their_accents() -> None:
    (plain,), (accented,) = (Flite("rms").synthesize(text) for text in ("Cafe in Sao Paulo.", "Café in São Paulo."))
    assert np.array_equal(plain, accented)


@pytest.mark.parametrize("voice", ["", "nobody", "awb_time", "-h", "./voice.flitevox"])
def test_a_voice_that_flite_does_not_have_is_refused_with_those_that_there_are(voice: str) -> None:
    with pytest.raises(ConfigurationError, match="there are: slt, awb, rms, kal, kal16"):
        Flite(voice)


@pytest.mark.parametrize("speed", [0.0, -1.0, 9.0, float("nan")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ConfigurationError, match=r"it must be 0\.3 to 3"):
        Flite("rms", speed)


def test_a_missing_flite_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="sudo apt-get install flite"):
        Flite("rms")


@needs_flite
def test_a_flite_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = Flite("rms")

    def fail(arguments: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, arguments, stderr=b"no memory\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ResourceError, match="flite rms failed; choose another voice: no memory"):
        list(voice.synthesize("Look left."))


@needs_flite
def test_a_flite_that_hangs_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = Flite("rms")
    monkeypatch.setattr("lfm_voice_ros.backends.flite._TIMEOUT", 0.0)
    with pytest.raises(ResourceError, match="install flite again"):
        list(voice.synthesize("Look left."))
