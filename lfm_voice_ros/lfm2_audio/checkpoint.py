"""LFM2-Audio's weights: found or downloaded, checked, and loaded once for all that use them.

liquid-audio's own loading takes a renamed weight in silence, rounds the rotary frequencies with the rest, wants CUDA
for the detokenizer, and while it builds a model it changes torch for all threads. So its modules are built and filled
here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from lfm_voice_ros.core.errors import AudioError, ResourceError, VoiceError
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

DEFAULT_MODEL = "LiquidAI/LFM2.5-Audio-1.5B"
#: Where a checkpoint has what makes sound of frames: Mimi's weights, and a folder with the LFM detokenizer's.
MIMI_FILE = "tokenizer-e351c8d8-checkpoint125.safetensors"
DETOKENIZER_FOLDER = "audio_detokenizer"

Progress = Callable[[str], None]

_NEEDED = ["config.json", "tokenizer*", "special_tokens_map.json", "*.safetensors*", f"{DETOKENIZER_FOLDER}/*"]
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SPECIAL_TOKENS = {"<|im_end|>": 7, "<|audio_start|>": 128, "<|text_end|>": 130}
#: The encoder halves the spectrogram three times and takes nothing shorter.
_SHORTEST = 9  # mel frames
#: The ends of names of what a module has computed when it is built; a file may have it too.
_COMPUTED = ("codebook_offsets", "audio_loss_weights", "num_batches_tracked", "istft.window")


@dataclass(frozen=True)
class Source:
    """Which model, where it computes and in what."""

    model: str = DEFAULT_MODEL  # a name on the Hugging Face hub, or a folder
    revision: str = ""  # on the hub: a commit, a tag or a branch; empty for the newest
    device: str = "auto"  # auto, cpu or cuda
    dtype: str = "auto"  # auto (bfloat16 on cuda, float32 on the CPU), bfloat16 or float32
    detokenizer: str = "auto"  # auto (lfm where the checkpoint has it), lfm or mimi


class Lfm2Audio:
    """A loaded model: what it knows about text and sound, and its network for those who let it think.

    The weights are read only, and no method takes ``lock``: who feeds ``net``, or calls :meth:`embed_speech` while
    others may, holds it for that step. What is embedded carries no gradients.
    """

    def __init__(self, source: Source, folder: Path, net: Any, processor: Any) -> None:
        """Use :func:`load`. ``net`` and ``processor`` are liquid-audio's, on one device and filled."""
        self.source = source
        self.name = _name(source)
        self.net = net
        self.processor = processor
        self.tokenizer: Any = processor.text
        self.lock = threading.Lock()
        self.device: torch.device = net.lfm.embed_tokens.weight.device
        self.dtype: torch.dtype = net.lfm.embed_tokens.weight.dtype
        self.codebooks: int = net.codebooks
        self.n_text: int = net.conf.interleaved_n_text  # text tokens, and then
        self.n_audio: int = net.conf.interleaved_n_audio  # frames of sound, in turn
        self._folder = folder

    def encode(self, text: str) -> list[int]:
        """Give the tokens of a text: special tokens in it count as such, and none are added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """Give the text of tokens, special ones included, exactly as it was encoded."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=False))

    def embed_text(self, tokens: Sequence[int]) -> torch.Tensor:
        """Give what the model reads for tokens, shape (n, hidden), on its device and in its dtype."""
        with torch.no_grad():
            return self.net.lfm.embed_tokens(torch.tensor(list(tokens), dtype=torch.long, device=self.device))

    def embed_speech(self, samples: Samples) -> torch.Tensor:
        """Give what the model reads for speech at 16 kHz, shape (n, hidden): one embedding for 80 ms.

        Raises AudioError for sound that is empty, too short, not mono or not finite.
        """
        shortest = _SHORTEST * self.processor.audio.featurizer.hop_length
        if samples.ndim != 1:
            raise AudioError(f"the sound has the shape {samples.shape}; LFM2-Audio hears mono, one row of samples")
        if samples.size < shortest:
            seconds = samples.size / SAMPLE_RATE
            raise AudioError(f"{seconds:.4g} s of sound are too short; LFM2-Audio needs {shortest / SAMPLE_RATE:g} s")
        if not np.isfinite(samples).all():
            raise AudioError("the sound has samples that are no numbers; check the microphone and its driver")
        with torch.no_grad():
            wave = torch.as_tensor(np.array(samples, np.float32), device=self.device)[None]
            mel, length = self.processor.audio(wave, torch.tensor([wave.shape[1]], device=self.device))
            # Behind the true length there is one frame of padding, which the model has not been trained with.
            mel = mel[:, :, : int(length)].to(self.dtype)
            encoded, length = self.net.conformer(mel, length)
            return self.net.audio_adapter(encoded[0].mT[: int(length)])

    def embed_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """Give what the model reads for frames of its own voice, (n, codebooks) int64, as (n, hidden)."""
        with torch.no_grad():
            codes = frames.to(self.device) + self.net.codebook_offsets
            return self.net.audio_embedding(codes).sum(1, dtype=self.dtype)

    @property
    def detokenizer_kind(self) -> str:
        """``lfm`` or ``mimi``: what makes sound of frames. Raises ResourceError where the checkpoint has neither."""
        return _detokenizer_kind(self.source, self._folder)

    def load_detokenizer(self) -> Any:
        """Load what makes sound of frames: an LFM2AudioDetokenizer or a MimiModel, on the device, in float32.

        Each call makes a new one, since Mimi keeps the state of its stream in itself. Raises ResourceError.
        """
        with _told(self.name):
            if self.detokenizer_kind == "mimi":
                return _load_mimi(self._folder / MIMI_FILE, self.device)
            return _load_lfm_detokenizer(self._folder / DETOKENIZER_FOLDER, self.device)


