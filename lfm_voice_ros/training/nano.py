"""The nano tool model: an Lfm2ForCausalLM of a few million parameters, trained from scratch on generated sentences.

It reads and writes exactly what LFM2-Tool does, and the other styles of detectors/prompts.py beside. Sentences of one
style share the prefix with the tool list: they are packed behind one copy of it, and each sees the prefix and itself
only (but for the short convolutions, which reach two tokens back across its beginning).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core import prompts
from lfm_voice_ros.core.call_syntax import write_call, write_calls, write_in_tokens, write_tag
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.prompts import Style
from lfm_voice_ros.core.types import ChatMessage, ToolCall, ToolSpec
from lfm_voice_ros.detectors.language_model import asked as question
from lfm_voice_ros.lfm2_audio.adapter import add_tool_tokens
from lfm_voice_ros.training.corpus_generator import Generator, Sentence

#: LFM2's first tokens, in its order; the identities of the others are our own.
_SPECIAL = (
    *("<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>"),
    *("<|im_start|>", prompts.TURN_END, prompts.TOOL_LIST_START, prompts.TOOL_LIST_END),
    *(prompts.TOOL_CALL_START, prompts.TOOL_CALL_END, prompts.TOOL_RESPONSE_START, prompts.TOOL_RESPONSE_END),
)
#: The pieces that byte pairs are merged within, as in LFM2: contractions, words, up to three digits, marks, spaces.
_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CHAT_TEMPLATE = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
_STYLES: dict[Style, float] = {"llm": 0.64, "output_parsing": 0.12, "special_tokens": 0.12, "lora": 0.12}
_FEWER_TOOLS = 0.2  # of the packs know only some of the tools: what isn't listed isn't called
_SUMMARIES = 0.1  # of the calls of ``llm`` are followed by a result that is told
_NOTHING = -100  # the label of what isn't learned


@dataclass(frozen=True)
class NanoSettings:
    """What is trained and how."""

    vocabulary: int = 3072
    hidden: int = 256
    layers: str = "ccaccacc"  # c: short convolution, a: attention
    heads: int = 4
    key_value_heads: int = 2
    feed_forward: int = 512
    steps: int = 5000
    packs: int = 1  # a step; many small steps teach more than few large ones
    length: int = 2048  # tokens of a pack
    learning_rate: float = 2e-3
    warm_up: int = 200  # steps
    short_first: float = 0.4  # of the steps know no style with the long tool list: behind it, learning begins slowly
    weight_decay: float = 0.05
    seed: int = 1
    threads: int = 0  # of the CPU; 0 takes all


def make_tokenizer(texts: Iterator[str], vocabulary: int) -> Any:
    """Train a byte-level BPE tokenizer with LFM2's special tokens; a PreTrainedTokenizerFast with a chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(_SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|startoftext|>",
        eos_token=prompts.TURN_END,
        pad_token="<|pad|>",
        chat_template=_CHAT_TEMPLATE,
    )


