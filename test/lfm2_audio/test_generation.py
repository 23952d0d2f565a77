"""The loop of text and sound: its layout, fixed text, calls before the speech, and its ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from lfm_voice_ros.core.call_stream import SYNTAXES, CallStream
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.frame import END_OF_AUDIO, FrameSampler
from lfm_voice_ros.lfm2_audio.generation import (
    TEXT_END,
    TURN_END,
    Detokenizer,
    Frame,
    Generator,
    Step,
    Text,
    Words,
    most_frames,
)
from lfm_voice_ros.lfm2_audio.sampling import Sampling, TextSampler

TOLERANCE = 1e-5


class ScriptedText:
    """A TextSampler that writes what a test wants, and then ends its text."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)

    def sample(self, hidden: torch.Tensor) -> int:
        return self._tokens.pop(0) if self._tokens else TEXT_END


class ScriptedFrames:
    """A FrameSampler that ends the sound after so many frames, as soon as it may."""

    def __init__(self, frames: int) -> None:
        self.left = frames
        self.asked: list[bool] = []

    def sample(self, hidden: torch.Tensor, may_end: bool) -> torch.Tensor:
        self.asked.append(may_end)
        self.left -= 1
        return torch.full((8,), END_OF_AUDIO) if self.left < 0 and may_end else torch.arange(8)


def _generator(model: Lfm2Audio, text: Sequence[int], frames: int, max_frames: int = 200) -> Generator:
    context = Context(model, 1024)
    generator = Generator(model, ScriptedText(text), ScriptedFrames(frames), max_frames)  # type: ignore[arg-type]
    generator.begin(context, context.feed(model.embed_text(model.encode("<|im_start|>assistant\n"))))
    return generator


def _layout(steps: Sequence[Step]) -> str:
    """T for each text token, ♪ for each frame, . for the end of the sound."""
    return "".join("t" * len(step.tokens) if isinstance(step, Text) else "." if step.ends else "♪" for step in steps)


def test_six_text_tokens_go_with_twelve_frames_and_after_the_text_there_is_only_sound(model: Lfm2Audio) -> None:
    generator = _generator(model, range(200, 215), frames=40)

    steps = list(generator.interleave([], free=True))

    assert _layout(steps) == "t" * 6 + "♪" * 12 + "t" * 6 + "♪" * 12 + "t" * 4 + "♪" * 16 + "."


def test_a_fixed_text_is_said_to_the_letter_and_closed(model: Lfm2Audio) -> None:
    generator = _generator(model, [], frames=30)
    tokens = model.encode("Looking left, thirty degrees.")

    steps = list(generator.interleave(tokens, free=False))

    written = [token for step in steps if isinstance(step, Text) for token in step.tokens]
    assert written == [*tokens, TEXT_END]


def test_no_frame_may_end_the_sound_while_fixed_text_remains(model: Lfm2Audio) -> None:
    context = Context(model, 1024)
    frames = ScriptedFrames(0)
    generator = Generator(model, ScriptedText([]), frames, 200)  # type: ignore[arg-type]
    generator.begin(context, context.feed(model.embed_text([1])))

    steps = list(generator.interleave(range(200, 211), free=False))  # twelve tokens with their end

    assert _layout(steps) == "t" * 6 + "♪" * 12 + "t" * 6 + "."
    assert frames.asked == [False] * 12 + [True]


def test_a_fixed_beginning_is_followed_by_the_models_own_words(model: Lfm2Audio) -> None:
    generator = _generator(model, [300, 301], frames=5)

    steps = list(generator.interleave([200, 201, 202], free=True))

    written = [token for step in steps if isinstance(step, Text) for token in step.tokens]
    assert written == [200, 201, 202, 300, 301, TEXT_END]


def test_text_behind_the_end_of_the_sound_starts_no_new_sound(model: Lfm2Audio) -> None:
    generator = _generator(model, range(200, 220), frames=3)

    steps = list(generator.interleave([], free=True))

    assert _layout(steps) == "t" * 6 + "♪♪♪." + "t" * 15


