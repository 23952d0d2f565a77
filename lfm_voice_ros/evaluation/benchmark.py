"""How fast LFM2-Audio answers on this machine: the engine, and liquid-audio's own loop on the same weights.

Every turn is 2 s of sound, answered with the same number of frames, so that no time depends on what the weights say.
"""

from __future__ import annotations

import math
import os
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lfm_voice_ros.core import prompts
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import (
    SAMPLE_RATE,
    Question,
    Reply,
    Samples,
    ToolCall,
    ToolResult,
    ToolSpec,
    ToolStatus,
    Utterance,
)
from lfm_voice_ros.dialogue.lfm2_audio import FRAME, Lfm2AudioEngine
from lfm_voice_ros.evaluation.liquid_audio_loop import their_talk
from lfm_voice_ros.evaluation.scoring import Spread
from lfm_voice_ros.evaluation.timing import SEED, SPEECH, Clock, Loop, speech
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio, Source, load
from lfm_voice_ros.lfm2_audio.conversation import Conversation
from lfm_voice_ros.lfm2_audio.frame import END_OF_AUDIO, FrameSampler
from lfm_voice_ros.lfm2_audio.generation import Frame, Generator
from lfm_voice_ros.lfm2_audio.hub import Progress
from lfm_voice_ros.lfm2_audio.sampling import Sampling, TextSampler
from lfm_voice_ros.lfm2_audio.vocoder import SAMPLE_RATE as VOICE_RATE
from lfm_voice_ros.lfm2_audio.vocoder import make_vocoder
from lfm_voice_ros.tools.registry import Registry

#: What the robot says, again and again: one sentence, of which the reply is the beginning.
_WORDS = "I look to the left and to the right and up and down and "
_DECODINGS = 24  # calls that are timed, for each number of frames a call
#: s between turns, in which the person would speak; right behind a reply its threads are still awake on every core.
_PAUSE = 0.3
_SOONEST = 0.8  # of the shortest reply: later than that none is interrupted
#: Bytes read to measure the bandwidth: far more than a cache holds.
_BLOCK = 512 * 2**20
_READINGS = 5  # of which the fastest counts


@dataclass(frozen=True)
class Load:
    """What is measured."""

    turns: int = 20
    frames: int = 50  # of each reply
    cuda_graphs: bool = True


@dataclass(frozen=True)
class Machine:
    """Where it is measured, and how the model was loaded there."""

    cpu: str
    cores: int
    gpu: str  # empty where it isn't used
    torch: str  # version
    threads: int
    dtype: str
    detokenizer: str
    cuda_graphs: str  # "captured", or why not


@dataclass(frozen=True)
class Benchmark:
    """What was measured. Times in ms, memory in MB (2**20 bytes)."""

    load: Load
    machine: Machine
    first_audio_ms: list[float]  # of each turn, from the end of the person's speech to the first samples
    hearing_ms: list[float]  # the part of it in which speech is encoded and read
    real_time_factor: float  # time over sound, from the end of the person's speech to the end of the reply
    interruption_ms: Spread  # until the engine has stopped
    memory_mb: float  # by which the process has grown
    gpu_memory_mb: float  # at most; NaN without a GPU
    ours: Loop
    decoding_ms: dict[int, Spread]  # a frame, by the number of frames in a call
    theirs: Loop
    their_detokenizer: str
    their_real_time_factor: float
    weights_read: int  # bytes, for a frame
    bandwidth: float  # bytes/s

    @property
    def first_audio(self) -> Spread:
        """Time to first audio over all turns."""
        return Spread.of(self.first_audio_ms)

    @property
    def first_audio_growth(self) -> float:
        """Time to first audio at the last turn, over that at the first."""
        return self.first_audio_ms[-1] / self.first_audio_ms[0]

    @property
    def frame_rate_ratio(self) -> float:
        """How many times as many frames are made as by liquid-audio's own loop, by the medians."""
        return self.theirs.frame_ms.p50 / self.ours.frame_ms.p50

    @property
    def floor_ms(self) -> float:
        """The time in which the weights of a frame can be read: bytes / (bytes/s)."""
        return 1e3 * self.weights_read / self.bandwidth

    @property
    def bandwidth_share(self) -> float:
        """That time over the one which a frame takes; 1 is the limit of a machine whose caches hold no weights."""
        return self.floor_ms / self.ours.frame_ms.p50


