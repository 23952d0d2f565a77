"""Trains a model on turns: an adapter (LoRA) for a model that can talk, or all weights of one that can't yet.

The library's own loss is used, over text and sound. What happens in a step depends on the seed and the number of the
step only, so that a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.lfm2_audio.adapter import TOOL_TOKENS, Form, Trained, add_tool_tokens
from lfm_voice_ros.training.learner import Learner

#: What LoRA is put on: all linear layers of the language model, but for its convolutions.
TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "in_proj", "w1", "w2", "w3")

_STATE_FILE = "state.pt"
_ALIKE = 16  # batches' worth of examples that are sorted by size before they become batches
_COUNTS = ".batch_norm."  # of the names of buffers that training changes
_CLIP = 1.0  # of the gradient's norm
_LEAST_RATE = 0.1  # of the learning rate, at the end
_BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class TrainSettings:
    """What is trained and how."""

    weights: Literal["lora", "all"] = "lora"
    form: Form = "lora"  # of the calls
    steps: int = 1000
    batch: int = 16  # examples a step, over all GPUs
    learning_rate: float = 2e-4
    warm_up: int = 100  # steps
    weight_decay: float = 0.01
    rank: int = 16  # of LoRA
    alpha: int = 32  # of LoRA: the adapter counts alpha / rank times
    dropout: float = 0.05  # of LoRA
    spec_augment: bool = False  # whether the person's sound is varied and masked
    short_first: bool = False  # whether the first epoch goes from short to long (Amodei et al. 2016)
    seed: int = 1
    validate_every: int = 100  # steps
    save_every: int = 100  # steps


@dataclass
class Progress:
    """Where a training is."""

    step: int
    steps: int
    loss: float  # of the last step
    seconds_left: float


@dataclass
class History:
    """What was measured: (step, value), in order."""

    train: list[tuple[int, float]] = field(default_factory=list)
    dev: list[tuple[int, float]] = field(default_factory=list)
    dev_text: list[tuple[int, float]] = field(default_factory=list)
    dev_audio: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0  # of training, over all parts of a run that was interrupted


class Finetuning:
    """A training run in a folder. For one thread of each process; with several processes each has a GPU."""

    def __init__(self, learner: Learner, settings: TrainSettings, folder: Path) -> None:
        """The ``learner``'s network is changed. ``folder`` gets what comes out, the run's state and its curves.

        Raises ResourceError where PEFT, accelerate or TensorBoard is missing.
        """
        try:
            from accelerate import Accelerator
            from accelerate.utils import DistributedDataParallelKwargs
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as exc:
            raise ResourceError("training needs TensorBoard; run scripts/setup --lfm --extra training") from exc
        self._curves = SummaryWriter(str(folder / "logs"))
        self._accelerator = Accelerator(
            cpu=learner.device.type == "cpu",
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.learner = learner
        self.settings = settings
        self.folder = folder
        self.history = History()
        self._epochs: dict[int, list[list[int]]] = {}  # the batches of the newest one
        torch.manual_seed(settings.seed)
        if settings.form == "special_tokens":
            add_tool_tokens(learner.language_model, learner.tokenizer)
        self._adapter = self._put_on() if settings.weights == "lora" else None
        if self._adapter is None:
            learner.net.requires_grad_(True)
        # train() would move the statistics of the encoder's batch norms, which an adapter can't carry; its own dropout
        # is on nevertheless.
        learner.net.train(self._adapter is None)
        for part in learner.net.modules():
            if isinstance(part, torch.nn.BatchNorm1d) and not learner.hears:
                part.eval()
        learner.language_model.train()
        self._trained = [weight for weight in learner.net.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, settings.learning_rate, betas=_BETAS, weight_decay=settings.weight_decay
        )
        self._net = self._accelerator.prepare(learner.net)

    @property
    def is_main(self) -> bool:
        """Whether this process writes: one of several does."""
        return bool(self._accelerator.is_main_process)

    @property
    def parameters(self) -> tuple[int, int]:
        """How many are trained, of how many."""
        return sum(weight.numel() for weight in self._trained), sum(
            one.numel() for one in self.learner.net.parameters()
        )

    def run(
        self, train: Sequence[Any], dev: Sequence[Any], progress: Callable[[Progress], None] = lambda where: None
    ) -> History:
        """Train on samples, from where an earlier run in the folder got to, and give what was measured.

        That run may have had another number of steps: it is made longer or shorter.

        ``dev`` are validated on before the first step, every so often and after the last. ``progress`` is told after
        each step. Raises ConfigurationError where the folder holds a run with other settings or there is nothing to
        learn, ResourceError when the folder can't be written or the memory isn't enough.
        """
        if not train:
            raise ConfigurationError("there is nothing to train on; the dataset has no examples that weren't rejected")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ResourceError(f"{self.folder} can't be written ({exc}); choose another folder") from exc
        step = self._resume(len(train))
        before, began = self.history.seconds, time.monotonic()
        first, sizes = step, [self.learner.size(sample) for sample in train]
        try:
            if step == 0:
                self._validate(0, dev)
            while step < self.settings.steps:
                loss = self._step(step, train, sizes)
                step += 1
                self._log(step, {"loss/train": loss, "learning rate": self._rate(step - 1)})
                self.history.seconds = before + time.monotonic() - began
                self.history.train.append((step, loss))
                each = (time.monotonic() - began) / (step - first)
                progress(Progress(step, self.settings.steps, loss, each * (self.settings.steps - step)))
                last = step == self.settings.steps
                if last or step % self.settings.validate_every == 0:
                    self._validate(step, dev)
                if last or step % self.settings.save_every == 0:
                    self._keep(step, len(train))
        except torch.OutOfMemoryError as exc:
            raise ResourceError("the GPU has too little memory to train; give a smaller --batch") from exc
        return self.history

    def save(self, trained: Trained | None) -> None:
        """Write the adapter, or the model, and what it was ``trained`` for into the folder; the run's state goes.

        Raises ResourceError when the folder can't be written.
        """
        if not self.is_main:
            return
        try:
            if self._adapter is None:
                self.learner.write(self.folder)
            else:
                self._adapter.save_pretrained(str(self.folder), save_embedding_layers=False)
                (self.folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; the run card is ours
            if trained is not None:
                trained.write(self.folder)
            (self.folder / _STATE_FILE).unlink(missing_ok=True)
        except OSError as exc:
            raise ResourceError(f"{self.folder} can't be written ({exc}); free space or choose another folder") from exc

    def _put_on(self) -> Any:
        """Put a fresh adapter on the language model, in place."""
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as exc:
            raise ResourceError("adapters are trained with PEFT; run scripts/setup --lfm --extra training") from exc
        own = [self.learner.tokenizer.convert_tokens_to_ids(token) for token in TOOL_TOKENS]
        rows = {"embed_tokens": own} if self.settings.form == "special_tokens" else None
        config = LoraConfig(
            r=self.settings.rank,
            lora_alpha=self.settings.alpha,
            lora_dropout=self.settings.dropout,
            target_modules=list(TARGETS),
            trainable_token_indices=rows,
        )
        adapter = get_peft_model(self.learner.language_model, config)
        config.base_model_name_or_path = self.learner.base
        return adapter

    def _step(self, step: int, train: Sequence[Any], sizes: Sequence[int]) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(step)
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))  # of dropout
        chosen = [train[index] for index in self._chosen(step, sizes)]
        if self.settings.spec_augment:
            done = step / self.settings.steps
            chosen = [self.learner.mask(sample, generator, done) for sample in chosen]
        share = chosen[self._accelerator.process_index :: self._accelerator.num_processes]
        loss = self._net(self.learner.collate(share).to(self._accelerator.device)).loss
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self._trained, _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(self._accelerator.reduce(loss.detach(), reduction="mean"))

    def _rate(self, step: int) -> float:
        """Warm-up, then half a cosine down to a tenth (Loshchilov and Hutter 2017)."""
        if step < self.settings.warm_up:
            return self.settings.learning_rate * (step + 1) / self.settings.warm_up
        done = (step - self.settings.warm_up) / max(self.settings.steps - self.settings.warm_up, 1)
        return self.settings.learning_rate * (_LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * done)) / 2)

    def _chosen(self, step: int, sizes: Sequence[int]) -> list[int]:
        """The examples of a step. Each epoch has its own order; the last step of it takes some of them twice."""
        batch = self.settings.batch
        epoch, at = divmod(step, math.ceil(len(sizes) / batch))
        if epoch not in self._epochs:
            generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + 500_000_000 + epoch)
            batches = _batches(sizes, batch, generator)
            if self.settings.short_first and epoch == 0:
                batches.sort(key=lambda some: max(sizes[index] for index in some))
            self._epochs = {epoch: batches}
        return self._epochs[epoch][at]

    def _validate(self, step: int, dev: Sequence[Any]) -> None:
        if not dev:
            return
        losses = self.losses(dev)
        for series, name in (("dev", "loss"), ("dev_text", "text"), ("dev_audio", "audio")):
            values = [(loss[name], loss["weight"]) for loss in losses]
            total = sum(weight for _, weight in values)
            mean = sum(value * weight for value, weight in values) / total
            getattr(self.history, series).append((step, mean))
            self._log(step, {f"loss/{series}": mean})

    def _log(self, step: int, values: dict[str, float]) -> None:
        if self.is_main:
            for name, value in values.items():
                self._curves.add_scalar(name, value, step)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def losses(self, samples: Sequence[Any]) -> list[dict[str, float]]:
        """Give the losses of samples as they stand, in batches: loss, text, audio and their weight (turns)."""
        modes = {part: part.training for part in self.learner.net.modules()}
        self.learner.net.eval()
        found = []
        for start in range(0, len(samples), self.settings.batch):
            some = samples[start : start + self.settings.batch]
            batch = self.learner.collate(some)
            output = self.learner.net(batch.to(self._accelerator.device))
            found.append(
                {
                    "loss": float(output.loss),
                    "text": float(output.text_loss),
                    "audio": float(output.audio_loss),
                    "weight": float(len(some)),
                }
            )
        for part, training in modes.items():
            part.training = training
        return found

    def _keep(self, step: int, examples: int) -> None:
        """Keep what it takes to go on, complete or not at all."""
        if not self.is_main:
            return
        weights = {name: one.detach().cpu() for name, one in self.learner.net.named_parameters() if one.requires_grad}
        buffers = {name: one.detach().cpu() for name, one in self.learner.net.named_buffers() if _COUNTS in name}
        state = {
            "step": step,
            "examples": examples,
            "settings": asdict(self.settings),
            "weights": weights,
            "buffers": buffers if self._adapter is None else {},
            "optimizer": self._optimizer.state_dict(),
            "history": asdict(self.history),
        }
        part = self.folder / f"{_STATE_FILE}.part"
        try:
            torch.save(state, part)
            part.replace(self.folder / _STATE_FILE)
        except (OSError, RuntimeError) as exc:
            part.unlink(missing_ok=True)
            raise ResourceError(f"{self.folder} can't be written ({exc}); free space or choose another folder") from exc

    def _resume(self, examples: int) -> int:
        path = self.folder / _STATE_FILE
        if not path.is_file():
            return 0
        try:
            state = torch.load(path, map_location=self._accelerator.device, weights_only=True)
        except Exception as exc:  # what unpickling raises has no common base
            raise ResourceError(f"{path} can't be read ({exc}); delete it to begin anew") from exc
        # More or fewer steps are the same run, which ends later or sooner.
        before = {**state["settings"], "steps": self.settings.steps}
        if before != asdict(self.settings) or state["examples"] != examples:
            raise ConfigurationError(
                f"{self.folder} holds a run with other settings or other data; "
                "give the same ones to go on, or another folder"
            )
        with torch.no_grad():
            named = dict(self.learner.net.named_parameters()) | dict(self.learner.net.named_buffers())
            for name, value in (state["weights"] | state["buffers"]).items():
                named[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        self.history = History(**state["history"])
        return int(state["step"])


def _batches(sizes: Sequence[int], batch: int, generator: torch.Generator) -> list[list[int]]:
    """Draw the batches of an epoch, in a random order, each of examples of nearly the same size: little is padded.

    What the last one lacks is taken from the first examples again.
    """
    order = torch.randperm(len(sizes), generator=generator).tolist()
    order += itertools.islice(itertools.cycle(order), -len(order) % batch)
    groups = (sorted(group, key=sizes.__getitem__) for group in itertools.batched(order, _ALIKE * batch))
    batches = [list(some) for group in groups for some in itertools.batched(group, batch)]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