def test_a_model_that_ends_its_turn_ends_the_reply_and_the_token_is_not_read(model: Lfm2Audio) -> None:
    generator = _generator(model, [200, 201, TURN_END], frames=3)
    before = generator.place().mark.length

    steps = list(generator.interleave([], free=True))

    assert _layout(steps) == "tt"
    assert generator.place().mark.length == before + 2


@pytest.mark.parametrize("tokens", [3, 100])
def test_sound_of_a_fixed_text_that_does_not_end_is_cut_by_the_length_of_the_text(
    model: Lfm2Audio, tokens: int
) -> None:
    generator = _generator(model, [], frames=10_000)

    steps = list(generator.interleave(range(200, 200 + tokens), free=False))

    assert _layout(steps).count("t") == tokens + 1
    assert _layout(steps).count("♪") == most_frames(tokens) > 2 * tokens


def test_sound_of_a_free_reply_that_does_not_end_is_cut(model: Lfm2Audio) -> None:
    generator = _generator(model, range(200, 203), frames=10_000, max_frames=30)

    assert _layout(list(generator.interleave([], free=True))) == "tttt" + "♪" * 30


def test_a_reply_ends_where_the_context_is_full(model: Lfm2Audio) -> None:
    context = Context(model, 64)
    generator = Generator(model, ScriptedText([]), ScriptedFrames(10_000), 200)  # type: ignore[arg-type]
    generator.begin(context, context.feed(model.embed_text([1])))

    list(generator.interleave(range(200, 260), free=False))

    assert context.length == 63


def test_every_step_is_in_the_context_when_it_is_given(model: Lfm2Audio) -> None:
    sampling = Sampling(seed=1)
    context = Context(model, 1024)
    frames = FrameSampler(model.net, temperature=1.0, top_k=4, seed=1)
    generator = Generator(model, TextSampler(model.net.lfm.embed_tokens.weight, sampling), frames, 20)
    opening = model.embed_text(model.encode("<|im_start|>assistant\n"))
    generator.begin(context, context.feed(opening))
    embeddings = [opening]

    for step in generator.interleave(range(200, 208), free=False):
        embeddings.append(
            model.embed_text(step.tokens) if isinstance(step, Text) else model.embed_frames(step.codes[None])
        )
        place = generator.place()
        assert place.mark.length == sum(map(len, embeddings))

    with torch.inference_mode():
        whole = model.net.lfm(inputs_embeds=torch.cat(embeddings)[None], use_cache=False).last_hidden_state[0, -1]
    torch.testing.assert_close(place.hidden, whole, atol=TOLERANCE, rtol=0)


def test_a_reply_goes_on_from_a_place_as_if_it_had_never_left_it(model: Lfm2Audio) -> None:
    generator = _generator(model, range(200, 230), frames=100)
    place = generator.place()
    first = next(generator.interleave([240, 241, 242], free=False))
    after = generator.place().hidden

    generator.back_to(place)
    again = next(generator.interleave([240, 241, 242], free=False))

    assert first == again
    torch.testing.assert_close(generator.place().hidden, after, atol=0, rtol=0)


STYLES = {
    "lora": ("<tool>pan_left(degrees=30)</tool>", " Looking left now."),
    "special_tokens": ("<|tool_call_start|>[pan_left(degrees=30)]<|tool_call_end|>", "Looking left now."),
    "output_parsing": ("ACTION:pan_left(degrees=30) RESPONSE:", " Looking left now."),
}


@pytest.mark.parametrize("style", STYLES)
def test_calls_before_the_speech_are_read_without_any_sound_and_the_speech_is_taken_back(
    model: Lfm2Audio, style: str
) -> None:
    call, speech = STYLES[style]
    generator = _generator(model, model.encode(call + speech), frames=5)
    begin = generator.place().mark.length

    tokens, spoken, calls = generator.calls(CallStream(SYNTAXES[style], ["pan_left"]), lambda: False)

    assert [(one.name, dict(one.arguments)) for one in calls] == [("pan_left", {"degrees": 30})]
    assert spoken == ""
    assert model.decode(tokens) == call
    assert generator.place().mark.length == begin + len(tokens)


