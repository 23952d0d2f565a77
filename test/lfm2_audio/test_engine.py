"""The engine on a tiny model with random weights: what it says after tools, and that it can be cut anywhere."""

from __future__ import annotations

import dataclasses
import gc
import random
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from histories import assert_true_to_its_history

from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import (
    SAMPLE_RATE,
    Question,
    Reply,
    Samples,
    ToolCall,
    ToolResult,
    ToolStatus,
    Transcript,
    Utterance,
)
from lfm_voice_ros.dialogue.early_listening import EarlyListening
from lfm_voice_ros.dialogue.lfm2_audio import FRAME, Lfm2AudioEngine
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.generation import TEXT_END
from lfm_voice_ros.tools.registry import Registry

SETTINGS = DialogueSettings(engine="lfm2_audio", seed=3, max_reply=3.0, context=1024)
TOOLS = Registry.from_file(config_file("tools.yaml")).specs()
LEFT = ToolResult(ToolCall("pan_left"), ToolStatus.SUCCEEDED, "Looking left, thirty degrees.")
FAILED = ToolResult(ToolCall("pan_left"), ToolStatus.FAILED, "I could not look left: the head does not answer.")

MakeEngine = Callable[..., Lfm2AudioEngine]


class Listener:
    """A SpeechOut that keeps everything, and can interrupt after so many pieces of sound."""

    def __init__(self, patience: int = 10_000) -> None:
        self.replies: list[Reply] = []
        self.words: list[str] = []
        self.sounds: list[Samples] = []
        self.after_cancel = 0
        self._patience = patience
        self._canceled = threading.Event()

    def canceled(self) -> bool:
        return self._canceled.is_set()

    def cancel(self) -> None:
        self._canceled.set()

    def reply(self, reply: Reply) -> None:
        self.replies.append(reply)

    def say(self, words: str, samples: Samples) -> None:
        if self._canceled.is_set():
            self.after_cancel += 1
        if words:
            self.words.append(words)
        if samples.size:
            self.sounds.append(samples)
        if len(self.sounds) >= self._patience:
            self._canceled.set()

    @property
    def seconds(self) -> float:
        return sum(sound.size for sound in self.sounds) / 24_000


@pytest.fixture
def make_engine(model: Lfm2Audio) -> Iterator[MakeEngine]:
    """Make engines of SETTINGS with some of them changed; they end with the test."""
    made: list[Lfm2AudioEngine] = []

    def make(**changes: object) -> Lfm2AudioEngine:
        made.append(Lfm2AudioEngine(model, dataclasses.replace(SETTINGS, **changes), TOOLS))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def utterance(name: str, seconds: float = 0.6, seed: int = 0) -> Utterance:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)) * 0.1
    return Utterance(name, noise.astype(np.float32), SAMPLE_RATE, 0.0, 0.0, 0.0)


def turn(engine: Lfm2AudioEngine, name: str, *results: ToolResult, said: str = "hello", problem: str = "") -> Listener:
    """A whole turn, heard to its end."""
    engine.listen(utterance(name))
    listener = Listener()
    question = Question(name, Transcript(said), results, problem)
    engine.answer(question, listener)
    engine.heard(question, None, " ".join(listener.words))
    engine.rest(lambda: False)
    return listener


def write(engine: Lfm2AudioEngine, model: Lfm2Audio, *texts: str) -> None:
    """Let the engine's model write these texts, one a reply."""
    waiting = [[*model.encode(text), TEXT_END] for text in texts]
    now: list[int] = []

    class Scripted:
        def sample(self, hidden: torch.Tensor) -> int:
            if not now:
                now.extend(waiting.pop(0))
            return now.pop(0)

    engine._generator._text = Scripted()  # type: ignore[assignment]


@pytest.mark.parametrize("result", [LEFT, FAILED])
def test_after_a_tool_call_the_reply_is_the_result_to_the_letter(make_engine: MakeEngine, result: ToolResult) -> None:
    listener = turn(make_engine(), "u1", result)

    assert listener.replies == [Reply(result.speech, "tools")]
    assert " ".join(listener.words) == result.speech
    assert listener.seconds >= 0.5


