"""Sound files, good and bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lfm_voice_ros.backends.wav_file import WavFolderSink, read_wav, write_wav
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.types import Samples


def tone(rate: int = 16_000, seconds: float = 1.0) -> Samples:
    return np.asarray(0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate), np.float32)


def assert_sounds_like(samples: Samples, expected: Samples, tolerance: float = 0.01) -> None:
    assert samples.dtype == np.float32
    assert samples.shape == expected.shape
    assert np.abs(samples - expected)[200:-200].max() < tolerance


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(), 16_000)
    assert_sounds_like(read_wav(tmp_path / "a.wav"), tone(), 1e-4)


def test_samples_beyond_full_scale_are_clipped_and_do_not_wrap(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([2.0, -2.0], np.float32), 16_000)
    assert read_wav(tmp_path / "a.wav") == pytest.approx([1.0, -1.0], abs=1e-3)


def test_writing_where_there_is_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"can't be written"):
        write_wav(tmp_path / "missing" / "a.wav", tone(), 16_000)


def test_stereo_at_44100_hz_becomes_mono_at_16_khz(tmp_path: Path) -> None:
    stereo = np.stack((tone(44_100), np.zeros(44_100, np.float32)), axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44_100)
    assert_sounds_like(read_wav(tmp_path / "a.wav"), tone() / 2)


def test_eight_bit_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), 16_000, subtype="PCM_U8")
    assert_sounds_like(read_wav(tmp_path / "a.wav"), tone(), 0.02)


def test_of_a_truncated_file_what_is_there_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, tone(), 16_000)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 8_000 + 1])
    assert_sounds_like(read_wav(path), tone()[:8_000])


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "is empty"), (20, "can't be read as a sound file"), (44, "has no samples")],
    ids=["empty", "half a header", "header only"],
)
def test_a_file_cut_off_before_its_samples_is_told_in_one_sentence(tmp_path: Path, size: int, words: str) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, tone(), 16_000)
    path.write_bytes(path.read_bytes()[:size])
    assert_is_told(path, words)


def test_a_file_that_is_no_sound_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"this is no sound at all" * 10)
    assert_is_told(path, "can't be read as a sound file")


def assert_is_told(path: Path, words: str) -> None:
    with pytest.raises(AudioError, match=words) as caught:
        read_wav(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "a.wav", tmp_path):
        with pytest.raises(AudioError, match="does not exist"):
            read_wav(path)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan], np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers"):
        read_wav(tmp_path / "a.wav")


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def folder_sink(folder: Path) -> tuple[WavFolderSink, Clock]:
    clock = Clock()
    sink = WavFolderSink(folder, clock)
    sink.start()
    return sink, clock


def test_the_folder_gets_each_reply_at_its_rate(tmp_path: Path) -> None:
    sink, clock = folder_sink(tmp_path / "new" / "folder")
    for name, rate in (("one", 22_050), ("two", 24_000)):
        sink.begin(name)
        sink.write(tone(rate)[:1_000], rate)
        sink.write(tone(rate)[1_000:], rate)
        clock.now += 1.0
        sink.end()
        samples, found = soundfile.read(tmp_path / "new" / "folder" / f"{name}.wav", dtype="float32")
        assert found == rate
        assert samples == pytest.approx(tone(rate), abs=1e-4)


def test_only_what_was_heard_before_a_flush_is_in_the_file(tmp_path: Path) -> None:
    sink, clock = folder_sink(tmp_path)
    sink.begin("one")
    sink.write(tone(), 16_000)
    clock.now += 0.25
    sink.flush()
    clock.now += 1.0
    assert sink.played_seconds() == pytest.approx(0.25)
    sink.end()
    assert read_wav(tmp_path / "one.wav").size == 4_000


def test_what_was_flushed_is_not_heard_later(tmp_path: Path) -> None:
    sink, clock = folder_sink(tmp_path)
    sink.begin("one")
    sink.write(np.full(16_000, 0.25, np.float32), 16_000)
    sink.flush()
    sink.write(np.full(16_000, 0.5, np.float32), 16_000)
    clock.now += 1.0
    sink.end()
    assert read_wav(tmp_path / "one.wav") == pytest.approx(0.5, abs=1e-3)


def test_an_id_that_is_a_path_stays_in_the_folder(tmp_path: Path) -> None:
    sink, clock = folder_sink(tmp_path / "replies")
    sink.begin("../../outside")
    sink.write(tone(), 16_000)
    clock.now += 2.0
    sink.end()
    assert [path.name for path in tmp_path.rglob("*.wav")] == ["______outside.wav"]


def test_a_file_that_cannot_be_made_is_told_and_the_sound_goes_on_unkept(tmp_path: Path) -> None:
    sink, clock = folder_sink(tmp_path)
    (tmp_path / "one.wav").mkdir()
    sink.check()
    sink.begin("one")
    sink.write(tone(), 16_000)
    clock.now += 0.5
    assert sink.played_seconds() == pytest.approx(0.5)
    with pytest.raises(ResourceError, match=r"can't be written"):
        sink.check()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError, match=r"can't be made"):
        folder_sink(tmp_path / "file" / "folder")