def test_two_calls_in_a_row_are_both_read(model: Lfm2Audio) -> None:
    written = model.encode("<tool>pan_left</tool><tool>nod</tool> Done.")
    generator = _generator(model, written, frames=5)

    _, _, calls = generator.calls(CallStream(SYNTAXES["lora"], ["pan_left", "nod"]), lambda: False)

    assert [one.name for one in calls] == ["pan_left", "nod"]


def test_a_reply_without_calls_keeps_what_was_written_and_goes_on_with_the_rest_of_six_tokens(model: Lfm2Audio) -> None:
    generator = _generator(model, model.encode("Hello there, how are you today?"), frames=20)

    tokens, spoken, calls = generator.calls(CallStream(SYNTAXES["lora"], ["nod"]), lambda: False)
    steps = list(generator.interleave([], free=True, already=len(tokens)))

    assert calls == ()
    assert spoken == model.decode(tokens) != ""
    assert _layout(steps).startswith("t" * (6 - len(tokens)) + "♪")


def test_a_call_that_never_closes_is_given_up(model: Lfm2Audio) -> None:
    generator = _generator(model, model.encode("<tool>pan_left(" + "x" * 2000), frames=5)

    tokens, _, calls = generator.calls(CallStream(SYNTAXES["lora"], ["pan_left"]), lambda: False)

    assert calls == ()
    assert len(tokens) <= 96


def test_while_a_call_is_open_no_sound_is_made(model: Lfm2Audio) -> None:
    generator = _generator(model, range(200, 230), frames=5)
    held = iter([True] * 4)

    steps = list(generator.interleave([], free=True, holding=lambda: next(held, False)))

    assert _layout(steps).index("♪") == 10


def test_text_comes_in_whole_characters(model: Lfm2Audio) -> None:
    text = "Grüße 🤖, naïve façade…"
    detokenizer = Detokenizer(model)

    pieces = [detokenizer.push([token]) for token in model.encode(text)]

    assert "".join(pieces) == text
    assert not any("�" in piece for piece in pieces)


def test_words_are_given_when_they_are_complete() -> None:
    words = Words()

    assert [words.push(piece) for piece in ("Look", "ing le", "ft, thir", "ty deg", "rees")] == [
        "",
        "Looking",
        "left,",
        "thirty",
        "",
    ]
    assert words.finish() == "degrees"
    assert words.finish() == ""


def test_text_is_sampled_greedily_or_among_the_likeliest() -> None:
    embedding = torch.eye(5) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])[:, None]
    hidden = torch.ones(5)

    assert TextSampler(embedding, Sampling()).sample(hidden) == 4
    chosen = TextSampler(embedding, Sampling(text_temperature=2.0, text_top_k=2, seed=0))
    assert {chosen.sample(hidden) for _ in range(60)} == {3, 4}
    repeated = [TextSampler(embedding, Sampling(text_temperature=5.0, seed=3)) for _ in range(2)]
    assert [repeated[0].sample(hidden) for _ in range(20)] == [repeated[1].sample(hidden) for _ in range(20)]


def test_the_frames_of_a_real_sampler_are_ones_that_a_vocoder_can_decode(model: Lfm2Audio) -> None:
    context = Context(model, 1024)
    frames = FrameSampler(model.net, temperature=1.0, top_k=0, seed=5)
    generator = Generator(model, ScriptedText([]), frames, 60)  # type: ignore[arg-type]
    generator.begin(context, context.feed(model.embed_text([1])))

    for step in generator.interleave(range(200, 230), free=False):
        if isinstance(step, Frame) and not step.ends:
            assert int(step.codes.min()) >= 0
            assert int(step.codes.max()) < END_OF_AUDIO
