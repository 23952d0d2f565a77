"""Dividing a dataset: no speaker and no template in two parts, the same parts every time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lfm_voice_ros import cli
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.dataset.format import Example, read_dataset, write_dataset
from lfm_voice_ros.dataset.split import Division, divide

BOTH = ("speaker", "template")

names = st.sampled_from(["", *"abcdefghij"])
drawn = st.lists(
    st.tuples(names, st.lists(st.sampled_from("qrstuvwxyz"), max_size=3, unique=True), st.booleans()), max_size=60
)


def example(number: int, speaker: str = "", templates: Sequence[str] = (), kind: str = "command") -> Example:
    return Example(
        Path(f"/d/{number}.wav"), f"{number}", "Hello.", speaker=speaker, templates=tuple(templates), kind=kind
    )


def people(speakers: int, templates: int, count: int) -> list[Example]:
    """Examples of some speakers, of a template each, whichever."""
    return [
        example(n, f"s{n % speakers}", [f"t{n if templates == count else Random(n).randrange(templates)}"])
        for n in range(count)
    ]


def part_by_number(division: Division) -> dict[str, str]:
    return {one.transcript: part for part, members in division.parts.items() for one in members}


@settings(deadline=None)
@given(drawn, st.sampled_from([BOTH, ("speaker",), ("template",)]), st.integers(0, 5))
def test_nothing_that_is_kept_apart_is_in_two_parts_and_nothing_is_lost(
    some: list[tuple[str, list[str], bool]], by: tuple[str, ...], seed: int
) -> None:
    examples = [
        replace(example(number, speaker, templates), review="rejected" if rejected else "")
        for number, (speaker, templates, rejected) in enumerate(some)
    ]
    # With these, which share nothing, hardly any part is empty.
    examples += [example(number, f"own{number}", [f"own{number}"]) for number in range(100, 120)]
    try:
        division = divide(examples, 0.2, 0.2, by, seed)
    except ConfigurationError:
        assume(False)
    parts = list(division.parts.values())
    for one, other in combinations(parts, 2):
        assert not {e.audio for e in one} & {e.audio for e in other}
        if "speaker" in by:
            assert not {e.speaker for e in one if e.speaker} & {e.speaker for e in other if e.speaker}
        if "template" in by:
            assert not {t for e in one for t in e.templates} & {t for e in other for t in e.templates}
    assert all(parts)
    assert not any(e.review for part in parts for e in part)
    assert sum(map(len, parts)) + division.mixed + division.rejected == len(examples)
    assert division.rejected == sum(rejected for *_, rejected in some)


@pytest.mark.parametrize("by", [BOTH, ("speaker",), ("template",)])
def test_the_parts_are_as_large_as_asked_for_where_little_is_shared(by: tuple[str, ...]) -> None:
    examples = people(40, 2000, 2000)
    division = divide(examples, 0.1, 0.15, by, 1)
    sizes = {part: len(members) / 2000 for part, members in division.parts.items()}
    assert sizes == pytest.approx({"train": 0.75, "dev": 0.1, "test": 0.15}, abs=0.03)
    assert division.mixed == 0


def test_what_mixes_is_left_out_and_counted() -> None:
    examples = people(10, 20, 1000)
    division = divide(examples, 0.2, 0.2, BOTH, 1)
    assert division.mixed == 1000 - sum(map(len, division.parts.values()))
    assert 100 < division.mixed < 900


def test_by_speaker_templates_may_be_shared_and_the_other_way_round() -> None:
    examples = people(5, 3, 300)
    assert divide(examples, 0.2, 0.2, ["speaker"], 1).mixed == 0
    shared = [{e.speaker for e in part} for part in divide(examples, 0.2, 0.2, ["template"], 1).parts.values()]
    assert shared[0] & shared[1] & shared[2]


def test_three_speakers_are_enough_and_who_said_most_is_trained_on() -> None:
    examples = [example(n, "much" if n < 80 else "little" if n < 90 else "some", [f"t{n}"]) for n in range(100)]
    for seed in range(5):
        parts = divide(examples, 0.1, 0.15, BOTH, seed).parts
        assert {e.speaker for e in parts["train"]} == {"much"}


def test_examples_that_name_nothing_count_each_as_their_own() -> None:
    division = divide([example(n) for n in range(200)], 0.1, 0.15, BOTH, 1)
    assert {part: len(members) for part, members in division.parts.items()} == {"train": 150, "dev": 20, "test": 30}
    assert division.alone == {"speaker": 200, "template": 200}


def test_the_same_seed_gives_the_same_parts_in_the_order_of_the_dataset_and_another_seed_others() -> None:
    examples = people(10, 500, 500)
    first = divide(examples, 0.1, 0.15, BOTH, 1)
    assert first == divide(examples, 0.1, 0.15, BOTH, 1)
    assert part_by_number(first) == part_by_number(divide(examples[::-1], 0.1, 0.15, BOTH, 1))
    assert part_by_number(first) != part_by_number(divide(examples, 0.1, 0.15, BOTH, 2))
    assert all([int(e.transcript) for e in m] == sorted(int(e.transcript) for e in m) for m in first.parts.values())


def test_examples_that_are_added_move_few_of_the_others() -> None:
    everything = [example(n, f"s{n}", [f"t{n}"]) for n in range(1100)]
    before = part_by_number(divide(everything[:1000], 0.1, 0.15, BOTH, 1))
    after = part_by_number(divide(everything, 0.1, 0.15, BOTH, 1))
    moved = Counter((before[number], after.get(number)) for number in before if after.get(number) != before[number])
    assert moved.total() < 50


@pytest.mark.parametrize(("dev", "test"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)])
def test_shares_that_make_no_sense_are_refused(dev: float, test: float) -> None:
    with pytest.raises(ConfigurationError, match="--dev and --test"):
        divide(people(10, 10, 100), dev, test, BOTH, 1)


@pytest.mark.parametrize(
    ("examples", "by", "todo"),
    [
        (people(2, 100, 100), BOTH, "--by speaker or --by template alone"),
        (people(2, 100, 100), ("speaker",), "more speakers"),
        (people(100, 2, 100), ("template",), "more templates"),
        ([], BOTH, "nothing for train"),
    ],
)
def test_a_part_that_would_be_empty_is_told_with_what_to_do(
    examples: list[Example], by: tuple[str, ...], todo: str
) -> None:
    with pytest.raises(ConfigurationError, match=todo):
        divide(examples, 0.1, 0.15, by, 1)


def test_the_command_writes_three_datasets_and_says_what_is_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [replace(one, audio=tmp_path / "audio" / one.audio.name) for one in people(10, 20, 200)]
    made += [replace(example(900), review="rejected"), example(901, "", ["t900"], "talk")]
    write_dataset(tmp_path, made)
    assert cli.main(["data", "split", str(tmp_path), "--seed", "3"]) == 0
    out = capsys.readouterr().out
    parts = {part: read_dataset(tmp_path / f"{part}.json") for part in ("train", "dev", "test")}
    assert {one.audio.name for members in parts.values() for one in members} < {one.audio.name for one in made}
    assert all(f"{len(members)} (" in out for members in parts.values())
    assert f"{201 - sum(map(len, parts.values()))} of 201 examples are left out" in out
    assert "1 rejected examples are left out" in out
    assert "1 examples name no speaker" in out
    assert json.loads((tmp_path / "dev.json").read_text("utf-8"))[0]["audio"].startswith("audio/")


def test_a_part_is_not_divided_into_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_dataset(tmp_path / "train.json", people(10, 100, 100))
    before = path.read_bytes()
    assert cli.main(["data", "split", str(path)]) == 2
    assert "overwritten" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_nothing_is_written_where_a_part_would_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path, people(1, 100, 100))
    assert cli.main(["data", "split", str(tmp_path), "--by", "speaker"]) == 2
    assert "more speakers" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]


def test_an_unknown_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "split", "x", "--by", "voice"])
    assert ended.value.code == 2
    assert "there is no key 'voice'" in capsys.readouterr().err