def measure(source: Source, plan: Load, progress: Progress) -> Benchmark:
    """Load a model and measure everything. Raises ResourceError when that can't be done.

    The time is that of ``3 × turns × frames`` frames, of half as many that are interrupted, and of loading.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    before = _memory_mb()
    model = load(source, progress)
    tools = Registry.from_file(config_file("tools.yaml")).specs()
    settings = DialogueSettings(
        engine="lfm2_audio",
        cuda_graphs=plan.cuda_graphs,
        # A reply that begins with given words and goes on freely ends after max_reply, and here never before.
        grounding="prefill",
        max_reply=plan.frames * FRAME,
        system_prompt=prompts.dialogue(None, tools),
        seed=SEED,
    )
    said = _text(model, plan.frames)
    talk = _talk(model, plan, settings, tools, said, progress)
    memory, gpu_memory = _memory_mb() - before, _gpu_memory_mb(model.device)
    progress("generating without decoding")
    ours = _generate(model, plan, settings, said)
    progress("decoding")
    decoding = {count: _decode(model, count) for count in (1, 4)}
    progress("liquid-audio's own loop")
    theirs, their_detokenizer, their_factor = their_talk(model, plan.turns, plan.frames)
    return Benchmark(
        load=plan,
        machine=_machine(model, plan, talk.reasons),
        first_audio_ms=talk.first_audio_ms,
        hearing_ms=talk.hearing_ms,
        real_time_factor=talk.worked / talk.spoken,
        interruption_ms=Spread.of(talk.interruption_ms),
        memory_mb=memory,
        gpu_memory_mb=gpu_memory,
        ours=ours,
        decoding_ms=decoding,
        theirs=theirs,
        their_detokenizer=their_detokenizer,
        their_real_time_factor=their_factor,
        weights_read=weights_read(model.net),
        bandwidth=_bandwidth(model.device),
    )


def weights_read(net: Any) -> int:
    """Bytes of weights that a frame reads, of liquid-audio's LFM2AudioModel.

    The LFM's layers and the projection behind them are read once, the depthformer's layers once for each codebook, and
    of each codebook the norm and the output layer, with the row for end-of-audio in the first one only. Embeddings are
    read by the row: each codebook's for the LFM, and all but the last for the depthformer. Keys and values, of which
    there are few, and the text's embeddings don't count.
    """
    rows = net.codebooks * _row(net.audio_embedding.embedding.weight)
    depth = net.codebooks * _size(net.depthformer) + _size(net.depth_linear)
    outputs = sum(_size(one.embedding_norm) + _size(one.to_logits) for one in net.depth_embeddings)
    unread = sum(_row(one.to_logits.weight) for one in list(net.depth_embeddings)[1:])
    fed_back = sum(_row(one.embedding.weight) for one in list(net.depth_embeddings)[:-1])
    body = _size(net.lfm) - _size(net.lfm.embed_tokens)
    read: int = body + rows + depth + outputs - unread + fed_back
    return read


def _size(module: Any) -> int:
    return sum(int(weight.numel() * weight.element_size()) for weight in module.parameters())


def _row(table: torch.Tensor) -> int:
    return int(table.shape[1] * table.element_size())


@dataclass
class _Talk:
    """What a conversation with the engine gave; times in ms unless they say otherwise."""

    reasons: list[str] = field(default_factory=list)  # why there are no CUDA graphs
    first_audio_ms: list[float] = field(default_factory=list)
    hearing_ms: list[float] = field(default_factory=list)
    interruption_ms: list[float] = field(default_factory=list)
    shortest: float = math.inf  # s of an answer
    worked: float = 0.0  # s
    spoken: float = 0.0  # s of sound


class _Listener:
    """A SpeechOut that notes when sound comes, and interrupts at a given time."""

    def __init__(self, until: float = math.inf) -> None:
        """``until`` is on the clock of ``time.perf_counter``."""
        self.first = 0.0  # when the first sound came
        self.seconds = 0.0  # of sound
        self._until = until

    def canceled(self) -> bool:
        return time.perf_counter() >= self._until

    def reply(self, reply: Reply) -> None:
        pass

    def say(self, words: str, samples: Samples) -> None:
        if samples.size:
            self.first = self.first or time.perf_counter()
            self.seconds += samples.size / VOICE_RATE


def _talk(
    model: Lfm2Audio,
    plan: Load,
    settings: DialogueSettings,
    tools: Sequence[ToolSpec],
    said: str,
    progress: Progress,
) -> _Talk:
    talk = _Talk()
    progress("warming up")
    engine = Lfm2AudioEngine(model, settings, tools, talk.reasons.append)
    result = ToolResult(ToolCall("center"), ToolStatus.SUCCEEDED, said)
    try:
        engine.warm_up()
        _hear_once(engine)
        progress(f"a conversation of {plan.turns} turns")
        for number in range(plan.turns):
            _answer(engine, model.device, Question(f"turn {number}", results=(result,)), speech(number), talk)
        progress(f"{plan.turns} interruptions")
        chance = random.Random(SEED)
        for number in range(plan.turns):
            moment = chance.uniform(0.0, _SOONEST * talk.shortest)
            _interrupt(engine, Question(f"interrupted {number}", results=(result,)), speech(number), moment, talk)
    finally:
        engine.close()
    return talk


def _hear_once(engine: Lfm2AudioEngine) -> None:
    """The first speech of a length takes longer than the next."""
    engine.listen(_utterance(Question("heard once"), speech(0)))
    engine.forget("heard once")


def _answer(engine: Lfm2AudioEngine, device: torch.device, question: Question, speech: Samples, talk: _Talk) -> None:
    out = _Listener()
    time.sleep(_PAUSE)
    began = time.perf_counter()
    engine.listen(_utterance(question, speech))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    heard = time.perf_counter()
    engine.answer(question, out)
    ended = time.perf_counter()
    talk.hearing_ms.append(1e3 * (heard - began))
    talk.first_audio_ms.append(1e3 * (out.first - began))
    talk.shortest = min(talk.shortest, ended - heard)
    talk.worked += ended - began
    talk.spoken += out.seconds
    engine.heard(question, None, "")
    engine.rest(lambda: False)


def _interrupt(engine: Lfm2AudioEngine, question: Question, speech: Samples, moment: float, talk: _Talk) -> None:
    engine.listen(_utterance(question, speech))
    until = time.perf_counter() + moment
    out = _Listener(until)
    engine.answer(question, out)
    ended = time.perf_counter()
    if ended > until:  # otherwise this reply was over before
        talk.interruption_ms.append(1e3 * (ended - until))
    engine.heard(question, out.seconds, "")
    engine.rest(lambda: False)


def _generate(model: Lfm2Audio, plan: Load, settings: DialogueSettings, said: str) -> Loop:
    """Have the same conversation without anything beside the generation."""
    talk = Conversation(
        model, settings.system_prompt, lambda: Context(model, settings.context, graphs=plan.cuda_graphs)
    )
    sampling = Sampling()
    sampler = FrameSampler(
        model.net,
        temperature=sampling.audio_temperature,
        top_k=sampling.audio_top_k,
        seed=SEED,
        graphs=plan.cuda_graphs,
    )
    generator = Generator(model, TextSampler(model.net.lfm.embed_tokens.weight, sampling), sampler, plan.frames)
    tokens = model.encode(said)
    frames: list[float] = []
    firsts: list[float] = []
    for number in range(plan.turns):
        clock = Clock(model.device)
        talk.listen(str(number), model.embed_speech(speech(number)), 2 * plan.frames)
        positions = talk.context.length
        generator.begin(talk.context, talk.reply())
        clock.note()
        for step in generator.interleave(tokens, free=True):
            clock.note(counts=isinstance(step, Frame))
            if isinstance(step, Frame):
                talk.spoke(step.codes, ends=step.ends)
            else:
                talk.wrote(step.tokens)
        frames += clock.counted()
        firsts.append(clock.first())
        talk.close()
        talk.settle(lambda: False)
    return Loop(Spread.of(frames), firsts, positions)


def _decode(model: Lfm2Audio, count: int) -> Spread:
    """Time the decoding of a frame where ``count`` of them are decoded in a call."""
    vocoder = make_vocoder(model.detokenizer_kind, model.load_detokenizer())
    chance = torch.Generator().manual_seed(SEED)
    taken = []
    for call in range(_DECODINGS + 1):
        codes = torch.randint(END_OF_AUDIO, (count, model.codebooks), generator=chance).to(model.device)
        began = time.perf_counter()
        vocoder.decode(codes)
        if call:
            taken.append(1e3 * (time.perf_counter() - began) / count)
    return Spread.of(taken)


def _bandwidth(device: torch.device) -> float:
    """The memory's bandwidth in bytes/s: the fastest of sums over a block and of copies, which read and write it."""
    source = torch.ones(_BLOCK // 4, device=device)
    target = torch.zeros_like(source)
    best = 0.0
    for moved, work in ((_BLOCK, source.sum), (2 * _BLOCK, lambda: target.copy_(source))):
        for _ in range(_READINGS):
            clock = Clock(device)
            work()
            clock.note()
            best = max(best, 1e3 * moved / clock.whole())
    return best


def _machine(model: Lfm2Audio, plan: Load, reasons: Sequence[str]) -> Machine:
    on_gpu = model.device.type == "cuda"
    if not on_gpu:
        graphs = "none, there is no GPU in use"
    elif not plan.cuda_graphs:
        graphs = "switched off"
    else:
        graphs = "; ".join(reasons) or "captured"
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        gpu=torch.cuda.get_device_name(model.device) if on_gpu else "",
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        dtype=str(model.dtype).removeprefix("torch."),
        detokenizer=model.detokenizer_kind,
        cuda_graphs=graphs,
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()  # ARM has no names there


def _text(model: Lfm2Audio, frames: int) -> str:
    """A text of which some is left when it has so many frames."""
    tokens = model.n_text * (frames // model.n_audio + 1)
    text = _WORDS
    while len(model.encode(text)) <= tokens:
        text += _WORDS
    return text


def _utterance(question: Question, speech: Samples) -> Utterance:
    return Utterance(question.utterance_id, speech, SAMPLE_RATE, 0.0, 0.0, SPEECH)


def _memory_mb() -> float:
    """The memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _gpu_memory_mb(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else math.nan
