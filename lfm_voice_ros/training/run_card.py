"""The run card: what a training was made of and what came out, beside what it made."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.dataset.format import Example, dataset_file

CARD_JSON, CARD = "run_card.json", "run_card.md"
CURVES = "curves.png"

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "liquid-audio", "numpy")
_BLOCK = 1 << 20


def describe_data(paths: Sequence[Path], examples: Sequence[Example]) -> dict[str, Any]:
    """Give what the data are: files, hashes of the JSON and of all sound in it, counts by kind."""
    sounds = hashlib.sha256()
    for example in examples:
        for path in filter(None, (example.audio, example.response_audio)):
            sounds.update(file_digest(path).encode())
    return {
        "files": [dataset_file(path).name for path in paths],
        "sha256": [file_digest(dataset_file(path)) for path in paths],
        "sha256_of_sounds": sounds.hexdigest(),
        "examples": len(examples),
        "kinds": dict(Counter(example.kind or "unknown" for example in examples).most_common()),
        "speakers": dict(Counter(example.speaker or "unknown" for example in examples).most_common()),
    }


def file_digest(path: Path) -> str:
    """Give a file's SHA-256. Raises ResourceError when it can't be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as exc:
        raise ResourceError(f"{path} can't be read ({exc}); lfm-voice data check lists what is missing") from exc
    return digest.hexdigest()


def machine() -> dict[str, Any]:
    """Give what it was computed on."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        **gpu,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "packages": dict(_versions(_PACKAGES)),
    }


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write run_card.json, run_card.md and, where there are losses, curves.png. Raises ResourceError."""
    try:
        (folder / CARD_JSON).write_text(json.dumps(card, indent=2) + "\n", "utf-8")
        (folder / CARD).write_text(_markdown(card), "utf-8")
        if card.get("history", {}).get("train"):
            _draw(card["history"], folder / CURVES)
    except OSError as exc:
        raise ResourceError(f"{folder} can't be written ({exc}); free space or choose another folder") from exc


def read_card(folder: Path) -> dict[str, Any]:
    """Give the card of a folder; an empty one where there is none. Raises ResourceError where it can't be read."""
    path = folder / CARD_JSON
    if not path.is_file():
        return {}
    try:
        card: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ResourceError(f"{path} can't be read ({exc}); delete it to go on without") from exc
    return card


def _markdown(card: Mapping[str, Any]) -> str:
    lines = [f"# {card.get('title', 'Run card')}", ""]
    if history := card.get("history", {}):
        lines += [f"![losses]({CURVES})", ""]
        lines += _table("Loss", _ends(history))
    for heading, key in (
        ("Result", "result"),
        ("What was trained", "model"),
        ("Settings", "settings"),
        ("Training data", "data"),
        ("Development data", "dev_data"),
        ("Machine", "machine"),
    ):
        if isinstance(found := card.get(key), Mapping):
            lines += _table(heading, found.items())
        if key == "result":
            for name, lesson in card.get("lessons", {}).items():
                lines += _table(f"Lesson before: {name}", lesson.items())
    lines += card.get("evaluation", {}).get("markdown", [])
    return "\n".join(lines) + "\n"


def _ends(history: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    names = {"dev": "held out", "dev_text": "held out, text", "dev_audio": "held out, sound"}
    for key, name in names.items():
        if values := history.get(key):
            yield name, f"{values[0][1]:.3f} → {values[-1][1]:.3f}"
    if values := history.get("train"):
        yield "training, first and last tenth", f"{_mean(values, 0.0, 0.1):.3f} → {_mean(values, 0.9, 1.0):.3f}"


def _mean(values: Sequence[Sequence[float]], start: float, end: float) -> float:
    part = values[int(start * len(values)) : max(int(end * len(values)), 1)] or values[-1:]
    return sum(value for _, value in part) / len(part)


def _table(heading: str, rows: Iterable[tuple[str, Any]]) -> list[str]:
    body = [f"| {name} | {_shown(value)} |" for name, value in rows]
    return [f"## {heading}", "", "| | |", "|---|---|", *body, ""] if body else []


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")


def _draw(history: Mapping[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    steps, losses = zip(*history["train"], strict=True)
    axes.plot(steps, losses, color="#bbbbbb", linewidth=0.8, label="training")
    for key, name, color in (
        ("dev", "held out", "#1f4e79"),
        ("dev_text", "held out, text", "#c55a11"),
        ("dev_audio", "held out, sound", "#548235"),
    ):
        if values := [pair for pair in history[key] if pair[1] > 0]:
            axes.plot(*zip(*values, strict=True), color=color, marker=".", label=name)
    axes.set(xlabel="step", ylabel="loss (nats)", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
