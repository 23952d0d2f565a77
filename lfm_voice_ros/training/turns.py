"""Examples of a dataset as LFM2-Audio learns them: in the layout in which the engine has it answer.

Behind the system turn and the user turn with the sound stands what is learned:

    calls, as text  |  six tokens, twelve frames, … <|text_end|> … end of audio  |  <|im_end|>

A reply without sound is text only. The sound begins behind the calls, never inside of one. liquid-audio's own mapper
lays a turn out; its loader, which pads each one to 4096 positions, isn't used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lfm_voice_ros.core.call_syntax import write_in_tokens, write_tag
from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ResourceError
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.lfm2_audio.adapter import Form, add_tool_tokens
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.training.learner import Learner

#: What LFM2-Audio's authors trained conversations with; other runtimes (GGUF) take no other.
STOCK_PROMPT = "Respond with interleaved text and audio."

#: What is answered where nothing is called, by a model that learns nothing but calls.
NO_CALL = "I see."

_PLACE = "<|text_start|>"  # any token that no turn has
_LONGEST = 3000  # positions of a turn
_TRACT = 0.1  # of the length of a voice's tract


class TurnMaker:
    """Makes what the model learns of an example. For one thread."""

    def __init__(self, model: Lfm2Audio, form: Form, system_prompt: str, calls_only: bool = False) -> None:
        """With ``calls_only`` replies are left out: behind calls nothing is learned, and without any NO_CALL.

        A model that lacks the tokens which the ``form`` writes gets them.
        """
        from liquid_audio.data.mapper import LFM2AudioChatMapper

        if form == "special_tokens":
            add_tool_tokens(model.net.lfm, model.tokenizer)
        self._write = write_tag if form == "lora" else write_in_tokens
        self._system_prompt = system_prompt
        self._calls_only = calls_only
        self._frames: dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}  # by answer
        self._place = model.tokenizer.convert_tokens_to_ids(_PLACE)
        self._mapper = LFM2AudioChatMapper(
            model.processor,
            codebooks=model.codebooks,
            interleaved_text_tokens=model.n_text,
            interleaved_audio_tokens=model.n_audio,
        )

    def make(self, example: Example) -> Any:
        """Give liquid-audio's LFM2AudioTrainingSample, its tensors on the CPU.

        Raises ConfigurationError for an example that can't be learned, with its sound file: a call that can't be read,
        a sound that can't, a turn of more than 3000 positions; ResourceError where the checkpoint lacks Mimi, which
        makes codes of the reply's sound.
        """
        from liquid_audio.data.types import AudioSegment, InterleavedSegment, TextSegment

        try:
            calls, speech = self._answer(example.calls), example.speech
        except ModelOutputError as exc:
            raise ConfigurationError(f"the response to {example.audio} can't be read: {exc}") from exc
        spoken: list[Any] = []
        if not self._calls_only and example.response_audio is not None:
            spoken = [InterleavedSegment(text=speech, audio=_sound(example.response_audio))]
        elif not self._calls_only and speech:
            spoken = [TextSegment(text=speech)]
        try:
            sample = self._lay_out(AudioSegment(audio=_sound(example.audio)), calls, spoken)
        except AttributeError as exc:
            raise ResourceError(
                f"the model has no Mimi, which makes codes of {example.response_audio}; use a model with "
                "tokenizer-e351c8d8-checkpoint125.safetensors in its folder"
            ) from exc
        except (RuntimeError, ValueError) as exc:
            raise ConfigurationError(
                f"{example.audio} can't be learned from ({exc}); lfm-voice data check tells more"
            ) from exc
        positions = sample.modality_flag.shape[1]
        if positions > _LONGEST:
            raise ConfigurationError(f"{example.audio} makes {positions} positions, more than {_LONGEST}; cut it")
        return sample

    def make_read(self, heard: torch.Tensor, calls: Sequence[ToolCall]) -> tuple[torch.Tensor, torch.Tensor]:
        """Lay out a turn in which the tokens ``heard``, (tokens,), stand where else its sound does.

        Gives its tokens, and which of them are learned, shape (length,) each.
        """
        before, after, learned = self._frame(self._answer(calls))
        return torch.cat([before, heard, after]), torch.cat([torch.zeros(len(before) + len(heard)).bool(), learned])

    def _frame(self, answer: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give the tokens before and behind what a person says, and which of these are learned."""
        if answer not in self._frames:
            from liquid_audio.data.types import TextSegment

            sample = self._lay_out(TextSegment(text=_PLACE), answer)
            at = int((sample.text[0] == self._place).nonzero()[0])
            before, after = sample.text[0, :at], sample.text[0, at + 1 :]
            self._frames[answer] = before, after, sample.supervision_mask[0, at + 1 :].bool()
        return self._frames[answer]

    def _answer(self, calls: Sequence[ToolCall]) -> str:
        return "".join(map(self._write, calls)) or (NO_CALL if self._calls_only else "")

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _lay_out(self, said: Any, answer: str, spoken: Sequence[Any] = ()) -> Any:
        from liquid_audio.data.types import ChatMessage, TextSegment

        written = [TextSegment(text=answer)] if answer else []
        return self._mapper(
            [
                ChatMessage(role="system", content=[TextSegment(text=self._system_prompt)]),
                ChatMessage(role="user", content=[said]),
                ChatMessage(role="assistant", content=[*written, *spoken]),
            ]
        )