def make_model(tokenizer: Any, settings: NanoSettings) -> Any:
    """Make the untrained Lfm2ForCausalLM."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(settings.seed)
    config = Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=len(settings.layers),
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.key_value_heads,
        layer_types=["full_attention" if kind == "a" else "conv" for kind in settings.layers],
        max_position_embeddings=4096,
        block_auto_adjust_ff_dim=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    return Lfm2ForCausalLM(config)


def answer(style: Style, calls: Sequence[ToolCall]) -> str:
    """What a model of this style writes for these calls."""
    said = " ".join(_SAID.get(call.name, "Okay.") for call in calls) or "I see."
    if style == "llm":
        return f"{prompts.TOOL_CALL_START}{write_calls(calls)}{prompts.TOOL_CALL_END}" if calls else ""
    if style == "output_parsing":
        return "".join(f"ACTION:{write_call(call)} " for call in calls) + f"RESPONSE:{said}"
    if style == "special_tokens":
        return "".join(map(write_in_tokens, calls)) + said
    return "".join(f"{write_tag(call)} " for call in calls) + said


#: What the model says beside a call, where its style has it say something.
_SAID = {
    "pan_left": "Looking left.",
    "pan_right": "Looking right.",
    "tilt_up": "Looking up.",
    "tilt_down": "Looking down.",
    "center": "Looking ahead.",
    "look_at": "Looking there.",
    "look_around": "Looking around.",
    "nod": "Nodding.",
    "shake_head": "Shaking my head.",
    "stop": "Stopping.",
    "get_head_position": "Let me see.",
    "get_time": "Let me see.",
    "get_date": "Let me see.",
}


@dataclass(frozen=True)
class Pack:
    """Tokens, labels, positions and the block of each token, shape (length,) each; block 0 is the prefix."""

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]
    positions: NDArray[np.int64]
    blocks: NDArray[np.int64]


class Packer:
    """Fills packs with examples of one style each."""

    def __init__(self, tokenizer: Any, tools: Sequence[ToolSpec], settings: NanoSettings) -> None:
        self._tokenizer = tokenizer
        self._tools = tools
        self._settings = settings
        self._random = Random(settings.seed)
        self._end: list[int] = self._ids(prompts.TURN_END + "\n")

    def pack(self, sentences: Iterator[Sentence], *, long_prefix: bool = True) -> Pack:
        """Take as many sentences as fit behind a prefix of one style; of ``llm`` only where a long one is allowed."""
        shares = _STYLES if long_prefix else {style: share for style, share in _STYLES.items() if style != "llm"}
        style = self._random.choices(tuple(shares), tuple(shares.values()))[0]
        tools = self._known_tools()
        prefix = self._ids(f"<|startoftext|>{self._turn(prompts.system(style, tools))}")
        tokens, labels, positions, blocks = (
            list(prefix),
            [_NOTHING] * len(prefix),
            list(range(len(prefix))),
            [0] * len(prefix),
        )
        names = {tool.name for tool in tools}
        block = 0
        while True:
            asked, written = self._example(next(sentences), style, names)
            size = len(asked) + len(written)
            if len(tokens) + size > self._settings.length:
                break
            block += 1
            tokens += [*asked, *written]
            # The line break behind the end isn't learned: nothing is generated after the end.
            labels += [*[_NOTHING] * len(asked), *written[:-1], _NOTHING]
            positions += range(len(prefix), len(prefix) + size)
            blocks += [block] * size
        rest = self._settings.length - len(tokens)
        return Pack(
            np.array(tokens + [self._tokenizer.pad_token_id] * rest),
            np.array(labels + [_NOTHING] * rest),
            np.array(positions + [0] * rest),
            np.array(blocks + [-1] * rest),
        )

    def _known_tools(self) -> Sequence[ToolSpec]:
        if self._random.random() >= _FEWER_TOOLS:
            return self._tools
        return [tool for tool in self._tools if self._random.random() < 0.7] or self._tools

    def _example(self, sentence: Sentence, style: Style, names: set[str]) -> tuple[list[int], list[int]]:
        # A sentence that asks for a tool that isn't there is left alone as a whole: half of it would surprise.
        calls = sentence.calls if all(call.name in names for call in sentence.calls) else ()
        asked = [
            *self._ids("<|im_start|>user\n"),
            *self._ids(question(sentence.text)),
            *self._end,
            *self._ids("<|im_start|>assistant\n"),
        ]
        written = answer(style, calls)
        if style == "llm" and calls and self._random.random() < _SUMMARIES:
            result, told = _result(calls[0], self._random)
            asked += [*self._ids(written), *self._end]
            response = f"{prompts.TOOL_RESPONSE_START}{json.dumps(result)}{prompts.TOOL_RESPONSE_END}"
            asked += self._ids(f"{self._turn(ChatMessage('tool', response))}<|im_start|>assistant\n")
            written = told
        return asked, [*self._ids(written), *self._end]

    def _turn(self, message: ChatMessage) -> str:
        return f"<|im_start|>{message.role}\n{message.content}{prompts.TURN_END}\n"

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def _result(call: ToolCall, random: Random) -> tuple[dict[str, Any], str]:
    """A result, in the form in which it is fed back, and the sentence that says it."""
    degrees = random.choice((random.randint(1, 180), 5 * random.randint(1, 36)))
    side = {"pan_left": "left", "pan_right": "right", "tilt_up": "up", "tilt_down": "down"}.get(call.name)
    if random.random() < 0.15:
        return {"tool": call.name, "status": "failed"}, "I could not do that."
    if side:
        limited = random.random() < 0.2
        said = f"I turned {degrees} degrees {side}." + (" That is my limit." if limited else "")
        return {"tool": call.name, "status": "done", "moved_degrees": degrees, "limited": limited}, said
    if call.name == "get_time":
        clock = f"{random.randint(1, 12)}:{random.randint(0, 59):02d} {random.choice(('AM', 'PM'))}"
        return {"tool": call.name, "status": "done", "time": clock}, f"It is {clock}."
    return {"tool": call.name, "status": "done"}, "Done."


def train(
    generator: Generator,
    tools: Sequence[ToolSpec],
    settings: NanoSettings,
    out: Path,
    progress: Callable[[str], None],
    sentences_for_tokenizer: int = 20_000,
    begin: Path | None = None,
) -> dict[str, Any]:
    """Train, save a folder that ``from_pretrained`` loads, and give the record of the training.

    ``begin`` goes on with a model that was trained before, from the first step of a new run. Deterministic for one
    machine and one seed. Raises ResourceError without torch and transformers.
    """
    try:
        import torch
        from transformers.utils import logging
    except ImportError as exc:
        raise ResourceError("the nano model is trained with PyTorch; run scripts/setup --extra transformers") from exc
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    began = time.monotonic()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    sentences = _endless(generator)
    tokenizer, model = _loaded(begin) if begin else _made(sentences, tools, settings, sentences_for_tokenizer)
    progress(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    packer = Packer(tokenizer, tools, settings)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": settings.weight_decay},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    model.train()
    running = 0.0
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, settings)
        total, learned = 0.0, 0
        for _ in range(settings.packs):
            pack = packer.pack(sentences, long_prefix=step >= settings.short_first * settings.steps)
            loss = _loss(model, pack)
            count = int((pack.labels[1:] != _NOTHING).sum())
            (loss / 1000).backward()
            total += float(loss.detach())
            learned += count
        for parameter in model.parameters():
            parameter.grad *= 1000 / learned
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = total / learned if step == 0 else 0.98 * running + 0.02 * total / learned
        if step % 100 == 0 or step == settings.steps - 1:
            save(model, tokenizer, out)  # so that a run that is ended is not lost
            progress(f"step {step}/{settings.steps} loss {running:.4f} {time.monotonic() - began:.0f} s")
    return {
        "settings": asdict(settings),
        "parameters": sum(p.numel() for p in model.parameters()),
        "begin": _record_of(begin),
        "loss": round(running, 4),
        "seconds": round(time.monotonic() - began),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
    }


def _made(
    sentences: Iterator[Sentence], tools: Sequence[ToolSpec], settings: NanoSettings, count: int
) -> tuple[Any, Any]:
    tokenizer = make_tokenizer(_texts([next(sentences) for _ in range(count)], tools), settings.vocabulary)
    model = make_model(tokenizer, settings)
    add_tool_tokens(model, tokenizer)
    return tokenizer, model


def _record_of(folder: Path | None) -> Any:
    """The record of the run that a run began with, where there is one."""
    path = folder / "record.json" if folder else None
    return json.loads(path.read_text("utf-8")) if path and path.exists() else None


def _loaded(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoTokenizer, Lfm2ForCausalLM

    return AutoTokenizer.from_pretrained(folder), Lfm2ForCausalLM.from_pretrained(folder, dtype=torch.float32)


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write a folder that ``from_pretrained`` loads, weights in bfloat16."""
    import torch

    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items() if name != "lm_head.weight"}
    model.save_pretrained(out, state_dict=state)  # the head is tied to the embeddings
    tokenizer.save_pretrained(out)