def test_several_results_are_told_in_their_order(make_engine: MakeEngine) -> None:
    listener = turn(make_engine(), "u1", LEFT, FAILED)

    assert listener.replies[0].text == f"{LEFT.speech} {FAILED.speech}"
    assert " ".join(listener.words) == f"{LEFT.speech} {FAILED.speech}"


def test_a_contrary_history_changes_nothing_in_what_is_said_after_tools(make_engine: MakeEngine) -> None:
    engine = make_engine()
    for number in range(4):
        turn(engine, f"trap{number}", problem="I never look left. I am looking right.")
        assert turn(engine, f"u{number}", LEFT).replies == [Reply(LEFT.speech, "tools")]


def test_what_is_said_after_tools_is_in_the_history_as_the_robots_own_words(make_engine: MakeEngine) -> None:
    engine = make_engine()
    turn(engine, "u1", LEFT)

    assert f"<|im_start|>assistant\n{LEFT.speech[:8]}" in engine.conversation.transcript()
    text = engine.conversation.transcript().split("assistant\n")[-1]
    assert text.replace("♪", "") == f"{LEFT.speech}<|text_end|>[end]<|im_end|>\n"


def test_prefill_begins_with_the_result_and_goes_on_freely(make_engine: MakeEngine, model: Lfm2Audio) -> None:
    engine = make_engine(grounding="prefill")
    write(engine, model, " Or was it right?")

    listener = turn(engine, "u1", LEFT)

    assert listener.replies == [Reply(f"{LEFT.speech} Or was it right?", "tools")]


def test_context_only_tells_the_model_of_the_result(make_engine: MakeEngine, model: Lfm2Audio) -> None:
    engine = make_engine(grounding="context")
    write(engine, model, "I did not move.")

    listener = turn(engine, "u1", LEFT)

    assert listener.replies == [Reply("I did not move.", "tools")]
    assert f"\n[{LEFT.speech}]<|im_end|>" in engine.conversation.transcript()


def test_calls_that_were_all_canceled_are_answered_with_nothing(make_engine: MakeEngine) -> None:
    listener = turn(make_engine(), "u1", ToolResult(ToolCall("nod"), ToolStatus.CANCELED, ""))

    assert listener.replies == [Reply("", "tools")]
    assert listener.sounds == []


def test_a_problem_is_spoken_in_the_same_voice_and_talk(make_engine: MakeEngine) -> None:
    listener = turn(make_engine(), "u1", problem="I am sorry, I could not decide what to do.")

    assert listener.replies == [Reply("I am sorry, I could not decide what to do.", "error")]
    assert listener.seconds > 0.5


def test_without_tools_the_model_says_what_it_likes(make_engine: MakeEngine, model: Lfm2Audio) -> None:
    engine = make_engine()
    write(engine, model, "Hello, I am fine. How are you today, my friend?")

    listener = turn(engine, "u1")

    assert listener.replies == [Reply("Hello, I am fine. How are you today, my friend?", "lfm2_audio")]
    assert " ".join(listener.words) == listener.replies[0].text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("I am turning my head to the left.", ""),
        ("Well, my dear friend, it is a lovely day and so I am looking up now.", "Well, my"),
    ],
)
def test_a_claim_that_no_tool_made_true_is_never_voiced(
    make_engine: MakeEngine, model: Lfm2Audio, text: str, safe: str
) -> None:
    engine = make_engine(max_reply=20.0)
    write(engine, model, text)

    listener = turn(engine, "u1")

    said = " ".join(listener.words)
    assert listener.replies[0].text.startswith(safe)
    assert listener.replies[0].text.endswith("I am sorry, I have not done anything.")
    assert not any(claim in said + listener.replies[0].text for claim in ("turning", "looking"))
    assert not any(claim in engine.conversation.transcript() for claim in ("turning my", "looking up now"))


