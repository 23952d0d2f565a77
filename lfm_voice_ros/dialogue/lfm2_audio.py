"""LFM2-Audio as the engine: speech in, speech out, and after tool calls only what they really did."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lfm_voice_ros.core import prompts
from lfm_voice_ros.core.call_stream import SYNTAXES, CallStream
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.grounding import claims_an_act, compose, sentences
from lfm_voice_ros.core.ports import SpeechOut
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Question, Reply, Samples, ToolCall, ToolSpec, Utterance
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.conversation import Conversation
from lfm_voice_ros.lfm2_audio.decoding import Decoder
from lfm_voice_ros.lfm2_audio.frame import FrameSampler
from lfm_voice_ros.lfm2_audio.generation import TEXT_END, Detokenizer, Generator, Place, Step, Text, Words, most_frames
from lfm_voice_ros.lfm2_audio.sampling import Sampling, TextSampler
from lfm_voice_ros.lfm2_audio.vocoder import FRAME_SAMPLES, make_vocoder
from lfm_voice_ros.lfm2_audio.vocoder import SAMPLE_RATE as VOICE_RATE

FRAME = FRAME_SAMPLES / VOICE_RATE  # s
_DECODING = 30.0  # s that the sound may come behind the last frame, on the slowest machine
_WAITING = 8  # utterances whose sound is kept until they are answered
_TEXT_SHARE = 1.6  # positions of a reply over its frames: six text tokens go with twelve frames
#: What is said where the model was about to claim an act that nobody did.
_CORRECTION = "I am sorry, I have not done anything."
_WARM_UP = "warm-up"  # the utterance that nobody said


@dataclass
class _Begun:
    """The text before the speech of a reply, when the model's own text calls tools."""

    utterance_id: str
    opened: Place
    stream: CallStream
    tokens: tuple[int, ...] = ()
    speech: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass
class _Plan:
    """How a question is answered."""

    fixed: str  # said in any case, first
    free: bool  # whether the model goes on as it likes
    source: str
    note: str = ""  # for the model's eyes, behind what the person said
    guarded: bool = False  # whether it may claim no act
    already: _Begun | None = None  # text that was written before, and stays


class _Telling:
    """A reply while it is spoken: its text, in whole words, beside its sound."""

    def __init__(self, out: SpeechOut, source: str, decoder: Decoder) -> None:
        self.text = ""
        self._out = out
        self._source = source
        self._decoder = decoder
        self._words = Words()
        self._given = False

    @property
    def canceled(self) -> bool:
        return self._out.canceled()

    def add(self, text: str) -> None:
        """The text goes on; its sound follows."""
        self.text += text
        if words := self._words.push(text):
            self._decoder.text(words)

    def complete(self, text: str | None = None) -> None:
        """No text follows; ``text`` is that of the whole reply where it isn't what was added."""
        if words := self._words.finish():
            self._decoder.text(words)
        if not self._given:
            self._given = True
            self._out.reply(Reply((self.text if text is None else text).strip(), self._source))

    def begin_sentence(self) -> None:
        """What follows belongs to no word before it, which may have been left half."""
        self._words = Words()
        self.text += " " if self.text else ""


class _Nobody:
    """A SpeechOut that drops everything."""

    def canceled(self) -> bool:
        return False

    def reply(self, reply: Reply) -> None:
        pass

    def say(self, words: str, samples: Samples) -> None:
        pass


