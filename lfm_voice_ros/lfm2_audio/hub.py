"""A model's folder: on this machine, or from the Hugging Face hub."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lfm_voice_ros.core.errors import ResourceError

#: Told in words what is going on.
Progress = Callable[[str], None]

DEFAULT_MODEL = "LiquidAI/LFM2.5-Audio-1.5B"
#: The folder inside a checkpoint with the LFM detokenizer.
DETOKENIZER_FOLDER = "audio_detokenizer"

_NEEDED = ["config.json", "tokenizer*", "special_tokens_map.json", "*.safetensors*", f"{DETOKENIZER_FOLDER}/*"]
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def find_model(model: str, revision: str, progress: Progress) -> Path:
    """Give the folder of ``model``, a folder or a name on the hub; what isn't on this machine is downloaded.

    ``revision`` is a commit, a tag or a branch; empty for the newest. Raises ResourceError, with what to do.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(model):
        raise ResourceError(
            f"there is no folder {model}; give one with an LFM2-Audio model, or a name such as {DEFAULT_MODEL}"
        )
    if _COMMIT.fullmatch(revision) and (cached := on_this_machine(model, revision)):
        return cached
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(
            snapshot_download(
                model,
                revision=revision or None,
                allow_patterns=_NEEDED,
                tqdm_class=_meter(model, progress),
            )
        )
    except RevisionNotFoundError as exc:
        raise ResourceError(
            f"the model {model} has no revision {revision} on the hub; check it, or leave it empty"
        ) from exc
    except RepositoryNotFoundError as exc:
        raise ResourceError(
            f"the hub shows no model {model}; check the name, or log in with `hf auth login` if it is private"
        ) from exc
    except LocalEntryNotFoundError as exc:
        raise ResourceError(
            f"the model {model} is not, or only in part, on this machine and the hub can't be reached; "
            f"with a network run once `hf download {model}`, or give a folder that holds it"
        ) from exc
    except Exception as exc:  # those of the network, its proxies and the disk have no common base
        if cached := on_this_machine(model, revision):
            return cached
        raise ResourceError(
            f"the model {model} could not be downloaded ({first_line(exc)}); try again, what has arrived so far is kept"
        ) from exc


def on_this_machine(model: str, revision: str = "") -> Path | None:
    """Give the folder of a model by name that is on this machine as a whole, without a network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(model, revision=revision or None, allow_patterns=_NEEDED, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    return Path(found)


def _meter(name: str, progress: Progress) -> type:
    """Make the class whose instances the hub's library takes for progress bars."""
    from huggingface_hub.utils import tqdm

    lock = threading.Lock()
    got, total, told = 0.0, 0.0, ""  # bytes, bytes, text

    class Meter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self._bytes = options.get("unit") == "B"
            self._got = 0.0
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            nonlocal got, total, told
            self._got += n or 0
            if not self._bytes:
                return
            with lock:  # some bars count what arrives and some what is written: the furthest is told
                got, total = max(got, self._got), max(total, self.total or 0)
                text = f"downloading {name}: {got / 1e9:.1f} of {total / 1e9:.1f} GB"
                if text != told:
                    progress(text)
                told = text

    return Meter


def first_line(error: Exception) -> str:
    """Give the first line of an error, for a sentence."""
    return next(iter(str(error).splitlines()), type(error).__name__)