def test_the_persons_speech_is_read_before_the_decision_is_known(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    engine.listen(utterance("u1", seconds=5.0))
    read: list[int] = []
    feed = Context.feed

    def counted(context: Context, embeddings: torch.Tensor) -> torch.Tensor:
        read.append(len(embeddings))
        return feed(context, embeddings)

    monkeypatch.setattr(Context, "feed", counted)
    engine.answer(Question("u1", results=(LEFT,)), Listener(patience=1))

    opening = read[0]
    assert opening == len(engine._model.encode("<|im_end|>\n<|im_start|>assistant\n"))
    assert read[1] == 6  # and then the first text goes in, before the first frame
    assert set(read[2:14]) == {1}


def test_text_reaches_the_listener_before_the_sound_that_says_it(make_engine: MakeEngine) -> None:
    order: list[str] = []

    class Ordered(Listener):
        def say(self, words: str, samples: Samples) -> None:
            order.extend("t" * bool(words) + "s" * bool(samples.size))

    engine = make_engine()
    engine.listen(utterance("u1"))
    engine.answer(Question("u1", results=(LEFT,)), Ordered())

    assert order[0] == "t"
    assert "s" in order[: 1 + order.index("s") + 1]
    assert order.count("t") >= 2


def test_an_utterance_that_was_never_heard_is_answered_by_its_words(make_engine: MakeEngine) -> None:
    engine = make_engine()
    listener = Listener()

    engine.answer(Question("u1", Transcript("Look left."), (LEFT,)), listener)

    assert listener.replies == [Reply(LEFT.speech, "tools")]
    assert "<|im_start|>user\nLook left.<|im_end|>" in engine.conversation.transcript()


def test_sound_that_is_too_short_for_the_encoder_is_refused_and_the_turn_still_answered(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine()

    with pytest.raises(AudioError, match="short"):
        engine.listen(utterance("u1", seconds=0.05))
    listener = Listener()
    engine.answer(Question("u1", Transcript("Hi."), (LEFT,)), listener)

    assert listener.replies == [Reply(LEFT.speech, "tools")]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_sound_that_is_no_number_is_refused(make_engine: MakeEngine, bad: float) -> None:
    broken = utterance("u1")
    broken.samples[100] = bad

    with pytest.raises(AudioError):
        make_engine().listen(broken)


def test_thirty_seconds_of_silence_are_heard_and_answered(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.listen(Utterance("u1", np.zeros(30 * SAMPLE_RATE, np.float32), SAMPLE_RATE, 0.0, 0.0, 0.0))
    listener = Listener()
    engine.answer(Question("u1", results=(LEFT,)), listener)

    assert listener.replies == [Reply(LEFT.speech, "tools")]


def test_a_second_utterance_before_the_first_is_answered_comes_behind_it(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.listen(utterance("u1", 0.6))
    engine.listen(utterance("u2", 1.0))
    for name in ("u1", "u2"):
        engine.answer(Question(name, results=(LEFT,)), Listener())

    assert engine.conversation.turns == ("u1", "u2")
    assert engine.conversation.transcript().count("[speech") == 2


def test_an_utterance_without_words_leaves_no_trace(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.listen(utterance("noise"))
    engine.forget("noise")
    turn(engine, "u1", LEFT)

    assert engine.conversation.turns == ("u1",)


def test_the_history_keeps_what_was_heard_of_an_interrupted_reply(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.listen(utterance("u1"))
    listener = Listener(patience=3)
    question = Question("u1", results=(LEFT, LEFT, LEFT))
    engine.answer(question, listener)

    engine.heard(question, 2 * FRAME, "Looking")

    said = engine.conversation.transcript().split("assistant\n")[-1]
    assert said.count("♪") == 2
    assert said.endswith("♪♪[end]<|im_end|>\n")
    assert turn(engine, "u2", FAILED).replies == [Reply(FAILED.speech, "tools")]


def test_after_an_interruption_the_cache_is_that_of_a_talk_that_was_always_so_short(
    make_engine: MakeEngine, model: Lfm2Audio
) -> None:
    engine = make_engine()
    engine.listen(utterance("u1"))
    question = Question("u1", results=(LEFT, LEFT))
    engine.answer(question, Listener(patience=4))
    engine.heard(question, 3 * FRAME, "")

    assert_true_to_its_history(model, engine.conversation)


@pytest.mark.timeout(400)
def test_five_hundred_interruptions_leave_no_stale_sound_and_no_wrong_history(
    make_engine: MakeEngine, model: Lfm2Audio
) -> None:
    chance = random.Random(11)
    engine = make_engine(max_reply=1.0)
    threads = threading.active_count()
    tensors = 0
    for number in range(500):
        if number == 250:
            tensors = _living_tensors()
        name = f"u{number}"
        engine.listen(utterance(name, 0.2, seed=number))
        listener = Listener(patience=chance.randint(0, 6))
        if chance.random() < 0.1:
            listener.cancel()
        question = Question(name, Transcript("hello"), (chance.choice((LEFT, FAILED)),))
        engine.answer(question, listener)
        assert listener.after_cancel == 0
        heard = chance.uniform(0.0, listener.seconds)
        engine.heard(question, heard, "")
        said = engine.conversation.transcript().split("assistant\n")[-1]
        assert said.count("♪") <= round(heard / FRAME)
        assert said.endswith("<|im_end|>\n")
        engine.rest(lambda: chance.random() < 0.5)
    assert threading.active_count() == threads
    assert _living_tensors() <= tensors + 200  # as many as the history happens to have
    assert engine.conversation.context.length < 1024
    assert_true_to_its_history(model, engine.conversation)
    assert turn(engine, "last", LEFT).replies == [Reply(LEFT.speech, "tools")]


def _living_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())  # isinstance asks odd objects


def test_a_reply_that_is_canceled_before_it_begins_is_given_as_text_only(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.listen(utterance("u1"))
    listener = Listener()
    listener.cancel()
    engine.answer(Question("u1", results=(LEFT,)), listener)

    assert listener.replies == [Reply(LEFT.speech, "tools")]
    assert listener.sounds == []


CALLS = {
    "lora": ("<tool>pan_left(degrees=30)</tool>", " Looking left now."),
    "special_tokens": ("<|tool_call_start|>[pan_left(degrees=30)]<|tool_call_end|>", "Looking left now."),
    "output_parsing": ("ACTION:pan_left(degrees=30) RESPONSE:", " Looking left now."),
}


@pytest.mark.parametrize("style", CALLS)
def test_the_models_own_text_calls_tools_and_the_reply_tells_the_result(
    make_engine: MakeEngine, model: Lfm2Audio, style: str
) -> None:
    engine = make_engine(calls=style)
    call, speech = CALLS[style]
    write(engine, model, call + speech)

    calls = engine.listen(utterance("u1"))
    listener = Listener()
    engine.answer(Question("u1", Transcript("look left"), (LEFT,)), listener)

    assert calls is not None
    assert [(one.name, dict(one.arguments)) for one in calls] == [("pan_left", {"degrees": 30})]
    assert listener.replies == [Reply(LEFT.speech, "tools")]
    assert " ".join(listener.words) == LEFT.speech
    assert f"assistant\n{call}{LEFT.speech[:6]}" in engine.conversation.transcript()


def test_context_shows_the_result_to_a_model_that_called_the_tool_itself(
    make_engine: MakeEngine, model: Lfm2Audio
) -> None:
    engine = make_engine(calls="lora", grounding="context")
    write(engine, model, "<tool>pan_left</tool> Looking.", "As you can see.")
    engine.listen(utterance("u1"))

    listener = Listener()
    engine.answer(Question("u1", Transcript("look left"), (LEFT,)), listener)

    assert f"[{LEFT.speech}]<|im_end|>" in engine.conversation.transcript()
    assert engine.conversation.turns == ("u1",)


def test_own_text_without_a_call_is_spoken_from_its_beginning(make_engine: MakeEngine, model: Lfm2Audio) -> None:
    engine = make_engine(calls="lora")
    write(engine, model, "It is nice to meet you, my friend.")

    calls = engine.listen(utterance("u1"))
    listener = Listener()
    engine.answer(Question("u1", Transcript("hello")), listener)

    assert calls == ()
    assert listener.replies == [Reply("It is nice to meet you, my friend.", "lfm2_audio")]
    assert " ".join(listener.words) == "It is nice to meet you, my friend."


def test_calls_that_others_decided_replace_what_the_model_was_about_to_say(
    make_engine: MakeEngine, model: Lfm2Audio
) -> None:
    engine = make_engine(calls="lora")
    write(engine, model, "I would rather not move.")
    engine.listen(utterance("u1"))

    listener = Listener()
    engine.answer(Question("u1", Transcript("look left"), (LEFT,)), listener)

    assert listener.replies == [Reply(LEFT.speech, "tools")]
    assert "rather" not in engine.conversation.transcript()


def test_an_engine_that_failed_in_a_reply_answers_the_next_turn(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    engine.listen(utterance("u1"))
    with monkeypatch.context() as broken:
        broken.setattr(engine._generator._frames, "sample", _out_of_memory)
        with pytest.raises(ResourceError, match="memory"):
            engine.answer(Question("u1", results=(LEFT,)), Listener())

    assert engine.conversation.turns == ()
    assert turn(engine, "u2", LEFT).replies == [Reply(LEFT.speech, "tools")]


def _out_of_memory(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_the_system_prompt_tells_what_the_robot_can_do(make_engine: MakeEngine) -> None:
    prompt = make_engine(speaker="UK male").conversation.transcript()

    assert prompt.startswith(
        "<|startoftext|><|im_start|>system\nRespond with interleaved text and audio. Use the UK male"
    )
    assert "Turn the head to the left." in prompt
    own = make_engine(system_prompt="Be brief.").conversation.transcript()
    assert own == "<|startoftext|><|im_start|>system\nBe brief.<|im_end|>\n"


def test_a_warm_engine_has_an_empty_history(make_engine: MakeEngine) -> None:
    engine = make_engine()
    before = engine.conversation.transcript()

    engine.warm_up()

    assert engine.conversation.transcript() == before


def test_the_same_seed_gives_the_same_reply(make_engine: MakeEngine) -> None:
    sounds: Sequence[list[Samples]] = [turn(make_engine(), "u1", LEFT).sounds for _ in range(2)]

    np.testing.assert_allclose(np.concatenate(sounds[0]), np.concatenate(sounds[1]), atol=1e-5)


def test_an_engine_is_closed_twice_without_harm(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.close()
    engine.close()


@pytest.mark.parametrize("calls", ["none", "lora"])
def test_what_is_heard_in_pauses_leaves_the_history_as_if_only_the_end_had_been_heard(
    make_engine: MakeEngine, model: Lfm2Audio, calls: str
) -> None:
    early, late = make_engine(calls=calls), make_engine(calls=calls)
    for engine in (early, late):
        turn(engine, "u1", LEFT)
    listening, whole = EarlyListening(), utterance("u2", 1.2, seed=2)

    for end in (1.0, 2.0):
        listening.draft(early, dataclasses.replace(utterance("u2", 0.6, seed=1), speech_end=end))
    asked = listening.utterance(early, whole)
    assert asked == late.listen(whole)
    heard = [Listener(), Listener()]
    for engine, listener in zip((early, late), heard, strict=True):
        engine.answer(Question("u2", Transcript("look left"), (LEFT,)), listener)

    assert early.conversation.transcript() == late.conversation.transcript()
    assert_true_to_its_history(model, early.conversation)
    assert heard[0].replies == heard[1].replies


def test_what_was_heard_in_the_last_pause_is_what_is_answered(make_engine: MakeEngine, model: Lfm2Audio) -> None:
    engine, listening = make_engine(), EarlyListening()
    listening.draft(engine, utterance("u1"))
    begun = engine.conversation.transcript()

    listening.utterance(engine, utterance("u1", 0.9))

    assert engine.conversation.transcript() == begun
    engine.answer(Question("u1", Transcript("look left"), (LEFT,)), Listener())
    assert_true_to_its_history(model, engine.conversation)