class Lfm2AudioEngine:
    """Port DialogueEngine. One conversation; one thread calls it, another decodes sound beside it."""

    name = "lfm2_audio"
    sample_rate = VOICE_RATE
    hears = True

    def __init__(
        self,
        model: Lfm2Audio,
        settings: DialogueSettings,
        tools: Sequence[ToolSpec],
        degraded: Callable[[str], None] = lambda why: None,
    ) -> None:
        """``tools`` are told to the model. ``degraded`` is told what works more slowly than it could, and why."""
        self._model = model
        kind = f"{str(model.dtype).removeprefix('torch.')} on {model.device}"
        self.description = f"lfm2_audio {model.name}, {kind}, detokenizer {model.detokenizer_kind}"
        self._grounding = settings.grounding
        self._style = _style(model, settings)
        self._tools = [tool.name for tool in tools]
        sampling = Sampling(
            settings.text_temperature,
            settings.text_top_k,
            settings.audio_temperature,
            settings.audio_top_k,
            None if settings.seed < 0 else settings.seed,
        )
        max_frames = round(settings.max_reply / FRAME)
        self._room = min(round(_TEXT_SHARE * max_frames), settings.context // 2)
        frames = FrameSampler(
            model.net,
            temperature=sampling.audio_temperature,
            top_k=sampling.audio_top_k,
            seed=sampling.seed,
            graphs=settings.cuda_graphs,
            failed=degraded,
        )
        text = TextSampler(model.net.lfm.embed_tokens.weight, sampling)
        self._generator = Generator(model, text, frames, max_frames)
        self._conversation = Conversation(
            model,
            _system_prompt(model, settings, self._style, tools),
            lambda: Context(model, settings.context, graphs=settings.cuda_graphs, failed=degraded),
        )
        with model.lock:  # making it may capture a CUDA graph, beside which nobody may use the GPU
            vocoder = make_vocoder(model.detokenizer_kind, model.load_detokenizer())
        self._decoder = Decoder(vocoder)
        self._pending: str | None = None  # the utterance that was read and not answered
        self._sounds: OrderedDict[str, torch.Tensor] = OrderedDict()  # of utterances that wait behind it
        self._begun: _Begun | None = None

    @property
    def conversation(self) -> Conversation:
        """The history, for tests and for debugging."""
        return self._conversation

    def warm_up(self) -> None:
        """Answer a turn that nobody hears: the first one takes several times as long. Raises ResourceError."""
        quiet = np.zeros(SAMPLE_RATE, np.float32)
        self.listen(Utterance(_WARM_UP, quiet, SAMPLE_RATE, 0.0, 0.0, 0.0))
        self.answer(Question(_WARM_UP, problem="Ready."), _Nobody())
        self._conversation.forget(_WARM_UP)

    def listen(self, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        """See the port. Behind a turn that waits for its answer the sound is only kept, and read later."""
        if utterance.sample_rate != SAMPLE_RATE:
            raise AudioError(f"an utterance at {utterance.sample_rate} Hz can't be heard; send {SAMPLE_RATE} Hz")
        self._sounds[utterance.utterance_id] = self._model.embed_speech(utterance.samples)
        while len(self._sounds) > _WAITING:
            self._sounds.popitem(last=False)
        if self._pending is not None:
            return None
        self._read(utterance.utterance_id, "")
        return self._own_calls(utterance.utterance_id, self._style) if self._style else None

    def prepare(self, question: Question) -> Iterator[str]:
        """What can be made ahead, :meth:`listen` has made."""
        return iter(())

    def answer(self, question: Question, out: SpeechOut) -> None:
        """See the port."""
        if self._pending != question.utterance_id:
            if self._pending is not None:
                self._conversation.forget(self._pending)
            self._read(question.utterance_id, question.transcript.text)
        plan = self._plan(question)
        if plan.note and self._begun is not None:  # the note stands before what was begun
            self._conversation.forget(question.utterance_id)
            self._read(question.utterance_id, question.transcript.text)
        try:
            self._answer(plan, out)
        except Exception as exc:
            # What was read may be more than what is known of: the turn is taken back as a whole.
            self._conversation.forget(question.utterance_id)
            if isinstance(exc, torch.OutOfMemoryError):
                raise ResourceError("the GPU has no memory left to answer; set a smaller context") from exc
            raise
        finally:
            self._pending = None
            self._begun = None
            self._sounds.pop(question.utterance_id, None)

    def heard(self, question: Question, seconds: float | None, words: str) -> None:
        """See the port: the history and the cache go back to what was heard."""
        frames = None if seconds is None else round(seconds / FRAME)
        self._conversation.close(frames, question.utterance_id)

    def forget(self, utterance_id: str) -> None:
        """See the port."""
        self._sounds.pop(utterance_id, None)
        if self._pending == utterance_id:
            self._conversation.forget(utterance_id)
            self._pending = None
            self._begun = None

    def rest(self, waiting: Callable[[], bool]) -> bool:
        """Leave old turns out of the window, in pieces."""
        return self._pending is None and not self._conversation.settle(waiting)

    def close(self) -> None:
        """See the port."""
        self._decoder.close()

    def _read(self, utterance_id: str, words: str) -> None:
        speech = self._sounds.get(utterance_id)
        self._conversation.listen(utterance_id, words if speech is None else speech, self._room)
        self._pending = utterance_id
        self._begun = None

    def _own_calls(self, utterance_id: str, style: prompts.Style) -> tuple[ToolCall, ...]:
        self._open("")
        stream = CallStream(SYNTAXES[style], self._tools)
        begun = _Begun(utterance_id, self._generator.place(), stream)
        begun.tokens, begun.speech, begun.calls = self._generator.calls(stream, lambda: False)
        self._conversation.wrote(begun.tokens)
        self._begun = begun
        return begun.calls

    def _plan(self, question: Question) -> _Plan:
        begun = self._begun if self._begun and self._begun.utterance_id == question.utterance_id else None
        if question.problem:
            return _Plan(question.problem, False, "error")
        if question.results:
            told = compose(question.results)
            own = begun if begun and begun.calls else None
            if self._grounding == "prefill":
                return _Plan("".join(sentences(told.text)[:1]), True, told.source, already=own)
            if self._grounding == "context":
                return _Plan("", True, told.source, note=f"\n[{told.text}]")
            return _Plan(told.text, False, told.source, already=own)
        # Calls that nobody ran are no beginning for a reply.
        return _Plan("", True, self.name, guarded=True, already=None if begun is None or begun.calls else begun)

    def _answer(self, plan: _Plan, out: SpeechOut) -> None:
        self._position(plan)
        telling = _Telling(out, plan.source, self._decoder)
        if not plan.free:
            telling.complete(plan.fixed)
        if out.canceled() or not (plan.free or plan.fixed):
            telling.complete()
            return
        self._decoder.begin(out.say, out.canceled)
        self._speak(plan, telling)
        telling.complete()
        self._decoder.finish(_DECODING)

    def _position(self, plan: _Plan) -> None:
        """Go to where the reply's speech begins."""
        if self._begun is None:
            self._open(plan.note, self._room_for(plan))
        elif plan.already is None:
            self._back_to(self._begun.opened, spans=1)

    def _room_for(self, plan: _Plan) -> int:
        tokens = len(self._model.encode(plan.fixed))
        most = self._conversation.context.window - self._room // 2
        return min(max(self._room, 2 * tokens + most_frames(tokens)), most)

    def _open(self, note: str, room: int = 0) -> None:
        hidden = self._conversation.reply(note, room)
        self._generator.begin(self._conversation.context, hidden)

    def _back_to(self, place: Place, spans: int) -> None:
        self._generator.back_to(place)
        self._conversation.take_back(spans, place.mark)

    def _speak(self, plan: _Plan, telling: _Telling) -> None:
        begun = plan.already if plan.already and not plan.already.calls else None
        fixed = self._model.encode(plan.fixed) if plan.fixed else []
        claim = None
        if begun is None:
            claim = self._utter(self._generator.interleave(fixed, free=plan.free), telling, plan.guarded, None)
        elif claims_an_act(begun.speech):
            claim = begun.opened, 1
        else:
            telling.add(begun.speech)
            steps = self._generator.interleave(
                fixed, free=plan.free, already=len(begun.tokens), holding=lambda: begun.stream.holding
            )
            claim = self._utter(steps, telling, plan.guarded, begun)
        if claim is not None:
            # No sound was made of the claim; the reply goes on from before it, and says that it isn't so.
            self._back_to(*claim)
            telling.begin_sentence()
            correction = self._generator.interleave(self._model.encode(_CORRECTION), free=False)
            self._utter(correction, telling, False, None)

    def _utter(
        self, steps: Iterator[Step], telling: _Telling, guarded: bool, begun: _Begun | None
    ) -> tuple[Place, int] | None:
        """Take the steps of a reply to the history, the decoder and the listener.

        ``guarded``, it stops when the text claims an act and gives the place before the text block that does.
        """
        detokenizer = Detokenizer(self._model)
        if begun:
            detokenizer.push(begun.tokens)
        safe = self._generator.place(), self._conversation.said
        block = ""  # text that no sound was made of yet
        for step in steps:
            if isinstance(step, Text):
                self._conversation.wrote(step.tokens)
                text = detokenizer.push(step.tokens)
                block += begun.stream.feed(text).speech if begun else text
                if guarded and claims_an_act(telling.text + block):
                    return safe
                if not guarded or step.tokens[-1] == TEXT_END:
                    telling.add(block)
                    block = ""
                if step.tokens[-1] == TEXT_END:
                    telling.complete()
            else:
                telling.add(block)
                block = ""
                self._conversation.spoke(step.codes, ends=step.ends)
                if not step.ends:
                    self._decoder.frame(step.codes)
                if guarded:
                    safe = self._generator.place(), self._conversation.said
            if telling.canceled:
                return None
        telling.add(block)
        return None


def _style(model: Lfm2Audio, settings: DialogueSettings) -> prompts.Style | None:
    """How the model's text calls tools. What it was trained to do it does, wanted or not, and must not be spoken."""
    wanted: prompts.Style | None = None if settings.calls == "none" else settings.calls  # type: ignore[assignment]
    trained = model.trained.form if model.trained else None
    if wanted and trained and wanted != trained:
        raise ResourceError(f"{model.name} was trained to call tools as {trained}, not as {wanted}; set calls to that")
    return wanted or trained


def _system_prompt(
    model: Lfm2Audio, settings: DialogueSettings, style: prompts.Style | None, tools: Sequence[ToolSpec]
) -> str:
    if settings.system_prompt:
        return settings.system_prompt
    if model.trained:
        return model.trained.system_prompt
    return prompts.dialogue(style, tools, settings.speaker)
