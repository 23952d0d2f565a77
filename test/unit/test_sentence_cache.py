"""Sentences that are kept as sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.dialogue.sentence_cache import CachingSynthesizer, SentenceCache

SENTENCE = 400  # bytes of what Voice makes: two pieces of 50 samples


class Voice:
    """A Synthesizer that notes what it has made."""

    name = "test"
    sample_rate = 100

    def __init__(self, level: float = 0.5, broken: bool = False) -> None:
        self.made: list[str] = []
        self._level = level
        self._broken = broken

    def synthesize(self, text: str) -> Iterator[Samples]:
        self.made.append(text)
        yield np.full(50, self._level, np.float32)
        if self._broken:
            raise ResourceError("broken")
        yield np.full(50, self._level, np.float32)


def test_a_sentence_is_made_once_and_sounds_the_same_again() -> None:
    voice, cache = Voice(), SentenceCache(10 * SENTENCE)
    caching = CachingSynthesizer(voice, cache, "joe")

    first, second = list(caching.synthesize("Hello.")), list(caching.synthesize("Hello."))

    assert voice.made == ["Hello."]
    assert [piece.tolist() for piece in first] == [piece.tolist() for piece in second]
    assert (len(cache), cache.size, cache.hits, cache.misses) == (1, SENTENCE, 1, 1)
    assert str(cache) == "1 sentences, 0.0 MB, 1 of 2 found"


def test_a_sentence_that_was_prepared_is_not_made_when_it_is_spoken() -> None:
    voice, cache = Voice(), SentenceCache(10 * SENTENCE)
    caching = CachingSynthesizer(voice, cache, "joe")

    assert caching.keep("Hello.")
    assert caching.keep("Hello.")
    list(caching.synthesize("Hello."))

    assert voice.made == ["Hello."]


def test_the_sentences_that_were_used_longest_ago_make_room() -> None:
    voice, cache = Voice(), SentenceCache(2 * SENTENCE)
    caching = CachingSynthesizer(voice, cache, "joe")
    for text in ("One.", "Two.", "One.", "Three."):
        list(caching.synthesize(text))

    assert (cache.has("joe", "One."), cache.has("joe", "Two."), cache.has("joe", "Three.")) == (True, False, True)
    assert cache.size == 2 * SENTENCE


def test_a_sentence_larger_than_the_cache_is_spoken_and_not_kept() -> None:
    cache = SentenceCache(SENTENCE - 1)
    caching = CachingSynthesizer(Voice(), cache, "joe")

    assert len(list(caching.synthesize("Hello."))) == 2
    assert not caching.keep("Hello.")
    assert (len(cache), cache.size) == (0, 0)


def test_a_cache_without_room_has_nothing_prepared() -> None:
    voice = Voice()

    assert not CachingSynthesizer(voice, SentenceCache(0), "joe").keep("Hello.")
    assert voice.made == []


def test_voices_do_not_get_each_others_sound() -> None:
    cache = SentenceCache(10 * SENTENCE)
    list(CachingSynthesizer(Voice(0.5), cache, "joe").synthesize("Hello."))

    (piece, _) = CachingSynthesizer(Voice(0.25), cache, "amy").synthesize("Hello.")

    assert piece[0] == 0.25


def test_a_sentence_that_was_cut_or_failed_is_made_again() -> None:
    voice, cache = Voice(), SentenceCache(10 * SENTENCE)
    next(CachingSynthesizer(voice, cache, "joe").synthesize("Hello."))
    with pytest.raises(ResourceError):
        list(CachingSynthesizer(Voice(broken=True), cache, "joe").synthesize("Hello."))

    assert len(cache) == 0
    assert len(list(CachingSynthesizer(voice, cache, "joe").synthesize("Hello."))) == 2


def test_a_cache_that_is_cleared_has_forgotten_its_sentences() -> None:
    cache = SentenceCache(10 * SENTENCE)
    list(CachingSynthesizer(Voice(), cache, "joe").synthesize("Hello."))

    cache.clear()

    assert (len(cache), cache.size, cache.get("joe", "Hello.")) == (0, 0, None)
