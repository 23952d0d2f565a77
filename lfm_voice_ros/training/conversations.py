"""Makes a dataset of conversations: what a person says, what the robot calls and answers, both spoken.

The sentences are drawn from templates. The answer to one with calls is what the tools say when they are really run,
with a simulated head and a clock that is set to some moment; to all others it is the small talk of the lite engine,
which claims no act.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from random import Random

import numpy as np

from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ToolError, ToolTimeout
from lfm_voice_ros.core.grounding import compose
from lfm_voice_ros.core.pan_tilt import PanTilt, Refused
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.trajectory import Pair, Trajectory
from lfm_voice_ros.core.types import HeadMove, Json, ToolCall, Transcript
from lfm_voice_ros.dataset.changes import locked
from lfm_voice_ros.dataset.format import (
    DATASET_FILE,
    Example,
    dataset_file,
    fill,
    read_dataset,
    replace_file,
    result_entry,
    unfilled,
    write_dataset,
    write_response,
)
from lfm_voice_ros.dataset.stats import LEAST_NEAR_MISSES
from lfm_voice_ros.dialogue.lite import LiteEngine
from lfm_voice_ros.tools.clock import Places
from lfm_voice_ros.tools.executor import Performed, ToolExecutor
from lfm_voice_ros.tools.registry import Registry
from lfm_voice_ros.training.corpus_generator import Sentence
from lfm_voice_ros.training.speech_corpus import Studio, claim, keep_wav, recording

#: The kinds of sentences that only sound like commands.
HARD = frozenset({"near_miss", "unwanted", "canceled"})

_VERSION = 1  # of the recipe: a change of what the same arguments give raises it
_CENTERED, _AT_LIMIT = 0.25, 0.25  # of the heads when a sentence is said; the others are anywhere
_ROUND = 0.7  # of those stand at a multiple of five degrees, as after most commands
_FAILING = 0.04  # of the heads
_REACTION = 0.05  # s from one call of a sentence to the next
_TIMEOUT = 2.0  # s that tool_server waits for the head
_FIRST_MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
_MINUTES = 3 * 365 * 24 * 60  # in which the moments lie


@dataclass(frozen=True)
class Summary:
    """What a dataset has got."""

    dataset: Path
    examples: Sequence[Example]
    made: int  # recordings of the person
    kept: int  # recordings of an earlier run

    @property
    def replies(self) -> int:
        """How many different replies are spoken."""
        return len({example.speech for example in self.examples if example.response_audio})

    def share(self, kinds: Iterable[str]) -> float:
        """Give the part of the examples, 0 to 1, that is of one of these kinds."""
        wanted = frozenset(kinds)
        return sum(example.kind in wanted for example in self.examples) / max(1, len(self.examples))


@dataclass(frozen=True)
class Answer:
    """What the robot does and says."""

    response: str
    results: tuple[dict[str, Json], ...] = ()


class SimulatedHead:
    """The port Head over the planner of the real one, without joints: it stands somewhere, or fails."""

    def __init__(self, random: Random) -> None:
        """Draw where it stands, and whether it fails."""
        settings = PanTiltSettings()
        self._planner = PanTilt(settings)
        self._names = (settings.pan_joint, settings.tilt_joint)
        self._at = _somewhere(settings, random)
        self._under_way: tuple[float, Trajectory] | None = None  # since when, and how
        self._now = 0.0
        self._fails = random.choice(("silent", "lost")) if random.random() < _FAILING else ""

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        """See the port."""
        self._pass()
        try:
            move = self._planner.move(motion, pan, tilt, append, self._now)
        except Refused as exc:
            raise ToolError(str(exc)) from exc
        self._under_way = (self._now, move.trajectory)
        return HeadMove(*move.target, *move.change, *move.limited, move.trajectory.duration)

    def position(self) -> tuple[float, float]:
        """See the port."""
        self._pass()
        status = self._planner.status(self._now)
        if status.stale:
            raise ToolError(self._planner.unknown)
        return status.position

    def _pass(self) -> None:
        """Let a moment pass, after which the joints are reported."""
        self._now += _REACTION
        if self._fails == "silent":
            raise ToolTimeout(f"my head doesn't answer: head/move took longer than {_TIMEOUT} s")
        if self._fails:
            return
        if self._under_way is not None:
            began, trajectory = self._under_way
            self._at, _ = trajectory.sample(self._now - began)
        self._planner.observe(self._names, self._planner.to_joints(self._at), (), self._now, self._now)


class Answerer:
    """Answers sentences by running their calls, or with small talk."""

    def __init__(self, registry: Registry, places: Places, engine: LiteEngine) -> None:
        self._registry = registry
        self._places = places
        self._engine = engine

    def fits(self, calls: Iterable[ToolCall]) -> bool:
        """Whether the registry has the tools, with such arguments."""
        try:
            for call in calls:
                self._registry.check(call)
        except ToolError:
            return False
        return True

    def answer(self, sentence: Sentence, random: Random) -> Answer:
        """Answer one sentence; ``random`` draws where the head stands and what time it is."""
        if not sentence.calls:
            return Answer(self._engine.reply(Transcript(sentence.text), ()).text)
        moment = _FIRST_MOMENT + timedelta(minutes=random.randrange(_MINUTES))

        def now(zone: tzinfo | None) -> datetime:
            return moment.astimezone(zone) if zone else moment

        executor = ToolExecutor(self._registry, SimulatedHead(random), self._places, now)
        return told(list(executor.perform(sentence.calls, lambda: False)))


def told(performed: Sequence[Performed]) -> Answer:
    """Give the response to calls that were run: the tools' sentences with their fields, and the results for these.

    Where two results have the same field, which one is meant could not be told: the sentences are then filled in.
    """
    results = [one.result for one in performed]
    used = [set(unfilled(one.pattern)) for one in performed]
    # A result gives no more words than its own sentence needs, or they would fill the sentence of another one.
    entries = tuple(
        result_entry(one.result, {name: one.words[name] for name in sorted(names)})
        for one, names in zip(performed, used, strict=True)
    )
    pattern, speech = " ".join(one.pattern for one in performed if one.pattern), compose(results).text
    clear = sum(map(len, used)) == len(set[str]().union(*used)) and fill(pattern, entries) == speech
    return Answer(write_response([result.call for result in results], pattern if clear else speech), entries)


def choose(sentences: Iterable[Sentence], count: int, fits: Callable[[Iterable[ToolCall]], bool]) -> list[Sentence]:
    """Take ``count`` of the sentences, or all where there are fewer, without those whose calls don't fit.

    They are the first ones; but where less than LEAST_NEAR_MISSES of them only sound like commands, more of these take
    the places of the last others. Raises ConfigurationError where there aren't enough.
    """
    fitting = (sentence for sentence in sentences if fits(sentence.calls))
    chosen = list(itertools.islice(fitting, count))
    missing = math.ceil(round(LEAST_NEAR_MISSES * len(chosen), 6)) - sum(sentence.kind in HARD for sentence in chosen)
    others = [index for index, sentence in enumerate(chosen) if sentence.kind not in HARD]
    for index in others[::-1][: max(0, missing)]:
        hard = next((sentence for sentence in fitting if sentence.kind in HARD), None)
        if hard is None:
            raise ConfigurationError(
                f"the templates give too few sentences that only sound like commands: {LEAST_NEAR_MISSES:.0%} of "
                f"{len(chosen)} are needed; write more of them, or ask for fewer examples"
            )
        chosen[index] = hard
    return chosen


class Speaker:
    """Speaks replies into files; each text is spoken once."""

    def __init__(self, voice: Synthesizer) -> None:
        self.name = voice.name
        self._voice = voice
        self._spoken: dict[str, Path] = {}

    def speak(self, text: str, path: Path) -> bool:
        """Have ``path`` hold the text; False where there is nothing to speak.

        Raises ResourceError when the voice fails or the file can't be written.
        """
        if text in self._spoken:
            replace_file(path, self._spoken[text].read_bytes())
            return True
        pieces = list(self._voice.synthesize(text))
        if not pieces:
            return False
        keep_wav(path, np.concatenate(pieces), self._voice.sample_rate)
        self._spoken[text] = path
        return True


def converse(
    sentences: Sequence[Sentence],
    out: Path,
    answerer: Answerer,
    voices: Sequence[str],
    conditions: Sequence[str],
    seed: int,
    speaker: Speaker | None,
    progress: Callable[[str], None],
) -> Summary:
    """Make a dataset of ``sentences``: audio/NNNNN.wav, audio/NNNNN.reply.wav and, last, dataset.json.

    Voices and conditions are dealt as in speech_corpus.synthesize. Without a ``speaker`` the replies stay unspoken.
    The same arguments give the same files. A run that was interrupted goes on where it was; a dataset that is complete
    stays as it is. ``progress`` gets a line for each recording.

    Raises ConfigurationError for a voice or a condition that there isn't and a folder that holds what another run made,
    ResourceError when a voice is missing or the folder can't be written.
    """
    studio = Studio({number: one.text for number, one in enumerate(sentences, start=1)}, voices, conditions, seed)
    answers = [answerer.answer(one, Random(f"{seed} {number}")) for number, one in enumerate(sentences, start=1)]
    digest = hashlib.sha256(repr((sentences, answers)).encode()).hexdigest()
    voice = speaker.name if speaker else ""
    recipe = {"version": _VERSION, "sentences_sha256": digest, **studio.recipe, "reply_voice": voice}
    claim(out, DATASET_FILE, recipe)
    if (out / DATASET_FILE).exists():
        complete = read_dataset(out)
        return Summary(out / DATASET_FILE, complete, made=0, kept=len(complete))
    examples, made = list[Example](), 0
    takes = studio.takes()
    for take in takes:
        sentence, answer = sentences[take.number - 1], answers[take.number - 1]
        path = recording(out, take.number)
        done = studio.keep(take, path)
        if done == "nothing":
            progress(f"{take.number} of {len(takes)}: there is nothing to speak")
            continue
        example = Example(
            audio=path,
            transcript=sentence.text,
            response=answer.response,
            results=answer.results,
            speaker=take.voice,
            templates=sentence.templates,
            kind=sentence.kind,
            condition=take.condition.name,
        )
        reply = path.with_suffix(".reply.wav")
        if speaker is not None and (reply.exists() or speaker.speak(example.speech, reply)):
            example = replace(example, response_audio=reply)
        examples.append(example)
        if done == "made":
            made += 1
            progress(f"{take.number} of {len(takes)}: {path.name}, {take.voice}, {take.condition.name}")
    path = write_dataset(out, examples)
    return Summary(path, examples, made, kept=len(examples) - made)


def speak(dataset: Path, speaker: Speaker, progress: Callable[[str], None]) -> tuple[int, int]:
    """Speak the responses of a dataset that have no sound, into files beside those of the person: NAME.reply.wav.

    ``dataset`` is the JSON file or its folder; it is written anew, also when the work is interrupted. Gives how many
    were spoken and how many could not be: without words, or with fields that no result fills. ``progress`` gets a
    line for each.

    Raises ConfigurationError for an unusable dataset or a response that can't be read, ResourceError when the voice
    fails or a file can't be written.
    """
    file = dataset_file(dataset)
    examples = read_dataset(file)
    speeches = [_speech(example, f"{file}, example {number}") for number, example in enumerate(examples, start=1)]
    taken = {path for example in examples for path in (example.audio, example.response_audio)}
    silent = [index for index, example in enumerate(examples) if example.response_audio is None]
    spoken = 0
    try:
        for count, index in enumerate(silent, start=1):
            example, told = examples[index], f"{count} of {len(silent)}: example {index + 1}"
            path = _beside(example.audio, taken)
            if missing := unfilled(speeches[index]):
                progress(f"{told} stays unspoken: no result gives {', '.join(missing)}")
            elif speaker.speak(speeches[index], path):
                examples[index] = replace(example, response_audio=path)
                taken.add(path)
                spoken += 1
                progress(f"{told}, {path.name}")
            else:
                progress(f"{told} has nothing to speak")
    finally:
        if spoken:
            _add_replies(file, examples)
    return spoken, len(silent) - spoken


def _add_replies(file: Path, spoken: Sequence[Example]) -> None:
    """Write the sound of replies into a dataset that the recorder or a review may have changed meanwhile."""
    sounds = {(one.audio, one.response): one.response_audio for one in spoken}
    with locked(file.parent):
        write_dataset(
            file,
            [
                one if one.response_audio else replace(one, response_audio=sounds.get((one.audio, one.response)))
                for one in read_dataset(file)
            ],
        )


def _speech(example: Example, where: str) -> str:
    try:
        return example.speech
    except ModelOutputError as exc:
        raise ConfigurationError(f"{where}: the response can't be read: {exc}") from exc


def _beside(audio: Path, taken: Collection[Path | None]) -> Path:
    names = (f"{audio.stem}{'' if number == 1 else f'-{number}'}.reply.wav" for number in itertools.count(1))
    return next(path for path in map(audio.with_name, names) if path not in taken)


def _somewhere(settings: PanTiltSettings, random: Random) -> Pair:
    """Draw where the head stands, in rad."""
    limits = ((settings.pan_min, settings.pan_max), (settings.tilt_min, settings.tilt_max))
    pan, tilt = (_angle(low, high, random) for low, high in limits)
    chance = random.random()
    if chance < _CENTERED:
        return 0.0, 0.0
    if chance < _CENTERED + _AT_LIMIT:
        joint, end = random.randrange(2), random.randrange(2)
        return (limits[0][end], tilt) if joint == 0 else (pan, limits[1][end])
    return pan, tilt


def _angle(low: float, high: float, random: Random) -> float:
    degrees = random.uniform(math.degrees(low), math.degrees(high))
    rounded = 5.0 * round(degrees / 5.0) if random.random() < _ROUND else round(degrees, 1)
    return min(max(math.radians(rounded), low), high)
