"""Forgetting: what a person wants deleted is gone everywhere, and nothing else is."""

from __future__ import annotations

import io
import multiprocessing
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from recorded import WHEN, record, recorded_turn

from lfm_voice_ros.cli import main
from lfm_voice_ros.dataset.forgetting import days_before, forget_days, forget_turns
from lfm_voice_ros.dataset.format import dataset_file, read_dataset, write_dataset
from lfm_voice_ros.dataset.recording import Recordings, TurnFiles, day_folders

DAYS = [date(2026, 10, 8), date(2026, 10, 9), date(2026, 10, 10)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three days with two turns each."""
    folder = tmp_path / "recordings"
    recordings = Recordings(folder)
    for number in range(6):
        recordings.add(recorded_turn(f"u{number}", recorded=WHEN + timedelta(days=number // 2)))
    return folder


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def ids(root: Path) -> list[str]:
    return [example.id for folder in day_folders(root).values() for example in read_dataset(folder)]


def forget(root: Path, *arguments: str) -> int:
    return main(["data", "forget", "--folder", str(root), *arguments])


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Somebody sits at a terminal."""
    terminal = io.StringIO(text)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)


def test_a_turn_that_is_forgotten_is_in_no_file_any_more(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_of(root)

    assert forget(root, "--turn", "u1", "--turn", "u2", "--yes") == 0

    assert ids(root) == ["u0", "u3", "u4", "u5"]
    gone = before - files_of(root)
    assert {Path(path).name for path in gone} == {
        f"u{number}{ending}" for number in (1, 2) for ending in (".wav", ".reply.wav", ".mcap")
    }
    assert "forgot 2 turns: 6 files deleted" in capsys.readouterr().out
    # Sounds and recordings are a file for each turn; what is left to look into is text.
    assert not [path for path in root.rglob("*.json*") if "u1" in path.read_text()]


def test_sound_that_was_spoken_anew_goes_with_its_turn_but_not_what_others_need(root: Path, tmp_path: Path) -> None:
    day = root / "2026-10-08"
    shared, own, outside = day / "replies" / "shared.wav", day / "replies" / "own.wav", tmp_path / "outside.wav"
    shared.parent.mkdir()
    for path in (shared, own, outside):
        path.write_bytes(b"sound")
    first, second = read_dataset(day)
    examples = [
        replace(first, response_audio=shared),
        replace(second, response_audio=shared),
        replace(first, id="again", response_audio=own),
        replace(first, id="far", audio=outside, response_audio=None),
    ]
    write_dataset(day, examples)

    forgotten = forget_turns(root, ["u0", "again", "far"])

    assert forgotten.turns == 3
    assert shared.exists()
    assert not own.exists()
    assert outside.exists()
    assert [example.id for example in read_dataset(day)] == ["u1"]


def test_a_turn_that_a_crash_left_in_no_dataset_can_be_forgotten(root: Path) -> None:
    left = TurnFiles(root / "2026-10-08", "lost").audio
    left.write_bytes(b"a voice")

    assert forget(root, "--turn", "lost", "--yes") == 0

    assert not left.exists()
    assert len(ids(root)) == 6


def test_an_unknown_turn_is_named_and_nothing_is_forgotten(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_of(root)

    assert forget(root, "--turn", "u1", "--turn", "nobody", "--yes") == 2

    assert "there is no turn nobody in" in capsys.readouterr().err
    assert files_of(root) == before


def test_a_day_is_forgotten_with_all_that_is_in_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "2026-10-09" / "train.json").write_text("what was said")

    assert forget(root, "--day", "2026-10-09", "--yes") == 0

    assert {path.name for path in root.iterdir()} == {"2026-10-08", "2026-10-10"}
    assert ids(root) == ["u0", "u1", "u4", "u5"]
    assert "forgot 2 turns: 8 files deleted" in capsys.readouterr().out


def test_a_day_without_recordings_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert forget(root, "--day", "2025-01-01", "--yes") == 2

    assert "no recordings of 2025-01-01" in capsys.readouterr().err


def test_days_are_old_after_so_many_days(root: Path) -> None:
    assert days_before(root, 1, date(2026, 10, 10)) == DAYS[:1]
    assert days_before(root, 0, date(2026, 10, 10)) == DAYS[:2]
    assert days_before(root, 30, date(2026, 10, 10)) == []


def test_what_is_older_is_forgotten_and_the_rest_stays(root: Path) -> None:
    today = datetime.now(UTC).astimezone()
    Recordings(root).add(recorded_turn("new", recorded=today))
    (root / "2026-10-08").rename(root / "2020-01-01")
    (root / "2026-10-09").rename(root / "2020-01-02")

    age = (today.date() - date(2020, 1, 2)).days
    assert forget(root, "--older-than", str(age), "--yes") == 0

    assert not (root / "2020-01-01").exists()
    assert (root / "2020-01-02").exists()
    assert ids(root) == ["u2", "u3", "u4", "u5", "new"]


def test_only_folders_of_days_are_ever_deleted(root: Path, tmp_path: Path) -> None:
    linked = tmp_path / "precious"
    linked.mkdir()
    (linked / "file").touch()
    (root / "2026-10-01").symlink_to(linked)
    for name in ("notes", "2026-13-45", "2026-10-08-copy", "20261008"):
        (root / name).mkdir()
    (root / "2026-10-02").write_text("a file")

    assert forget(root, "--all", "--yes") == 0

    left = {path.name for path in root.iterdir()}
    assert left == {"notes", "2026-13-45", "2026-10-08-copy", "20261008", "2026-10-01", "2026-10-02"}
    assert (linked / "file").exists()
    assert forget(root, "--all", "--yes") == 0


def test_a_day_whose_dataset_is_broken_can_be_forgotten(root: Path) -> None:
    dataset_file(root / "2026-10-08").write_text("[")

    assert forget(root, "--day", "2026-10-08", "--yes") == 0

    assert not (root / "2026-10-08").exists()


def test_somebody_must_say_yes(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answer(monkeypatch, "\n")
    assert forget(root, "--all") == 1
    assert "Delete 6 turns of 3 days, 2026-10-08 to 2026-10-10 in" in capsys.readouterr().out
    assert len(ids(root)) == 6

    answer(monkeypatch, "y\n")
    assert forget(root, "--turn", "u0") == 0
    assert len(ids(root)) == 5


def test_at_the_end_of_input_nothing_is_forgotten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "")

    assert forget(root, "--all") == 1
    assert len(ids(root)) == 6


def test_without_a_terminal_yes_must_be_an_option(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    assert forget(root, "--all") == 2

    assert "add --yes" in capsys.readouterr().err
    assert len(ids(root)) == 6


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert forget(tmp_path / "nowhere", "--all", "--yes") == 2

    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--all", "--turn", "u1"], ["--older-than", "-1"], ["--day", "yesterday"]])
def test_a_command_that_does_not_say_what_is_refused(root: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        forget(root, *arguments, "--yes")

    assert len(ids(root)) == 6


def test_recorders_and_forgetting_at_the_same_time_lose_nothing_of_one_another(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    Recordings(root).prepare()
    record(root, 0, 30)
    context = multiprocessing.get_context("spawn")
    recorders = [context.Process(target=record, args=(root, first, 20)) for first in (100, 200)]
    for recorder in recorders:
        recorder.start()

    for number in range(30):
        assert forget_turns(root, [f"r{number}"]).turns == 1
    for recorder in recorders:
        recorder.join(60)

    assert sorted(ids(root)) == sorted(f"r{each}" for first in (100, 200) for each in range(first, first + 20))
    assert len(files_of(root)) == 1 + 3 * 40


def test_a_day_that_is_forgotten_while_it_is_recorded_begins_anew(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    Recordings(root).prepare()
    context = multiprocessing.get_context("spawn")
    recorder = context.Process(target=record, args=(root, 0, 60))
    recorder.start()

    forgotten = 0
    while recorder.is_alive():
        forgotten += forget_days(root, list(day_folders(root))).turns
    recorder.join(60)

    assert recorder.exitcode == 0
    listed = ids(root)
    assert forgotten + len(listed) == 60
    assert len(files_of(root)) == (1 if listed else 0) + 3 * len(listed)
