"""A few turns that a tiny LFM2-Audio can learn in seconds: sound that differs, and answers to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfm_voice_ros.backends.wav_file import write_wav
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.dataset.format import Example, write_dataset

if TYPE_CHECKING:
    from lfm_voice_ros.lfm2_audio.adapter import Form
    from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio

#: What is said, the response, the kind.
MELODIES: Sequence[tuple[str, str, str]] = (
    ("Look left.", "<tool>pan_left</tool> Looking left.", "command"),
    ("Tilt up thirty degrees.", "<tool>tilt_up(degrees=30)</tool> Looking up.", "command"),
    ("Hello, how are you?", "I am fine.", "talk"),
    ("I left my keys at home.", "I see.", "near_miss"),
)


def write_melodies(folder: Path, *, replies: bool = True) -> list[Example]:
    """Write a dataset of them into ``folder``: each has a melody of its own, and replies are noise."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    examples = []
    for number, (said, response, kind) in enumerate(MELODIES):
        audio, reply = folder / f"{number}.wav", folder / f"{number}.reply.wav"
        pitch = np.repeat(random.uniform(150, 1500, 10), SAMPLE_RATE // 10)
        melody = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)
        write_wav(audio, melody.astype(np.float32), SAMPLE_RATE)
        if replies:
            write_wav(reply, (0.1 * random.standard_normal(20_000)).astype(np.float32), 24_000)
        examples.append(
            Example(audio, said, response, reply if replies else None, kind=kind, templates=(said,), speaker="melody")
        )
    write_dataset(folder, examples)
    return examples


def fresh(folder: Path) -> Lfm2Audio:
    """Load the LFM2-Audio in ``folder`` on the CPU, for one test alone."""
    from lfm_voice_ros.lfm2_audio.checkpoint import Source, load

    return load(Source(str(folder), device="cpu", dtype="float32"))


def turns_of(model: Lfm2Audio, examples: Sequence[Example], form: Form = "lora") -> list[Any]:
    """Give what the model learns of examples."""
    from lfm_voice_ros.training.turns import STOCK_PROMPT, TurnMaker, make_turns

    return make_turns(TurnMaker(model, form, STOCK_PROMPT), examples)


def write_adapter(folder: Path) -> tuple[Path, Path]:
    """Write a tiny LFM2-Audio and an adapter for it that has hardly learned; give both folders."""
    from lfm_voice_ros.lfm2_audio import random_checkpoint
    from lfm_voice_ros.lfm2_audio.adapter import Trained
    from lfm_voice_ros.training.finetune import Finetuning, TrainSettings
    from lfm_voice_ros.training.turns import STOCK_PROMPT, learner

    base, out = random_checkpoint.write(folder / "tiny"), folder / "adapter"
    model = fresh(base)
    run = Finetuning(learner(model), TrainSettings(steps=2, batch=2), out)
    run.run(turns_of(model, write_melodies(folder / "said", replies=False)), [])
    run.save(Trained("lora", STOCK_PROMPT, ("pan_left",), str(base)))
    return base, out
