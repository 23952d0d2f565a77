"""liquid-audio's own loop on the same weights, driven as in its demo: what the engine is compared with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from liquid_audio import ChatState, LFMModality
from liquid_audio.moshi.utils.compile import no_compile

from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.dialogue.lfm2_audio import FRAME
from lfm_voice_ros.evaluation.scoring import Spread
from lfm_voice_ros.evaluation.timing import SEED, Clock, Loop, speech
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.frame import END_OF_AUDIO
from lfm_voice_ros.lfm2_audio.sampling import Sampling

#: The system prompt of liquid-audio's demo.
_SYSTEM = "Respond with interleaved text and audio."
#: Decodes one frame, shape (codebooks,), or keeps it until the reply has ended.
_Decode = Callable[[torch.Tensor], object]
#: Inside, a reply is decoded.
_Decoding = Callable[[], AbstractContextManager[_Decode]]


def their_talk(model: Lfm2Audio, turns: int, frames_wanted: int) -> tuple[Loop, str, float]:
    """Talk as liquid-audio's demo does: it reads the whole chat at each turn, and decodes between two frames.

    Gives the times, what decodes, and time over sound.
    """
    detokenizer, decoding = _decoding_as_theirs(model)
    frames: list[float] = []
    firsts: list[float] = []
    worked, decoded = 0.0, 0
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), no_compile(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # transformers' of the library's names for the cache
        torch.manual_seed(SEED)
        _turn(model, _chat(model), 0, 2, decoding)  # the first frames take longer
        chat = _chat(model)
        for number in range(turns):
            clock, sound, positions = _turn(model, chat, number, frames_wanted, decoding)
            frames += clock.counted()
            firsts.append(clock.first())
            worked += clock.whole() / 1e3
            decoded += sound
    factor = worked / (decoded * FRAME) if decoded else math.nan
    return Loop(Spread.of(frames), firsts, positions), detokenizer, factor


def _chat(model: Lfm2Audio) -> Any:
    chat = ChatState(model.processor, codebooks=model.codebooks, dtype=model.dtype)
    chat.new_turn("system")
    chat.add_text(_SYSTEM)
    chat.end_turn()
    chat.new_turn("user")
    return chat


def _turn(model: Lfm2Audio, chat: Any, number: int, frames: int, decoding: _Decoding) -> tuple[Clock, int, int]:
    """Give the clock, how many frames were decoded, and the positions of the chat before the reply.

    The loop may write on where no sound follows, and end the sound early: it is stopped where ``frames`` frames and
    the text between them would have come.
    """
    clock = Clock(model.device)
    chat.add_audio(torch.from_numpy(speech(number))[None], SAMPLE_RATE)
    chat.end_turn()
    chat.new_turn("assistant")
    positions = chat.modality_flag.shape[1]
    most = frames + model.n_text * math.ceil(frames / model.n_audio)
    text: list[torch.Tensor] = []
    audio: list[torch.Tensor] = []
    order: list[LFMModality] = []
    decoded = 0
    sampling = Sampling()
    with decoding() as decode:
        clock.note()
        for token in model.net.generate_interleaved(
            **chat,
            max_new_tokens=most,
            audio_temperature=sampling.audio_temperature,
            audio_top_k=sampling.audio_top_k,
        ):
            is_frame = token.numel() > 1
            clock.note(counts=is_frame)
            (audio if is_frame else text).append(token)
            order.append(LFMModality.AUDIO_OUT if is_frame else LFMModality.TEXT)
            if is_frame and not (token == END_OF_AUDIO).any():
                decode(token)
                decoded += 1
                clock.note()
    clock.note()
    if order:
        chat.append(
            torch.stack(text, 1),
            torch.stack(audio, 1) if audio else chat.audio_out[:, :0],
            torch.tensor(order, device=model.device),
        )
    chat.end_turn()
    chat.new_turn("user")
    return clock, decoded, positions


def _decoding_as_theirs(model: Lfm2Audio) -> tuple[str, _Decoding]:
    """Give what decodes in liquid-audio's demo, Mimi, and where the checkpoint has none the LFM detokenizer."""
    if model.processor.mimi_weights_path:
        mimi = model.processor.mimi.eval()

        @contextmanager
        def streaming() -> Iterator[_Decode]:
            with mimi.streaming(1):
                yield lambda frame: mimi.decode(frame[None, :, None])

        return "mimi, one frame a call", streaming

    detokenizer = model.load_detokenizer()

    @contextmanager
    def whole() -> Iterator[_Decode]:
        frames: list[torch.Tensor] = []
        yield frames.append
        if frames:
            detokenizer(torch.stack(frames, 1)[None])

    return "lfm, all frames in one call", whole
