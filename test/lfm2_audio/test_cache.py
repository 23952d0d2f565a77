"""A context that is fed in pieces knows what one fed at once does, and can go back."""

from __future__ import annotations

import pytest
import torch

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.lfm2_audio.cache import Context
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio

TOLERANCE = 1e-5  # of float32, over a few layers


def _inputs(model: Lfm2Audio, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    tokens = torch.randint(131, len(model.tokenizer), (count,), generator=generator).tolist()
    return model.embed_text(tokens)


def _full(model: Lfm2Audio, embeddings: torch.Tensor) -> torch.Tensor:
    """The last hidden state of a prefill without any cache, as the library does it."""
    with torch.inference_mode():
        hidden: torch.Tensor = model.net.lfm(inputs_embeds=embeddings[None], use_cache=False).last_hidden_state[0, -1]
    return hidden


@pytest.mark.parametrize("sizes", [(40,), (1,) * 40, (5, 1, 30, 4), (1, 1, 2, 36), (39, 1)])
def test_a_context_fed_in_pieces_equals_a_full_prefill(model: Lfm2Audio, sizes: tuple[int, ...]) -> None:
    embeddings = _inputs(model, 40)
    context = Context(model, 64)

    for piece in embeddings.split(list(sizes)):
        hidden = context.feed(piece)

    assert context.length == 40
    torch.testing.assert_close(hidden, _full(model, embeddings), atol=TOLERANCE, rtol=0)


def test_more_than_one_chunk_at_once_is_the_same(model: Lfm2Audio) -> None:
    embeddings = _inputs(model, 700)

    torch.testing.assert_close(Context(model, 1024).feed(embeddings), _full(model, embeddings), atol=TOLERANCE, rtol=0)


def test_after_going_back_it_is_as_if_the_rest_had_never_been_fed(model: Lfm2Audio) -> None:
    begin, wrong, right = _inputs(model, 20), _inputs(model, 17), _inputs(model, 9)
    context = Context(model, 64)
    context.feed(begin)
    mark = context.mark()
    for piece in wrong.split(1):
        context.feed(piece)

    context.back_to(mark)
    hidden = context.feed(right)

    assert context.length == 29
    torch.testing.assert_close(hidden, _full(model, torch.cat([begin, right])), atol=TOLERANCE, rtol=0)


def test_going_back_twice_to_the_same_mark_is_the_same(model: Lfm2Audio) -> None:
    begin, first, second = _inputs(model, 8), _inputs(model, 5), _inputs(model, 6)
    context = Context(model, 64)
    context.feed(begin)
    mark = context.mark()
    once = context.feed(first)
    context.back_to(mark)
    context.feed(second)
    context.back_to(mark)

    torch.testing.assert_close(context.feed(first), once, atol=0, rtol=0)


def test_a_cleared_context_begins_anew(model: Lfm2Audio) -> None:
    context = Context(model, 64)
    context.feed(_inputs(model, 30))
    context.clear()

    hidden = context.feed(_inputs(model, 12))

    assert context.length == 12
    torch.testing.assert_close(hidden, _full(model, _inputs(model, 12)), atol=TOLERANCE, rtol=0)


def test_two_contexts_of_one_model_do_not_mix(model: Lfm2Audio) -> None:
    one, other = Context(model, 64), Context(model, 64)
    for piece, others in zip(_inputs(model, 20).split(4), _inputs(model, 25).split(5), strict=True):
        hidden = one.feed(piece)
        other.feed(others)

    torch.testing.assert_close(hidden, _full(model, _inputs(model, 20)), atol=TOLERANCE, rtol=0)


def test_a_step_over_the_whole_window_as_a_cuda_graph_needs_it_is_the_same(model: Lfm2Audio) -> None:
    embeddings = _inputs(model, 24)
    context = Context(model, 64)
    context.feed(embeddings[:20])
    with torch.inference_mode():
        for index in range(20, 24):
            position = torch.tensor([index])
            hidden = context._static_step(embeddings[index : index + 1], position)
            context._store.length += 1

    torch.testing.assert_close(hidden, _full(model, embeddings), atol=TOLERANCE, rtol=0)


def test_what_does_not_fit_is_refused_before_anything_is_read(model: Lfm2Audio) -> None:
    context = Context(model, 16)
    context.feed(_inputs(model, 10))

    with pytest.raises(ResourceError, match="16 positions"):
        context.feed(_inputs(model, 7))

    assert context.length == 10
    context.feed(_inputs(model, 6))
