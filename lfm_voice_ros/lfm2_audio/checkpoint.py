"""LFM2-Audio's weights: found or downloaded, checked, and loaded once for all that use them.

liquid-audio's own loading takes a renamed weight in silence, rounds the rotary frequencies with the rest, wants CUDA
for the detokenizer, and while it builds a model it changes torch for all threads. So its modules are built and filled
here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import numpy as np
import torch

from lfm_voice_ros.core.errors import AudioError, ResourceError, VoiceError
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.lfm2_audio.adapter import Trained, put_on, read_trained
from lfm_voice_ros.lfm2_audio.hub import DEFAULT_MODEL, DETOKENIZER_FOLDER, Progress, find_model, first_line
from lfm_voice_ros.lfm2_audio.weights import WithoutMemory, fill, weight_files

#: Where a checkpoint has Mimi's weights.
MIMI_FILE = "tokenizer-e351c8d8-checkpoint125.safetensors"

_SPECIAL_TOKENS = {"<|im_end|>": 7, "<|audio_start|>": 128, "<|text_end|>": 130}
#: The encoder halves the spectrogram three times and takes nothing shorter.
_SHORTEST = 9  # mel frames


DetokenizerKind = Literal["lfm", "mimi"]


@dataclass(frozen=True)
class Source:
    """Which model, where it computes and in what."""

    model: str = DEFAULT_MODEL  # a name on the Hugging Face hub, or a folder
    revision: str = ""  # on the hub: a commit, a tag or a branch; empty for the newest
    device: str = "auto"  # auto, cpu or cuda
    dtype: str = "auto"  # auto (bfloat16 on cuda, float32 on the CPU), bfloat16 or float32
    detokenizer: str = "auto"  # auto (lfm where the checkpoint has it), lfm or mimi
    adapter: str = ""  # a folder with an adapter that goes on top; empty for none
    merge_adapter: bool = True  # into the weights, or computed beside them


class Lfm2Audio:
    """A loaded model: what it knows about text and sound, and its network for those who let it think.

    The weights are read only. Who feeds ``net`` holds ``lock`` for that step; :meth:`embed_speech` takes it by itself.
    What is embedded carries no gradients.
    """

    def __init__(self, source: Source, folder: Path, net: Any, processor: Any, trained: Trained | None = None) -> None:
        """Use :func:`load`. ``net`` and ``processor`` are liquid-audio's, on one device and filled."""
        self.source = source
        self.trained = trained  # for what; None where it is as published
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
        with torch.no_grad(), self.lock:  # the encoder grows a table when the sound is long
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
    def detokenizer_kind(self) -> DetokenizerKind:
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
    folder = find_model(source.model, source.revision, progress)
    config = _config(folder, ("lfm", "encoder", "depthformer"))
    if source.detokenizer != "auto":
        _detokenizer_kind(source, folder)
    progress("reading the weights")
    with _told(_name(source)):
        net = _load_net(library, config, folder, device, dtype)
        processor = library.LFM2AudioProcessor.from_pretrained(folder, device=device).eval()
        progress("checking")
        _check_tokens(processor.text, net, folder)
        trained = _trained(source, folder, net, processor.text, progress)
        model = Lfm2Audio(source, folder, net, processor, trained)
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
    name = folder.name if folder.is_dir() else source.model
    return f"{name} with {Path(source.adapter).expanduser().name}" if source.adapter else name


def _trained(source: Source, folder: Path, net: Any, tokenizer: Any, progress: Progress) -> Trained | None:
    if not source.adapter:
        return read_trained(folder)
    progress("putting the adapter on")
    return put_on(net.lfm, tokenizer, Path(source.adapter).expanduser(), merge=source.merge_adapter)


def _library() -> Any:
    try:
        import liquid_audio
        from huggingface_hub.utils import logging as hub_logging
        from transformers.utils import logging
    except ImportError as exc:
        raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
    except OSError as exc:  # torchaudio and torch for different versions of CUDA
        raise ResourceError(f"liquid-audio can't be used ({first_line(exc)}); run scripts/setup --lfm") from exc
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


def _config(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ResourceError(
            f"the folder {folder} holds no config.json; give a folder with an LFM2-Audio model, or download it again"
        ) from exc
    except (OSError, ValueError) as exc:
        raise ResourceError(f"{folder}/config.json is broken ({first_line(exc)}); download the model again") from exc
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


def _detokenizer_kind(source: Source, folder: Path) -> DetokenizerKind:
    there: dict[DetokenizerKind, bool] = {
        "lfm": (folder / DETOKENIZER_FOLDER / "config.json").is_file(),
        "mimi": (folder / MIMI_FILE).is_file(),
    }
    kinds = [kind for kind, is_there in there.items() if is_there]
    if source.detokenizer == "auto" and kinds:
        return kinds[0]
    for kind in kinds:
        if kind == source.detokenizer:
            return kind
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
    with WithoutMemory():
        net = library.LFM2AudioModel(lfm2_audio.LFM2AudioConfig(**{**config, **parts}))
    net.lfm.set_attn_implementation("sdpa")  # the library takes flash_attn wherever it is importable, without CUDA too
    net.conformer.pos_enc.pe = torch.zeros(1, 0, 0)  # computed where the weights lie, which is nowhere yet
    fill(net, weight_files(folder), device, dtype)
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
    with WithoutMemory():
        net = LFM2AudioDetokenizer(_lfm_config(config))
    net.lfm.set_attn_implementation("sdpa")
    fill(net, weight_files(folder), device, torch.float32)
    return net


def _load_mimi(file: Path, device: torch.device) -> Any:
    from liquid_audio.moshi.models.loaders import get_mimi

    net = get_mimi(None)
    fill(net, [file], device, torch.float32)
    return net


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
            f"{name} can't be loaded ({first_line(exc)}); download it again, or take one for the installed liquid-audio"
        ) from exc
