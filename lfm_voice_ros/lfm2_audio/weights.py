"""Weights from files into modules: all of them, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lfm_voice_ros.core.errors import ResourceError

#: The ends of names of what a module has computed when it is built; a file may have it too.
_COMPUTED = ("codebook_offsets", "audio_loss_weights", "num_batches_tracked", "istft.window")


class WithoutMemory(TorchFunctionMode):  # type: ignore[misc]
    """Inside, this thread's modules are built without memory for their weights; what they compute is real.

    Drawing weights that a file replaces takes a minute, and as much memory again.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        where = {"device": "meta"} if function is torch.empty else {}
        return function(*args, **{**(kwargs or {}), **where})


def weight_files(folder: Path) -> list[Path]:
    """Give the files with a folder's weights. Raises ResourceError when one is missing."""
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


def fill(net: Any, files: Sequence[Path], device: torch.device, dtype: torch.dtype) -> None:
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
