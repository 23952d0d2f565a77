"""Divides a dataset into train, dev and test, so that no speaker and no template is in two of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.dataset.format import Example

Part = Literal["train", "dev", "test"]

PARTS: tuple[Part, ...] = ("train", "dev", "test")

#: What can be kept apart, and the field of an example that names it.
KEYS = {"speaker": "speaker", "template": "templates"}

#: What decides about an example first: a speaker, a template, or the example itself; and which one.
_Anchor = tuple[str, str]


@dataclass(frozen=True)
class Division:
    """A dataset in parts, each in the order of the dataset."""

    parts: Mapping[Part, Sequence[Example]]
    mixed: int  # examples left out, since what they share with others is in different parts
    rejected: int  # examples left out, since a person rejected them
    alone: Mapping[str, int]  # by key: examples that name none, and so share none with others


def divide(examples: Sequence[Example], dev: float, test: float, by: Collection[str], seed: int) -> Division:
    """Divide a dataset by the keys in ``by``: speaker, template, or both.

    ``dev`` and ``test`` are shares, above 0 and below 1 together, of the examples of whole speakers, or without them of
    whole templates. The templates of an example go where its speaker is; an example whose templates are in another part
    is left out, and so one with templates of different parts. An example without a speaker is a speaker of its own, and
    so with templates.

    The same examples and seed give the same parts. Hashes decide who comes first, so that examples which are added
    later move few of the others.

    Raises ConfigurationError for shares that make no sense, and where a part would be empty.
    """
    if not (dev > 0 and test > 0 and dev + test < 1):
        raise ConfigurationError("--dev and --test must be above 0, and below 1 together")
    used = [example for example in examples if example.review != "rejected"]
    part_of = _parts_of_anchors([_anchor(example, by) for example in used], {"test": test, "dev": dev}, seed)
    claimed: dict[str, Part] = {}
    chosen: dict[int, Part] = {}
    for index in sorted(range(len(used)), key=lambda index: _hash(seed, "example", _own(used[index]))):
        templates = used[index].templates if "template" in by else ()
        parts = {claimed[template] for template in templates if template in claimed}
        anchor = _anchor(used[index], by)
        if anchor[0] == "speaker" or not parts:
            parts.add(part_of[anchor])
        if len(parts) == 1:
            chosen[index] = parts.pop()
            claimed.update(dict.fromkeys(templates, chosen[index]))
    divided: dict[Part, list[Example]] = {part: [] for part in PARTS}
    for index, part in sorted(chosen.items()):
        divided[part].append(used[index])
    for part, members in divided.items():
        if not members:
            raise ConfigurationError(_nothing_in(part, used, by))
    return Division(
        parts=divided,
        mixed=len(used) - len(chosen),
        rejected=len(examples) - len(used),
        alone={key: sum(not getattr(example, KEYS[key]) for example in used) for key in by},
    )


def _anchor(example: Example, by: Collection[str]) -> _Anchor:
    if "speaker" in by and example.speaker:
        return "speaker", example.speaker
    if "template" in by and example.templates:
        return "template", example.templates[0]
    return "example", _own(example)


def _parts_of_anchors(anchors: Sequence[_Anchor], shares: Mapping[Part, float], seed: int) -> dict[_Anchor, Part]:
    """Give speakers, templates and single examples, each for themselves, to the parts, by the shares of examples.

    In the order of their hashes each goes to the first part that it doesn't overfill, else to train; so one who said
    most of a dataset is trained on. A part that gets none of them takes the smallest of those of which another part has
    several.
    """
    sizes = Counter(anchors)
    part_of: dict[_Anchor, Part] = {}
    for family in dict.fromkeys(family for family, _ in anchors):
        members = sorted((one for one in sizes if one[0] == family), key=lambda one: _hash(seed, *one))
        whole = sum(sizes[one] for one in members)
        filled = dict.fromkeys(shares, 0.0)
        for one in members:
            room = (part for part in shares if filled[part] + sizes[one] / 2 <= shares[part] * whole)
            part = part_of[one] = next(room, "train")
            if part in filled:
                filled[part] += sizes[one]
        for part in PARTS:
            held = Counter(part_of[one] for one in members)
            spare = [one for one in members if held[part_of[one]] > 1]
            if not held[part] and spare:
                part_of[min(spare, key=lambda one: sizes[one])] = part
    return part_of


def _nothing_in(part: Part, used: Sequence[Example], by: Collection[str]) -> str:
    speakers = len({example.speaker for example in used if example.speaker})
    templates = len({template for example in used for template in example.templates})
    if len(by) > 1:
        todo = "divide with --by speaker or --by template alone, or choose another --seed"
    else:
        todo = f"add examples of more {''.join(by)}s, or choose another --seed"
    what = f"{len(used)} examples of {speakers} speakers and {templates} templates leave nothing for {part}"
    return f"{what}; {todo}"


def _own(example: Example) -> str:
    """A name of the example that stays the same wherever the dataset is and whatever is added to it."""
    return f"{example.audio.name} {example.transcript}"


def _hash(seed: int, family: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {family} {name}".encode("utf-8", "surrogatepass")).digest()