def load(source: Source, progress: Progress = lambda text: None) -> Lfm2Audio:
    """Load a model, and download it where it isn't on this machine.

    ``progress`` is told in words what is going on; while something is downloaded that comes from other threads, one at
    a time. Takes seconds to minutes, and an hour where the network is slow. Raises ResourceError, with what to do.
    """
    library = _library()
    device, dtype = _device(source), _dtype(source)
    folder = _folder(source, progress)
    config = _config(folder, ("lfm", "encoder", "depthformer"))
    if source.detokenizer != "auto":
        _detokenizer_kind(source, folder)
    progress("reading the weights")
    with _told(_name(source)):
        net = _load_net(library, config, folder, device, dtype)
        processor = library.LFM2AudioProcessor.from_pretrained(folder, device=device).eval()
        progress("checking")
        _check_tokens(processor.text, net, folder)
        model = Lfm2Audio(source, folder, net, processor)
        with torch.inference_mode():
            hidden = net.lfm(inputs_embeds=model.embed_text([1, 6])[None], use_cache=False).last_hidden_state
        if not hidden.isfinite().all():
            raise ResourceError(f"the weights in {folder} give no numbers; download the model again")
    return model


_shared: WeakValueDictionary[Source, Lfm2Audio] = WeakValueDictionary()
_sharing = threading.Lock()


def load_shared(source: Source, progress: Progress = lambda text: None) -> Lfm2Audio:
    """Give what :func:`load` gives, once for all in this process that ask for the same and as long as one keeps it.

    For any thread: a second one waits until the first has loaded. What failed is tried again at the next call.
    """
    key = replace(source, device=str(_device(source)), dtype=str(_dtype(source)))
    with _sharing:
        model = _shared.get(key)
        if model is None:
            model = _shared[key] = load(source, progress)
        return model


def _name(source: Source) -> str:
    folder = Path(source.model).expanduser()
    return folder.name if folder.is_dir() else source.model


def _library() -> Any:
    try:
        import liquid_audio
        from huggingface_hub.utils import logging as hub_logging
        from transformers.utils import logging
    except ImportError as exc:
        raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
    except OSError as exc:  # torchaudio and torch for different versions of CUDA
        raise ResourceError(f"liquid-audio can't be used ({_first_line(exc)}); run scripts/setup --lfm") from exc
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
    return liquid_audio


def _device(source: Source) -> torch.device:
    available = torch.cuda.is_available()
    if source.device == "cuda" and not available:
        raise ResourceError("there is no CUDA device; set the device of LFM2-Audio to cpu or auto")
    return torch.device(("cuda" if available else "cpu") if source.device == "auto" else source.device)


def _dtype(source: Source) -> torch.dtype:
    if source.dtype == "auto":
        return torch.bfloat16 if _device(source).type == "cuda" else torch.float32
    return torch.bfloat16 if source.dtype == "bfloat16" else torch.float32


def _folder(source: Source, progress: Progress) -> Path:
    folder = Path(source.model).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(source.model):
        raise ResourceError(
            f"there is no folder {source.model}; give one with an LFM2-Audio model, or a name such as {DEFAULT_MODEL}"
        )
    if _COMMIT.fullmatch(source.revision) and (cached := _cached(source)):
        return cached
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(
            snapshot_download(
                source.model,
                revision=source.revision or None,
                allow_patterns=_NEEDED,
                tqdm_class=_meter(source.model, progress),
            )
        )
    except RevisionNotFoundError as exc:
        raise ResourceError(
            f"the model {source.model} has no revision {source.revision} on the hub; check it, or leave it empty"
        ) from exc
    except RepositoryNotFoundError as exc:
        raise ResourceError(
            f"the hub shows no model {source.model}; check the name, or log in with `hf auth login` if it is private"
        ) from exc
    except LocalEntryNotFoundError as exc:
        raise ResourceError(
            f"the model {source.model} is not, or only in part, on this machine and the hub can't be reached; "
            f"with a network run once `hf download {source.model}`, or give a folder that holds it"
        ) from exc
    except Exception as exc:  # those of the network, its proxies and the disk have no common base
        if cached := _cached(source):
            return cached
        raise ResourceError(
            f"the model {source.model} could not be downloaded ({_first_line(exc)}); "
            "try again, what has arrived so far is kept"
        ) from exc


