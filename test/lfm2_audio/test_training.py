"""Training: the layout that the engine decodes, runs that can be killed and repeated, adapters that do as they did."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from melodies import MELODIES, fresh, turns_of, write_melodies

pytest.importorskip("peft", reason="needs scripts/setup --lfm")
pytest.importorskip("accelerate", reason="needs scripts/setup --lfm")
pytest.importorskip("tensorboard", reason="needs scripts/setup --extra training")

from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.commands import train as train_command
from lfm_voice_ros.core.call_stream import SYNTAXES, CallStream
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, ToolCall, ToolSpec, Utterance
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
from lfm_voice_ros.lfm2_audio import random_checkpoint
from lfm_voice_ros.lfm2_audio.adapter import TOOL_TOKENS, Form, Trained, put_on, read_trained
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import MIMI_FILE, Source, load
from lfm_voice_ros.lfm2_audio.conversation import Conversation, SpeechSpan, TextSpan
from lfm_voice_ros.training.finetune import Finetuning, History, Progress, TrainSettings, _batches
from lfm_voice_ros.training.turns import (
    NO_CALL,
    STOCK_PROMPT,
    TurnMaker,
    collate,
    learner,
    losses,
    masked,
    revoiced,
)

TOOLS = [ToolSpec("pan_left", "Turn left.", {}), ToolSpec("tilt_up", "Raise the head.", {})]
QUICK = TrainSettings(steps=40, batch=4, learning_rate=0.01, warm_up=4, validate_every=20, save_every=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint.write(tmp_path_factory.mktemp("trained") / "tiny", mimi=True)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_melodies(tmp_path_factory.mktemp("said"))


def train(folder: Path, examples: list[Example], out: Path, settings: TrainSettings = QUICK) -> History:
    """Train from scratch on the checkpoint in ``folder`` and write the adapter into ``out``."""
    model = fresh(folder)
    run = Finetuning(learner(model), settings, out)
    turns = turns_of(model, examples, settings.form)
    history = run.run(turns, turns)
    run.save(Trained(settings.form, STOCK_PROMPT, ("pan_left", "tilt_up"), str(folder)))
    return history


@pytest.fixture(scope="module", params=["lora", "special_tokens"])
def trained(
    request: pytest.FixtureRequest, folder: Path, examples: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, History, Form]:
    out = tmp_path_factory.mktemp("adapter")
    settings = replace(QUICK, form=request.param, steps=250)
    silent = [replace(example, response_audio=None) for example in examples]
    return out, train(folder, silent, out, settings), request.param


def weights(folder: Path, file: str = "adapter_model.safetensors") -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = load_file(folder / file)
    return found


def same(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(value, others[name]) for name, value in some.items())


def test_a_turn_is_laid_out_as_the_engine_reads_and_writes_it(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    sample = turns_of(model, examples[:1])[0]
    conversation = Conversation(model, STOCK_PROMPT, lambda: Context(model, 512, graphs=False, failed=lambda why: None))
    conversation.listen("one", model.embed_speech(read_wav(examples[0].audio)), 100)
    conversation.reply()

    spans = conversation.spans()
    text = [token for span in spans if isinstance(span, TextSpan) for token in span.tokens]
    sound = sum(len(span.embeddings) for span in spans if isinstance(span, SpeechSpan))
    before = int((~sample.supervision_mask[0]).sum())

    assert before == len(text) + sound
    assert sample.text[0, : len(text)].tolist() == text
    with torch.no_grad():
        embedded = model.net._prefill(
            text=sample.text,
            audio_in=sample.audio_in,
            audio_in_lens=sample.audio_in_lens,
            audio_out=sample.audio_out,
            modality_flag=sample.modality_flag,
        )
    read = torch.cat([conversation._embed(span) for span in spans])
    assert torch.allclose(embedded[0, :before], read, atol=1e-5)


def test_the_sound_of_a_reply_begins_behind_the_calls_in_blocks_of_six_and_twelve(
    folder: Path, examples: list[Example]
) -> None:
    model = fresh(folder)
    sample = turns_of(model, [replace(examples[0], response="<tool>pan_left</tool> Looking left, far, far away now.")])[
        0
    ]
    learned = sample.modality_flag[0][sample.supervision_mask[0]].tolist()
    call = len(model.encode("<tool>pan_left</tool>"))
    words = len(model.encode("Looking left, far, far away now.")) + 1  # and <|text_end|>

    assert words > 6
    assert learned[: call + 6] == [1] * (call + 6)
    assert learned[call + 6 : call + 18] == [3] * 12
    assert learned.count(3) == sample.audio_out.shape[1]
    assert sample.audio_out[:, -1].tolist() == [2048] * 8  # end of audio
    assert model.decode(sample.text[0, -2:].tolist()) == "<|im_end|>\n"


def test_a_reply_without_sound_is_text_only(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    sample = turns_of(model, [replace(examples[2], response_audio=None)])[0]

    assert sample.audio_out.shape[1] == 0
    assert model.decode(sample.text[0].tolist()).endswith("assistant\nI am fine.<|im_end|>\n")


def test_results_fill_what_is_learned(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    result = {"name": "pan_left", "status": "succeeded", "data": {"moved": "thirty degrees"}}
    example = replace(examples[0], response="<tool>pan_left</tool> Left, {moved}.", results=(result,))

    assert "Left, thirty degrees." in model.decode(turns_of(model, [example])[0].text[0].tolist())


def test_padding_changes_nothing_and_ends_at_the_longest_turn(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    turns = turns_of(model, examples)
    batch = collate(turns)
    alone = losses(model, turns)
    counts = [int(turn.supervision_mask.sum()) for turn in turns]

    assert batch.modality_flag.shape[1] == max(turn.modality_flag.shape[1] for turn in turns)
    with torch.no_grad():
        together = float(model.net(batch).loss)
    mean = sum(loss * count for loss, count in zip(alone, counts, strict=True)) / sum(counts)
    assert together == pytest.approx(mean, abs=1e-4)


def test_masking_leaves_the_recording_alone_and_depends_on_the_seed(folder: Path, examples: list[Example]) -> None:
    sample = turns_of(fresh(folder), examples[:1])[0]
    before = sample.audio_in.clone()
    first, second, other = (masked(sample, torch.Generator().manual_seed(seed)).audio_in for seed in (1, 1, 2))

    assert torch.equal(sample.audio_in, before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert (first == 0).any()
    assert not (first == 0).all()


def test_masking_makes_another_voice_of_the_same_length(folder: Path, examples: list[Example]) -> None:
    (sample, *_) = turns_of(fresh(folder), examples)
    # A tone in mel 60, which a longer or shorter tract moves by up to six mels.
    tone = torch.zeros_like(sample.audio_in)
    tone[60] = 1.0

    heard = [masked(replace(sample, audio_in=tone), torch.Generator().manual_seed(seed)).audio_in for seed in range(30)]

    loudest = [int(one.sum(1).argmax()) for one in heard if one.any()]
    assert {one.shape for one in heard} == {sample.audio_in.shape}
    assert min(loudest) < 58
    assert max(loudest) > 62
    assert 54 <= min(loudest) <= max(loudest) <= 66


def test_turns_are_written_with_the_tokens_of_their_form(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)

    turn = TurnMaker(model, "special_tokens", STOCK_PROMPT, calls_only=True).make(examples[0])

    name = model.tokenizer.convert_tokens_to_ids("<|tool_name|>")
    assert name in turn.text[0].tolist()


def test_another_voice_may_be_faster_or_slower() -> None:
    mel = torch.zeros(128, 200)
    mel[60, 100] = 1.0

    heard = [revoiced(mel, torch.Generator().manual_seed(seed), tempo=0.15) for seed in range(30)]

    assert all(one.shape[0] == 128 and 170 <= one.shape[1] <= 230 for one in heard)
    assert len({one.shape[1] for one in heard}) > 10
    # What was in the middle stays there.
    assert all(abs(int(one.sum(0).argmax()) - one.shape[1] / 2) < 2 for one in heard)


def test_every_turn_is_learned_in_each_epoch_in_batches_of_like_length() -> None:
    sizes = [int(size) for size in np.random.default_rng(1).integers(50, 500, 203)]

    batches = _batches(sizes, 8, torch.Generator().manual_seed(1))

    taken = [index for batch in batches for index in batch]
    assert {len(batch) for batch in batches} == {8}
    assert set(taken) == set(range(203))
    assert len(taken) - 203 == 5  # what the last one lacked
    padded = sum(8 * max(sizes[index] for index in batch) for batch in batches)
    assert padded < 1.15 * sum(sizes[index] for index in taken)
    assert batches != _batches(sizes, 8, torch.Generator().manual_seed(2))


def test_the_first_epoch_goes_from_short_to_long_where_that_is_wanted(folder: Path, tmp_path: Path) -> None:
    sizes = [int(size) for size in np.random.default_rng(1).integers(50, 500, 40)]

    def longest(short_first: bool, steps: range) -> list[int]:
        run = Finetuning(learner(fresh(folder)), replace(QUICK, short_first=short_first), tmp_path)
        return [max(sizes[index] for index in run._chosen(step, sizes)) for step in steps]

    first, second = range(10), range(10, 20)

    assert longest(True, first) == sorted(longest(False, first)) != longest(False, first)
    assert longest(True, second) == longest(False, second)


def test_a_model_may_learn_calls_only(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    maker = TurnMaker(model, "lora", STOCK_PROMPT, calls_only=True)

    turns = [maker.make(example) for example in examples]

    learned = [model.decode(turn.text[0].tolist()).rpartition("assistant\n")[2] for turn in turns]
    assert learned == [
        *("<tool>pan_left</tool><|im_end|>\n", "<tool>tilt_up(degrees=30)</tool><|im_end|>\n"),
        *(f"{NO_CALL}<|im_end|>\n",) * 2,
    ]
    assert all(turn.audio_out.shape[1] == 0 for turn in turns)


def test_the_loss_falls_by_half(trained: tuple[Path, History, Form]) -> None:
    _, history, _ = trained

    assert history.dev[-1][1] < history.dev[0][1] / 2


def test_a_trained_adapter_calls_what_it_was_taught_and_nothing_else(
    trained: tuple[Path, History, Form], folder: Path, examples: list[Example]
) -> None:
    out, _, form = trained
    model = load(Source(str(folder), device="cpu", dtype="float32", adapter=str(out)))
    engine = Lfm2AudioEngine(model, DialogueSettings(max_reply=1.0), TOOLS)
    try:
        called = {}
        for example in examples:
            utterance = Utterance(example.transcript, read_wav(example.audio), SAMPLE_RATE, 0.0, 0.0, 0.0)
            called[example.transcript] = engine.listen(utterance)
            engine.forget(example.transcript)
    finally:
        engine.close()

    assert model.trained is not None
    assert model.trained.form == form
    assert called == {
        "Look left.": (ToolCall("pan_left"),),
        "Tilt up thirty degrees.": (ToolCall("tilt_up", {"degrees": 30}),),
        "Hello, how are you?": (),
        "I left my keys at home.": (),
    }


def test_a_merged_adapter_is_the_same_as_one_beside_the_weights(
    trained: tuple[Path, History, Form], folder: Path, examples: list[Example]
) -> None:
    out, _, form = trained
    merged, beside = (
        load(Source(str(folder), device="cpu", dtype="float32", adapter=str(out), merge_adapter=merge))
        for merge in (True, False)
    )
    turns = turns_of(merged, examples, form)

    assert losses(merged, turns) == pytest.approx(losses(beside, turns), abs=1e-4)
    assert any("lora" in name for name, _ in beside.net.named_modules())
    assert not any("lora" in name for name, _ in merged.net.named_modules())


def test_special_tokens_train_their_own_rows_and_no_others(
    folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    before = fresh(folder)
    train(folder, examples, tmp_path, replace(QUICK, form="special_tokens"))
    after = load(Source(str(folder), device="cpu", dtype="float32", adapter=str(tmp_path)))
    old, new = before.net.lfm.embed_tokens.weight, after.net.lfm.embed_tokens.weight
    own = [after.tokenizer.convert_tokens_to_ids(token) for token in TOOL_TOKENS]
    others = [row for row in range(len(old)) if row not in own]

    assert torch.equal(old[others], new[others])
    assert not torch.equal(old[own[0]], new[own[0]])  # LFM2's own token
    assert len(new) > len(old)  # those that it didn't have


def test_one_seed_gives_one_result_and_another_seed_another(
    folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        train(folder, examples, tmp_path / name, replace(QUICK, steps=6, seed=seed))

    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


class Killed(Exception):
    """Stands for a SIGKILL between two steps: nothing after it runs."""


@pytest.mark.parametrize("kind", ["lora", "all"])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    kind: str, folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    settings = replace(QUICK, steps=8, save_every=3, weights=kind, spec_augment=kind == "all")  # type: ignore[arg-type]

    def kill(where: Progress) -> None:
        if where.step == 5:
            raise Killed

    model = fresh(folder)
    with pytest.raises(Killed):
        Finetuning(learner(model), settings, tmp_path / "killed").run(turns_of(model, examples), [], kill)
    for name in ("killed", "whole"):
        model = fresh(folder)
        run = Finetuning(learner(model), settings, tmp_path / name)
        steps: list[int] = []
        run.run(turns_of(model, examples), [], lambda where, steps=steps: steps.append(where.step))  # type: ignore[misc]
        run.save(Trained("lora", STOCK_PROMPT, ("pan_left",)))
        assert steps == (list(range(4, 9)) if name == "killed" else list(range(1, 9)))
    file = "adapter_model.safetensors" if kind == "lora" else "model.safetensors"

    assert same(weights(tmp_path / "killed", file), weights(tmp_path / "whole", file))
    assert not (tmp_path / "killed" / "state.pt").exists()


def test_a_run_with_other_settings_is_not_gone_on_with(folder: Path, examples: list[Example], tmp_path: Path) -> None:
    model = fresh(folder)
    turns = turns_of(model, examples)

    def kill(where: Progress) -> None:
        if where.step == 2:
            raise Killed

    with pytest.raises(Killed):
        Finetuning(learner(model), replace(QUICK, save_every=1), tmp_path).run(turns, [], kill)
    model = fresh(folder)
    with pytest.raises(ConfigurationError, match="other settings"):
        Finetuning(learner(model), replace(QUICK, rank=4), tmp_path).run(turns, [])


@pytest.mark.parametrize(("steps", "taken"), [(2, []), (3, [3]), (5, [3, 4, 5])])
def test_a_run_can_be_made_longer_or_shorter_while_it_is_interrupted(
    steps: int, taken: list[int], folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    def kill(where: Progress) -> None:
        if where.step == 3:
            raise Killed

    model = fresh(folder)
    turns = turns_of(model, examples)
    with pytest.raises(Killed):
        Finetuning(learner(model), replace(QUICK, steps=4, save_every=2), tmp_path).run(turns, [], kill)
    steps_taken: list[int] = []
    run = Finetuning(learner(fresh(folder)), replace(QUICK, steps=steps, save_every=2), tmp_path)
    history = run.run(turns, [], lambda where: steps_taken.append(where.step))

    assert steps_taken == taken
    assert [step for step, _ in history.train] == [1, 2, *taken]


def test_training_an_adapter_leaves_the_model_as_it_was(folder: Path, examples: list[Example], tmp_path: Path) -> None:
    model = fresh(folder)
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    run = Finetuning(learner(model), replace(QUICK, steps=3), tmp_path)
    run.run(turns_of(model, examples), [])
    after = {name.replace(".base_layer", ""): value for name, value in model.net.state_dict().items()}

    assert all(torch.equal(value, after[name]) for name, value in before.items())  # the batch norms' statistics too


def test_a_whole_model_is_written_so_that_it_can_be_loaded(
    folder: Path, examples: list[Example], tmp_path: Path
) -> None:
    model = fresh(folder)
    run = Finetuning(learner(model), replace(QUICK, steps=4, weights="all", form="special_tokens"), tmp_path)
    turns = turns_of(model, examples, "special_tokens")
    run.run(turns, [])
    run.save(Trained("special_tokens", STOCK_PROMPT, ("pan_left",)))
    model.net.eval()
    again = fresh(tmp_path)

    assert losses(again, turns) == pytest.approx(losses(model, turns), abs=1e-5)
    assert again.trained is not None
    assert again.trained.form == "special_tokens"


def test_a_new_model_has_no_codec_where_no_reply_is_spoken(examples: list[Example], tmp_path: Path) -> None:
    silent = [replace(example, response_audio=None) for example in examples]

    written = train_command._beginning(Namespace(model="small", output=tmp_path, seed=1), silent)

    assert (Path(written) / "model.safetensors").exists()
    assert not (Path(written) / MIMI_FILE).exists()


def test_an_adapter_for_another_model_is_refused(trained: tuple[Path, History, Form], tmp_path: Path) -> None:
    out, _, _ = trained
    other = fresh(random_checkpoint.write(tmp_path / "small", "small"))

    with pytest.raises(ResourceError, match="doesn't fit the model"):
        put_on(other.net.lfm, other.tokenizer, out, merge=True)


@pytest.mark.parametrize("damage", ["nothing", "cut", "no numbers", "unknown form"])
def test_what_is_no_adapter_is_refused_with_what_to_do(
    damage: str, trained: tuple[Path, History, Form], folder: Path, tmp_path: Path
) -> None:
    out, _, _ = trained
    broken = tmp_path / "broken"
    if damage == "nothing":
        broken.mkdir()
    else:
        shutil.copytree(out, broken)
    file = broken / "adapter_model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    if damage == "no numbers":
        from safetensors.torch import save_file

        save_file({name: value * np.nan for name, value in weights(out).items()}, file, {"format": "pt"})
    if damage == "unknown form":
        card = json.loads((broken / "lfm_voice.json").read_text())
        (broken / "lfm_voice.json").write_text(json.dumps(card | {"form": "shouting"}))

    with pytest.raises(ResourceError, match="adapter"):
        load(Source(str(folder), device="cpu", dtype="float32", adapter=str(broken)))


def test_an_engine_takes_the_prompt_and_the_form_of_its_training(
    trained: tuple[Path, History, Form], folder: Path
) -> None:
    out, _, form = trained
    model = load(Source(str(folder), device="cpu", dtype="float32", adapter=str(out)))
    engine = Lfm2AudioEngine(model, DialogueSettings(), TOOLS)
    try:
        assert STOCK_PROMPT in engine.conversation.transcript()
    finally:
        engine.close()
    other = "output_parsing"
    with pytest.raises(ResourceError, match=form):
        Lfm2AudioEngine(model, DialogueSettings(calls=other), TOOLS)


def test_what_a_model_was_trained_for_is_read_as_it_was_written(tmp_path: Path) -> None:
    trained = Trained("lora", "Say.", ("nod",), "base", (("Nod.", "[nod()]"),))
    trained.write(tmp_path)

    assert read_trained(tmp_path) == trained
    assert read_trained(tmp_path / "elsewhere") is None


def test_the_written_calls_are_those_that_the_engine_reads(folder: Path, examples: list[Example]) -> None:
    model = fresh(folder)
    for form in ("lora", "special_tokens"):
        for example, (_, response, _) in zip(examples, MELODIES, strict=True):
            sample = turns_of(model, [replace(example, response_audio=None)], form)[0]
            learned = model.decode(sample.text[0].tolist()).rpartition("assistant\n")[2].removesuffix("<|im_end|>\n")
            stream = CallStream(SYNTAXES[form], ["pan_left", "tilt_up"])
            first, last = stream.feed(learned), stream.finish()

            assert (*first.calls, *last.calls) == example.calls
            assert (first.speech + last.speech).strip() == response.rpartition("</tool>")[2].strip()
