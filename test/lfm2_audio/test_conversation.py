"""The history is what was heard, and the cache is what the history says, whatever happened on the way."""

from __future__ import annotations

import random

import pytest
import torch
from histories import assert_true_to_its_history, speech

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.conversation import Conversation

END = 2048


def _codes(seed: int) -> torch.Tensor:
    return torch.randint(0, 2048, (8,), generator=torch.Generator().manual_seed(seed))


def _conversation(model: Lfm2Audio, window: int = 1024) -> Conversation:
    return Conversation(model, "You are a robot.", lambda: Context(model, window))


def _say(model: Lfm2Audio, talk: Conversation, words: str, frames: int, *, ends: bool = True) -> None:
    """A reply in the model's layout: a block of text, frames, end-of-audio."""
    talk.reply()
    tokens = model.encode(words)
    talk.context.feed(model.embed_text(tokens))
    talk.wrote(tokens)
    for number in range(frames + ends):
        codes = _codes(number) if number < frames else torch.full((8,), END)
        talk.context.feed(model.embed_frames(codes[None]))
        talk.spoke(codes, ends=number == frames)


def test_twenty_turns_with_one_cache_equal_a_full_prefill_of_the_whole_talk(model: Lfm2Audio) -> None:
    talk = _conversation(model, 2048)
    for number in range(20):
        talk.listen(f"u{number}", speech(model, number), 32)
        _say(model, talk, f"This is answer {number}.<|text_end|>", 3)
        talk.close(None, f"u{number}")

    assert len(talk.turns) == 20
    assert_true_to_its_history(model, talk)