def make_turns(
    maker: TurnMaker, examples: Sequence[Example], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Any]:
    """Give the samples of all examples, in order. ``progress`` is told how many of how many are done."""
    turns = []
    for number, example in enumerate(examples, start=1):
        turns.append(maker.make(example))
        progress(number, len(examples))
    return turns


def collate(samples: Sequence[Any], pad: int = 0) -> Any:
    """Give a batch, liquid-audio's LFM2AudioModelInput, padded to its longest turn and no further.

    ``pad`` is the token behind the shorter ones, which is neither learned nor, since it is behind them, seen by them.
    """
    from liquid_audio.data.types import LFM2AudioModelInput
    from liquid_audio.utils import LFMModality

    longest = max(sample.modality_flag.shape[1] for sample in samples)

    def padded(row: torch.Tensor, missing: int, value: int) -> torch.Tensor:
        return torch.nn.functional.pad(row, (0, missing), value=value)

    missing = [longest - sample.modality_flag.shape[1] for sample in samples]
    pairs = list(zip(samples, missing, strict=True))
    return LFM2AudioModelInput(
        text=torch.cat([padded(sample.text, count, pad) for sample, count in pairs], 1),
        audio_in=torch.cat([sample.audio_in for sample in samples], 1),
        audio_in_lens=torch.cat([sample.audio_in_lens for sample in samples]),
        audio_out=torch.cat([sample.audio_out for sample in samples], 1),
        modality_flag=torch.cat([padded(one.modality_flag, count, int(LFMModality.TEXT)) for one, count in pairs]),
        supervision_mask=torch.cat([padded(one.supervision_mask, count, 0) for one, count in pairs]),
    )


@torch.no_grad()  # type: ignore[untyped-decorator]
def losses(model: Lfm2Audio, samples: Sequence[Any]) -> list[float]:
    """Give the loss of each sample, a model in use on its own."""
    return [float(model.net(collate([sample]).to(model.device)).loss) for sample in samples]


def masked(sample: Any, generator: torch.Generator, done: float = 0.0) -> Any:
    """Give a sample as if another voice had said it, with parts left out; ``done`` changes nothing (see Learner)."""
    return replace(sample, audio_in=with_gaps(revoiced(sample.audio_in, generator), generator))


def revoiced(mel: torch.Tensor, generator: torch.Generator, tempo: float = 0.0) -> torch.Tensor:
    """Give a spectrogram, (mels, frames), as if another voice had said it.

    Its tract is up to a tenth longer or shorter (Jaitly and Hinton 2013): all frequencies are as much lower or higher.
    It takes longer or shorter by up to the share ``tempo`` (Ko et al. 2015).
    """
    tract, pace = (1 + most * (2 * float(torch.rand((), generator=generator)) - 1) for most in (_TRACT, tempo))
    count, frames = mel.shape
    size = (round(count * tract), round(frames * pace))
    moved = torch.nn.functional.interpolate(mel[None, None], size, mode="bilinear")[0, 0, :count]
    return torch.nn.functional.pad(moved, (0, 0, 0, count - moved.shape[0]))


def with_gaps(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Set parts of a spectrogram, (mels, frames), to its mean (Park et al. 2019), which in a normalised one is 0.

    They are two bands of up to 27 of the 128 mels, and two stretches of up to a twentieth of the time each.
    """
    mel = mel.clone()
    for _ in range(2):
        _blank(mel, 27, generator)
        _blank(mel.T, mel.shape[1] // 20, generator)
    return mel


def _blank(rows: torch.Tensor, most: int, generator: torch.Generator) -> None:
    width = int(torch.randint(most + 1, (1,), generator=generator))
    start = int(torch.randint(len(rows) - width + 1, (1,), generator=generator))
    rows[start : start + width] = 0.0


def _sound(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be read ({exc}); lfm-voice data check lists what is missing") from exc


def learner(model: Lfm2Audio) -> Learner:
    """Give a loaded LFM2-Audio as what is trained."""
    return Learner(
        net=model.net,
        language_model=model.net.lfm,
        tokenizer=model.tokenizer,
        device=model.device,
        base=model.source.model,
        collate=collate,
        size=lambda sample: int(sample.modality_flag.shape[1]),
        mask=masked,
        write=lambda folder: _write(model, folder),
    )


def _write(model: Lfm2Audio, folder: Path) -> None:
    from safetensors.torch import save_model

    source = Path(model.source.model).expanduser()
    for path in source.rglob("*"):  # config, voice: what isn't trained
        target = folder / path.relative_to(source)
        if path.is_file() and not (path.parent == source and path.name.startswith("model.safetensors")):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    model.tokenizer.save_pretrained(str(folder))
    config = json.loads((source / "config.json").read_text("utf-8"))
    config["lfm"]["vocab_size"] = model.net.lfm.embed_tokens.num_embeddings
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    save_model(model.net, str(folder / "model.safetensors"), metadata={"format": "pt"})
