"""The training of the stop words from the first spoken word to the record of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.training.stop_word_head import Point, Settings, choose, fit, join, points
from lfm_voice_ros.training.stop_word_speech import Clip, Recipe, other_texts, others, words

_FIRST_PART = 0.55  # of the other speech: the rest is what a head that knew only this part took for a word
#: Of the training of that head; the sentences that are spoken depend on them.
_FIRST = Settings(steps=800, look=3, hidden=96, dropout=0.3, noise=0.25, learning_rate=2e-3, weight_decay=0.03)
_MISTAKEN = 0.2  # the probability of a word at which a sentence is among them


def listen(recipe: Recipe, tell: Callable[[str, int, int], None]) -> list[Clip]:
    """Have everything spoken and heard. Raises ConfigurationError, ResourceError."""
    clips = []
    for held_back in (False, True):
        clips += list(words(recipe, held_back, lambda done, of: tell("stop words", done, of)))
    fresh = other_texts(recipe, held_back=False)
    first = recipe.other_seconds * _FIRST_PART
    clips += others(recipe, False, fresh, first, 1)
    tell("other speech", 1, 3)
    clips += others(recipe, False, _mistaken(clips, fresh, recipe), recipe.other_seconds - first, 2)
    tell("other speech", 2, 3)
    clips += others(recipe, True, other_texts(recipe, held_back=True), recipe.held_back_seconds, 3)
    tell("other speech", 3, 3)
    return clips


def _mistaken(clips: Sequence[Clip], fresh: Iterator[str], recipe: Recipe) -> Iterator[str]:
    """Give sentences that a first head takes for stop words, most of the time, else fresh ones; without end."""
    head = fit(clips, replace(_FIRST, seed=recipe.seed))
    found = [
        clip.text
        for clip in clips
        if not clip.held_back
        and not clip.word
        and head.probabilities(join(clip.vectors, head.look)).max(initial=0.0) >= _MISTAKEN
    ]
    random = np.random.default_rng((recipe.seed, 4))
    for text in fresh:
        yield str(random.choice(found)) if found and random.random() < 0.7 else text


def train(recipe: Recipe, settings: Settings, output: Path, tell: Callable[[str, int, int], None]) -> Point:
    """Write head.npz and record.json, and heard.npz, with which the next training of the same recipe needs no speech.

    Gives what the voices held back say to its threshold. Raises ConfigurationError, ResourceError.
    """
    clips = _heard(recipe, output, tell)
    head = fit(clips, settings)
    found = points(head, clips)
    chosen = choose(found, settings.false_per_hour)
    record = _record(recipe, settings, clips, found, chosen.threshold)
    try:
        replace(head, thresholds=np.full_like(head.thresholds, chosen.threshold)).save(output / "head.npz")
        (output / "record.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    except OSError as exc:
        raise ResourceError(f"{output} can't be written ({exc}); choose another --output") from exc
    return chosen


def _heard(recipe: Recipe, output: Path, tell: Callable[[str, int, int], None]) -> list[Clip]:
    """Give what was heard of the recipe, from the output's heard.npz if it holds the same, else spoken anew."""
    path = output / "heard.npz"
    spoken = json.dumps(asdict(recipe))
    if (kept := _kept(path, spoken)) is not None:
        return kept
    try:
        output.mkdir(parents=True, exist_ok=True)
        clips = listen(recipe, tell)
        np.savez_compressed(path, recipe=spoken, **_packed(clips))
    except OSError as exc:
        raise ResourceError(f"{output} can't be written ({exc}); choose another --output") from exc
    return clips


def _kept(path: Path, spoken: str) -> list[Clip] | None:
    """Give the clips of the file, if it is there and holds this recipe, as JSON."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return _unpacked(file) if str(file["recipe"]) == spoken else None
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as exc:
        raise ResourceError(f"{path} can't be read ({exc}); remove it or choose another --output") from exc


def _packed(clips: Sequence[Clip]) -> dict[str, NDArray[Any]]:
    return {
        "vectors": np.concatenate([clip.vectors for clip in clips]),
        "times": np.concatenate([clip.times for clip in clips]),
        "ends": np.cumsum([clip.times.size for clip in clips]),
        "words": np.array([clip.word for clip in clips]),
        "exact": np.array([clip.exact for clip in clips]),
        "held_back": np.array([clip.held_back for clip in clips]),
        "texts": np.array([clip.text for clip in clips]),
        "voices": np.array([clip.voice for clip in clips]),
    }


def _unpacked(file: Mapping[str, NDArray[Any]]) -> list[Clip]:
    ends = file["ends"][:-1]
    vectors, times = np.split(file["vectors"], ends), np.split(file["times"], ends)
    words_, texts, voices = (list(map(str, file[name])) for name in ("words", "texts", "voices"))
    exact, held_back = (list(map(bool, file[name])) for name in ("exact", "held_back"))
    return [Clip(*fields) for fields in zip(vectors, times, words_, exact, held_back, texts, voices, strict=True)]


def _record(
    recipe: Recipe, settings: Settings, clips: Sequence[Clip], found: Sequence[Point], threshold: float
) -> dict[str, Json]:
    taught = [clip for clip in clips if not clip.held_back]
    kept = [clip for clip in clips if clip.held_back]
    return {
        "embedding": "openWakeWord speech embedding",
        "made_by": "lfm-voice train-stop-words",
        "settings": asdict(settings),
        "recipe": {
            **{name: value for name, value in asdict(recipe).items() if name != "texts"},
            "texts": len(recipe.texts),
            "sha256_of_texts": hashlib.sha256("\n".join(recipe.texts).encode()).hexdigest(),
        },
        "taught": _counts(taught),
        "held_back": _counts(kept),
        "threshold": threshold,
        "threshold_chosen_by": "the voices held back: the lowest of these at which they give no more false stops an "
        "hour than settings.false_per_hour",
        "thresholds": [asdict(point) for point in found],
        "versions": {name: version(name) for name in ("numpy", "pyopen-wakeword", "torch")},
    }


def _counts(clips: Sequence[Clip]) -> dict[str, Json]:
    said = Counter(clip.word for clip in clips if clip.word)
    return {
        "recordings": dict(sorted(said.items())),
        "embeddings of them": sum(clip.times.size for clip in clips if clip.word),
        "other sentences": sum(not clip.word for clip in clips),
        "embeddings of other sentences": sum(clip.times.size for clip in clips if not clip.word),
    }