def test_each_turn_reads_only_what_is_new(model: Lfm2Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = _conversation(model, 2048)
    read: list[int] = []
    feed = Context.feed

    def counted(context: Context, embeddings: torch.Tensor) -> torch.Tensor:
        read.append(len(embeddings))
        return feed(context, embeddings)

    monkeypatch.setattr(Context, "feed", counted)
    per_turn = []
    for number in range(20):
        read.clear()
        talk.listen(f"u{number}", speech(model, number), 32)
        talk.reply()
        per_turn.append(sum(read))
        talk.close()

    assert max(per_turn[1:]) == min(per_turn[1:])


def test_the_history_reads_as_the_chat_template_of_the_model(model: Lfm2Audio) -> None:
    talk = _conversation(model)
    talk.listen("u1", speech(model, 1, length=4), 32)
    _say(model, talk, "Hello.<|text_end|>", 2)
    talk.close(None, "u1")

    assert talk.transcript() == (
        "<|startoftext|><|im_start|>system\nYou are a robot.<|im_end|>\n"
        "<|im_start|>user\n[speech 4]<|im_end|>\n<|im_start|>assistant\nHello.<|text_end|>♪♪[end]<|im_end|>\n"
    )


@pytest.mark.parametrize("heard", [0, 1, 3, 4, 5])
def test_a_reply_that_was_cut_is_in_the_history_as_far_as_it_was_heard(model: Lfm2Audio, heard: int) -> None:
    talk = _conversation(model)
    talk.listen("u1", speech(model, 1), 32)
    _say(model, talk, "A long answer.", 5, ends=False)

    talk.close(heard, "u1")

    played = f"A long answer.{'♪' * heard}[end]" if heard else ""
    assert talk.transcript().endswith(f"<|im_start|>assistant\n{played}<|im_end|>\n")
    assert_true_to_its_history(model, talk)


def test_what_was_heard_may_be_known_only_when_the_person_speaks_again(model: Lfm2Audio) -> None:
    talk = _conversation(model)
    talk.listen("u1", speech(model, 1), 32)
    _say(model, talk, "A long answer.", 6)
    talk.listen("u2", speech(model, 2), 32)

    talk.close(2, "u1")

    assert talk.transcript().endswith("♪♪[end]<|im_end|>\n<|im_start|>user\n[speech 6]")
    _say(model, talk, "Yes.", 1)
    assert_true_to_its_history(model, talk)


def test_a_report_that_comes_after_the_next_answer_changes_nothing(model: Lfm2Audio) -> None:
    talk = _conversation(model)
    talk.listen("u1", speech(model, 1), 32)
    _say(model, talk, "One.", 3)
    talk.listen("u2", speech(model, 2), 32)
    _say(model, talk, "Two.", 3)
    before = talk.transcript()

    talk.close(1, "u1")

    assert talk.transcript() == before
    assert_true_to_its_history(model, talk)


@pytest.mark.parametrize("forgotten", ["u1", "u2"])
def test_an_utterance_without_words_leaves_no_trace(model: Lfm2Audio, forgotten: str) -> None:
    talk = _conversation(model)
    talk.listen("u1", speech(model, 1, 3), 32)
    talk.listen("u2", speech(model, 2, 5), 32)

    talk.forget(forgotten)

    assert talk.transcript().count("[speech") == 1
    assert f"[speech {5 if forgotten == 'u1' else 3}]" in talk.transcript()
    assert_true_to_its_history(model, talk)


def test_when_the_window_fills_old_turns_are_left_out_while_nobody_waits(model: Lfm2Audio) -> None:
    talk = _conversation(model, 512)
    for number in range(40):
        talk.listen(f"u{number}", speech(model, number), 64)
        _say(model, talk, f"Answer {number}.<|text_end|>", 4)
        talk.close(None, f"u{number}")
        assert talk.settle(lambda: False)
        assert talk.context.length < 0.7 * 512

    assert 1 < len(talk.turns) < 40
    assert talk.turns[-1] == "u39"
    assert talk.transcript().startswith("<|startoftext|><|im_start|>system\nYou are a robot.")
    assert_true_to_its_history(model, talk)


def test_folding_stops_for_a_person_and_goes_on_later(model: Lfm2Audio) -> None:
    talk = _conversation(model, 512)
    number = 0
    while talk.context.length < 0.6 * 512:
        talk.listen(f"u{number}", speech(model, number), 64)
        _say(model, talk, f"Answer {number}.<|text_end|>", 4)
        talk.close(None, f"u{number}")
        number += 1
    context = talk.context

    assert not talk.settle(lambda: True)
    talk.listen("between", speech(model, 50), 64)
    _say(model, talk, "Still here.<|text_end|>", 2)
    talk.close(1, "between")
    assert talk.context is context

    assert talk.settle(lambda: False)
    assert talk.context is not context
    assert talk.turns[-1] == "between"
    assert len(talk.turns) < number
    assert_true_to_its_history(model, talk)


def test_without_a_quiet_moment_old_turns_are_left_out_at_once(model: Lfm2Audio) -> None:
    talk = _conversation(model, 512)
    for number in range(30):
        talk.listen(f"u{number}", speech(model, number), 64)
        _say(model, talk, f"Answer {number}.<|text_end|>", 4)

    assert len(talk.turns) < 30
    talk.close()
    assert_true_to_its_history(model, talk)


def test_a_turn_that_can_never_fit_is_refused_and_leaves_the_talk_as_it_was(model: Lfm2Audio) -> None:
    talk = _conversation(model, 512)
    talk.listen("u1", speech(model, 1), 32)
    _say(model, talk, "Yes.<|text_end|>", 2)
    talk.close(None, "u1")

    with pytest.raises(ResourceError, match="positions"):
        talk.listen("endless", speech(model, 2, 600), 32)

    assert_true_to_its_history(model, talk)


def test_a_thousand_random_events_leave_the_cache_true_to_the_history(model: Lfm2Audio) -> None:
    chance = random.Random(7)
    talk = _conversation(model, 512)
    for number in range(250):
        name = f"u{number}"
        talk.listen(name, speech(model, number, chance.randint(1, 12)), 64)
        match chance.choice(("forget", "cut", "late", "whole", "whole")):
            case "forget":
                talk.forget(name)
                continue
            case "cut":
                _say(model, talk, "Half.", chance.randint(0, 6), ends=False)
                talk.close(chance.randint(0, 7), name)
            case "late":
                _say(model, talk, "Late.", chance.randint(1, 6))
                talk.listen(f"{name}+", speech(model, number, 3), 64)
                talk.close(chance.randint(0, 6), name)
                _say(model, talk, "Next.", 1)
            case _:
                _say(model, talk, "Whole.", chance.randint(0, 6))
                talk.close(None, name)
        talk.settle(lambda: chance.random() < 0.5)
        if number % 10 == 0:
            assert_true_to_its_history(model, talk)
