"""Lessons of a new model: it learns to hear, to read, and that what it hears is what it reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from melodies import fresh, turns_of, write_melodies

pytest.importorskip("accelerate", reason="needs scripts/setup --lfm")
pytest.importorskip("tensorboard", reason="needs scripts/setup --extra training")

from lfm_voice_ros.cli import main
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.lfm2_audio import random_checkpoint
from lfm_voice_ros.training import hearing, reading
from lfm_voice_ros.training.corpus_generator import Sentence
from lfm_voice_ros.training.finetune import Finetuning, TrainSettings
from lfm_voice_ros.training.hearing import Heard, heard, sounds
from lfm_voice_ros.training.turns import STOCK_PROMPT, TurnMaker, learner

QUICK = TrainSettings(weights="all", steps=40, batch=4, learning_rate=0.01, warm_up=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint.write(tmp_path_factory.mktemp("new") / "tiny")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_melodies(tmp_path_factory.mktemp("said"), replies=False)


def test_a_new_encoder_lets_through_what_it_hears(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    (sample, *_) = turns_of(model, examples)

    with torch.no_grad():
        encoded, _ = model.net.conformer(sample.audio_in[None], sample.audio_in_lens)

    # A tenth of it at least changes with what is said; with the library's own weights it is a twentieth.
    assert float(encoded[0].std(1).mean()) > 0.1 * float(encoded.std())


def test_an_encoder_learns_to_write_down_what_it_hears(folder: Path, examples: list[Example], tmp_path: Path) -> None:
    model = fresh(folder)
    before = model.net.conformer.pre_encode.out.weight.clone()
    said = heard(turns_of(model, examples), [sounds(example.transcript) for example in examples])
    run = Finetuning(hearing.phoneme_learner(model), QUICK, tmp_path)

    history = run.run(said, said)

    assert history.dev[-1][1] < history.dev[0][1] / 2
    assert not torch.equal(model.net.conformer.pre_encode.out.weight, before)


def test_what_sounds_are_like_is_learned_in_hearing_only(folder: Path, examples: list[Example], tmp_path: Path) -> None:
    model = fresh(folder)
    turns = turns_of(model, examples)
    said = heard(turns, [sounds(example.transcript) for example in examples])

    def statistics() -> list[torch.Tensor]:
        return [value.clone() for name, value in model.net.named_buffers() if "running" in name]

    before = statistics()
    settings = replace(QUICK, steps=2)
    Finetuning(hearing.phoneme_learner(model), settings, tmp_path / "hearing").run(said, [])
    after_hearing = statistics()
    Finetuning(learner(model), settings, tmp_path / "turns").run(turns, turns)

    assert before
    assert not any(map(torch.equal, before, after_hearing))
    assert all(map(torch.equal, after_hearing, statistics()))


def test_what_sounds_the_same_is_written_down_the_same() -> None:
    assert torch.equal(sounds("Don't  look LEFT - 30!"), sounds("don't look left. thirty"))
    assert not torch.equal(sounds("look left"), sounds("look right"))
    assert len(sounds("look left")) == 7
    assert sounds("…").numel() == 0


def test_words_are_heard_without_capitals_and_marks(folder: Path) -> None:
    tokenizer = fresh(folder).tokenizer

    assert torch.equal(
        reading.words(tokenizer, "Don't  look LEFT - now!"), reading.words(tokenizer, "don't look left now")
    )
    assert tokenizer.decode(reading.words(tokenizer, "Look up.")) == " look up"
    assert reading.words(tokenizer, "…").numel() == 0


def test_an_encoder_learns_words_and_to_give_the_embeddings_of_them(
    folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    model = fresh(folder)
    said = heard(
        turns_of(model, examples), [reading.words(model.tokenizer, example.transcript) for example in examples]
    )
    run = Finetuning(hearing.word_learner(model), replace(QUICK, steps=150), tmp_path)

    history = run.run(said, said)

    assert history.dev[-1][1] < history.dev[0][1] / 2
    with torch.no_grad():
        one = said[0]
        encoded, _ = model.net.conformer.eval()(one.audio_in[None], torch.tensor([one.audio_in.shape[1]]))
        given = model.net.audio_adapter(encoded.mT)[0]
        nearest = torch.cdist(given, model.net.lfm.embed_tokens.weight).argmin(-1)
    assert set(nearest.tolist()) - {reading.PAUSE} <= set(one.written.tolist())


def test_what_is_read_is_laid_out_as_what_is_heard(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    maker = TurnMaker(model, "lora", STOCK_PROMPT, calls_only=True)
    for example in examples:
        sample = maker.make(example)
        read = torch.tensor([400, 0, 401])

        tokens, learned = maker.make_read(read, example.calls)

        at = int((sample.modality_flag[0] != 1).nonzero()[0])  # where the sound stands
        assert torch.equal(tokens, torch.cat([sample.text[0, :at], read, sample.text[0, at:]]))
        assert torch.equal(
            tokens[learned], sample.text[0][sample.supervision_mask[0, sample.modality_flag[0] == 1] > 0]
        )


def test_sentences_are_read_with_pauses_and_some_words_misheard() -> None:
    said = torch.arange(100, 300)

    heard = reading._as_heard(said, torch.Generator().manual_seed(1))

    tokens = heard[heard != reading.PAUSE]
    assert len(tokens) == len(said)
    assert 0.05 < float((tokens != said).float().mean()) < 0.2
    assert 1.2 < (heard == reading.PAUSE).sum() / len(said) < 1.8


def test_a_language_model_learns_to_read(folder: Path, tmp_path: Path) -> None:
    model = fresh(folder)
    before = model.net.lfm.embed_tokens.weight.clone()
    maker = TurnMaker(model, "lora", STOCK_PROMPT, calls_only=True)
    sentences = [Sentence("look left", (ToolCall("pan_left"),), "command", ()), Sentence("hello", (), "talk", ())]
    sentences.append(Sentence("…", (), "talk", ()))  # where nothing was said, nothing is read
    turns = reading.read(maker, model.tokenizer, sentences, 1)
    run = Finetuning(reading.learner(model), QUICK, tmp_path)

    history = run.run(turns, turns)

    assert len(turns) == 2
    assert history.dev[-1][1] < history.dev[0][1] / 2
    assert not torch.equal(model.net.lfm.embed_tokens.weight, before)


def test_a_model_of_which_all_is_trained_may_have_lessons_before(
    folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    steps = ["--steps", "2", "--hearing-steps", "3", "--reading-steps", "4", "--words-steps", "5"]
    data = [f"--{name}={examples[0].audio.parent}" for name in ("data", "dev")]

    done = main(
        [
            "train",
            f"--model={folder}",
            "--weights=all",
            "--calls-only",
            "--batch=2",
            f"--output={tmp_path}",
            *data,
            *steps,
        ]
    )

    assert done == 0
    card = json.loads((tmp_path / "run_card.json").read_text())
    assert {name: lesson["steps"] for name, lesson in card["lessons"].items()} == {
        "hearing": 3,
        "reading": 4,
        "words": 5,
    }
    assert "Lesson before: words" in (tmp_path / "run_card.md").read_text()
    assert not list(tmp_path.rglob("state.pt"))


def test_a_new_encoder_hears_whole_sounds_first_and_gaps_later(folder: Path) -> None:
    mask = hearing.phoneme_learner(fresh(folder)).mask
    one = Heard(torch.ones(128, 200), torch.tensor([1]))
    seeds = range(10)

    def silent(done: float) -> int:
        # The upper tenth may be empty for a voice that is lower.
        return sum(
            int((mask(one, torch.Generator().manual_seed(seed), done).audio_in[:110] == 0).sum()) for seed in seeds
        )

    assert silent(0.0) == silent(0.49) == 0
    assert silent(0.5) > 0