def _cached(source: Source) -> Path | None:
    """Give the folder of a model that is on this machine as a whole, without a network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(
            source.model, revision=source.revision or None, allow_patterns=_NEEDED, local_files_only=True
        )
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


def _config(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ResourceError(
            f"the folder {folder} holds no config.json; give a folder with an LFM2-Audio model, or download it again"
        ) from exc
    except (OSError, ValueError) as exc:
        raise ResourceError(f"{folder}/config.json is broken ({_first_line(exc)}); download the model again") from exc
    missing = [part for part in parts if not isinstance(config, dict) or part not in config]
    if missing:
        raise ResourceError(
            f"{folder} holds another kind of model: its config.json has no {', '.join(missing)}; "
            f"give an LFM2-Audio model such as {DEFAULT_MODEL}"
        )
    return dict(config)


def _lfm_config(config: dict[str, Any]) -> Any:
    """Give the Lfm2Config; ``theta`` is the rotary base's name in files from before transformers had LFM2."""
    from transformers import Lfm2Config

    if "theta" in config and not config.keys() & {"rope_theta", "rope_parameters", "rope_scaling"}:
        config = {**config, "rope_theta": config["theta"]}
    return Lfm2Config(**config)


def _detokenizer_kind(source: Source, folder: Path) -> str:
    there = {
        "lfm": (folder / DETOKENIZER_FOLDER / "config.json").is_file(),
        "mimi": (folder / MIMI_FILE).is_file(),
    }
    kinds = [kind for kind, is_there in there.items() if is_there]
    if source.detokenizer == "auto" and kinds:
        return kinds[0]
    if source.detokenizer in kinds:
        return source.detokenizer
    wanted = "detokenizer" if source.detokenizer == "auto" else f"{source.detokenizer} detokenizer"
    raise ResourceError(
        f"{_name(source)} comes without the {wanted}; "
        + (f"set detokenizer to {kinds[0]} or auto" if kinds else "download the whole model again")
    )