def _loss(model: Any, pack: Pack) -> Any:
    """The sum of the losses of a pack's learned tokens."""
    import torch

    blocks = torch.from_numpy(pack.blocks)
    seen = (blocks[:, None] == blocks[None, :]) | (blocks[None, :] == 0)
    mask = torch.tril(seen)[None, None]
    labels = torch.from_numpy(pack.labels[1:])
    learned = torch.nonzero(labels != _NOTHING)[:, 0]
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(
            input_ids=torch.from_numpy(pack.tokens)[None],
            position_ids=torch.from_numpy(pack.positions)[None],
            attention_mask={"full_attention": mask, "conv": None},
            use_cache=False,
        ).last_hidden_state[0, learned]
        logits = model.lm_head(hidden)
    return torch.nn.functional.cross_entropy(logits.float(), labels[learned], reduction="sum")


def _rate(step: int, settings: NanoSettings) -> float:
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _texts(sentences: Sequence[Sentence], tools: Sequence[ToolSpec]) -> Iterator[str]:
    """What the tokenizer learns from: sentences, answers, and the tool list often enough to be kept short."""
    for one in sentences:
        yield one.text
        yield from (answer(style, one.calls) for style in _STYLES)
    for _ in range(len(sentences) // 20):
        yield from (prompts.system(style, tools).content for style in _STYLES)


def _endless(generator: Generator) -> Iterator[Sentence]:
    while True:
        yield from generator.sentences(10_000)
