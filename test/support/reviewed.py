"""A small dataset to review."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from lfm_voice_ros.core.types import Json
from lfm_voice_ros.dataset.format import Example, write_dataset

LEFT: Json = {
    "name": "pan_left",
    "arguments": {"degrees": 30},
    "status": "succeeded",
    "data": {"moved": "thirty degrees"},
    "speech": "Looking left, thirty degrees.",
}


def make_dataset(folder: Path) -> Path:
    """Write four turns with their sounds into ``folder/dataset.json`` and give it. The last reply has no sound."""
    texts = [
        ("look left thirty", "<tool>pan_left(degrees=30)</tool> Looking left, {moved}.", (LEFT,)),
        ("look right", "<tool>pan_right</tool> Looking right, thirty degrees.", ()),
        ("I left my keys", "I hope you find them.", ()),
        ("nod", "<tool>nod</tool> Nodding.", ()),
    ]
    examples = []
    for number, (transcript, response, results) in enumerate(texts, start=1):
        reply = None if number == len(texts) else tone(folder / "audio" / f"u{number}.reply.wav", 300 + 100 * number)
        examples.append(
            Example(
                audio=tone(folder / "audio" / f"u{number}.wav", 200 + 100 * number),
                transcript=transcript,
                response=response,
                response_audio=reply,
                results=results,
                id=f"u{number}",
                speaker="anna",
                kind="command",
                recorded=f"2026-10-08T14:3{number}:00.000+02:00",
            )
        )
    return write_dataset(folder, examples)


def tone(path: Path, frequency: float) -> Path:
    """Write 0.3 s of a tone and give the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.2 * np.sin(2 * np.pi * frequency * np.arange(4800) / 16_000), 16_000, subtype="PCM_16")
    return path