def _load_net(library: Any, config: dict[str, Any], folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    from liquid_audio.model import lfm2_audio
    from liquid_audio.model.conformer.encoder import ConformerEncoderConfig

    parts = {
        "lfm": _lfm_config(config["lfm"]),
        "encoder": ConformerEncoderConfig(**config["encoder"]),
        "depthformer": lfm2_audio.DepthformerConfig(**config["depthformer"]),
    }
    with _WithoutMemory():
        net = library.LFM2AudioModel(lfm2_audio.LFM2AudioConfig(**{**config, **parts}))
    net.lfm.set_attn_implementation("sdpa")  # the library takes flash_attn wherever it is importable, without CUDA too
    net.conformer.pos_enc.pe = torch.zeros(1, 0, 0)  # computed where the weights lie, which is nowhere yet
    _fill(net, _weight_files(folder), device, dtype)
    net.conformer.set_max_audio_length(net.conformer.max_audio_length)
    # Plain attributes, that stay behind when a module moves; and all layers' are the same.
    rotations = net.depthformer.layers[0].operator.freqs_cis.to(device)
    for layer in net.depthformer.layers:
        layer.operator.freqs_cis = rotations
    return net


def _load_lfm_detokenizer(folder: Path, device: torch.device) -> Any:
    from liquid_audio.detokenizer import LFM2AudioDetokenizer

    config = _config(folder, ("layer_types",))
    # The sliding window is a mask that the detokenizer makes itself; transformers' LFM2 knows no such layers.
    config["layer_types"] = [kind.replace("sliding_", "full_") for kind in config["layer_types"]]
    with _WithoutMemory():
        net = LFM2AudioDetokenizer(_lfm_config(config))
    net.lfm.set_attn_implementation("sdpa")
    _fill(net, _weight_files(folder), device, torch.float32)
    return net


def _load_mimi(file: Path, device: torch.device) -> Any:
    from liquid_audio.moshi.models.loaders import get_mimi

    net = get_mimi(None)
    _fill(net, [file], device, torch.float32)
    return net


class _WithoutMemory(TorchFunctionMode):  # type: ignore[misc]
    """Inside, this thread's modules are built without memory for their weights; what they compute is real.

    Drawing weights that a file replaces takes a minute, and as much memory again.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        where = {"device": "meta"} if function is torch.empty else {}
        return function(*args, **{**(kwargs or {}), **where})


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ResourceError(f"{index} is broken; download the model again") from exc
    for name in names:
        if not (folder / name).is_file():
            raise ResourceError(f"the folder {folder} lacks {name}; download the model again")
    return [folder / name for name in names]


def _fill(net: Any, files: Sequence[Path], device: torch.device, dtype: torch.dtype) -> None:
    """Give a module its weights from files, on the device and in the dtype; it is in eval mode and learns nothing then.

    Raises ResourceError unless the files hold exactly the module's weights.
    """
    from safetensors import SafetensorError, safe_open

    tied = _tied(net)
    try:
        shapes: dict[str, list[int]] = {}
        for file in files:
            with safe_open(file, "pt") as opened:
                shapes.update({name: list(opened.get_slice(name).get_shape()) for name in opened.keys()})  # noqa: SIM118
        _compare(net, shapes, tied, files[0].parent)
        weights: dict[str, torch.Tensor] = {}
        for file in files:
            with safe_open(file, "pt", device=str(device)) as opened:
                for name in opened.keys():  # noqa: SIM118
                    weights[name] = _cast(opened.get_tensor(name), dtype, copy=device.type == "cpu")
    except SafetensorError as exc:
        raise ResourceError(f"{file} is broken or only half there; download the model again") from exc
    for first, *others in tied:
        given = [weights.pop(name) for name in (first, *others) if name in weights]
        weights[first] = given[0]
    net.load_state_dict(weights, strict=False, assign=True)
    for first, *others in tied:
        for name in others:
            _put(net, name, net.get_parameter(first))
    # Moved but not cast: in bfloat16 the rotary frequencies turn the thousandth position by nearly a radian too much.
    net.to(device)
    net.requires_grad_(False).eval()


def _compare(net: Any, found: dict[str, list[int]], tied: Iterable[list[str]], folder: Path) -> None:
    """Raise ResourceError unless the file's tensors, by name and shape, are those of the module."""
    wanted = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    known = {*wanted, *(name for name, _ in net.named_buffers())}  # some buffers are in no file as a rule
    optional = {name for name in wanted if name.endswith(_COMPUTED)}
    for first, *others in tied:  # one of them is enough, and the published files have one or all
        optional.update(others)
        if found.keys() & set(others):
            optional.add(first)
    wrong = {
        "are missing": [name for name in wanted if name not in found and name not in optional],
        "are unknown": [name for name in found if name not in known],
        "have another shape": [name for name in wanted if name in found and wanted[name] != found[name]],
    }
    for what, names in wrong.items():
        if names:
            raise ResourceError(
                f"the weights in {folder} don't fit: {len(names)} {what}, the first is {names[0]}; "
                "download the model again, or take one for the installed liquid-audio"
            )


def _tied(net: Any) -> list[list[str]]:
    """Give the names that stand for the same weight."""
    names: dict[int, list[str]] = {}
    for name, weight in net.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    return [same for same in names.values() if len(same) > 1]


def _put(net: Any, name: str, tensor: torch.Tensor) -> None:
    owner, _, attribute = name.rpartition(".")
    setattr(net.get_submodule(owner), attribute, tensor)


def _cast(tensor: torch.Tensor, dtype: torch.dtype, copy: bool) -> torch.Tensor:
    """Cast weights, not counters; a ``copy`` is no window into the file any more, which may be replaced."""
    return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=copy)


def _check_tokens(tokenizer: Any, net: Any, folder: Path) -> None:
    for token, expected in _SPECIAL_TOKENS.items():
        found = tokenizer.convert_tokens_to_ids(token)
        if found != expected:
            raise ResourceError(
                f"the tokenizer in {folder} has {token} at {found} and not at {expected}; "
                "give an LFM2-Audio model with its own tokenizer"
            )
    rows = net.lfm.embed_tokens.num_embeddings
    if len(tokenizer) > rows:
        raise ResourceError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens and the model {rows}; "
            "give an LFM2-Audio model with its own tokenizer"
        )


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Make one sentence of whatever goes wrong inside."""
    try:
        yield
    except VoiceError:
        raise
    except torch.OutOfMemoryError as exc:
        raise ResourceError(
            f"the GPU has too little free memory for {name}; set its device to cpu, or its dtype to bfloat16"
        ) from exc
    except Exception as exc:  # those of torch, of the libraries' settings and of the disk have no common base
        raise ResourceError(
            f"{name} can't be loaded ({_first_line(exc)}); "
            "download it again, or take one for the installed liquid-audio"
        ) from exc


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
