"""LFM2-Audio is found, downloaded, checked and loaded as liquid-audio does it, or one sentence says why not."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from liquid_audio import LFM2AudioModel, LFM2AudioProcessor, LFMModality
from liquid_audio.utils import mel2emb_len
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.resources import model_file
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.lfm2_audio import checkpoint, random_checkpoint
from lfm_voice_ros.lfm2_audio.checkpoint import MIMI_FILE, Lfm2Audio, Source, load, load_shared
from lfm_voice_ros.lfm2_audio.hub import DETOKENIZER_FOLDER

NAME = "somebody/LFM2-Audio-tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = "model.safetensors"
#: A text with what tokenizers like to change: spaces, accents that combine, emoji, controls.
TEXT = "Look  left , don't\n\tyou? naïve e\u0301 日本語 \U0001f600\u200d\u0000 ' s"


def on_cpu(folder: Path, **changes: Any) -> Source:
    return replace(Source(str(folder), device="cpu", dtype="float32"), **changes)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint to be broken; what isn't changed takes no room."""
    return Path(shutil.copytree(tiny, tmp_path / "copy", copy_function=lambda src, dst: Path(dst).symlink_to(src)))


def rewrite(file: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file, or the tensors of a safetensors file, in place of the link to the original."""
    if file.suffix == ".json":
        value = json.loads(file.read_text())
        change(value)
        file.unlink()
        file.write_text(json.dumps(value))
    else:
        tensors = load_file(file)
        change(tensors)
        file.unlink()
        save_file(tensors, file, {"format": "pt"})


def sound(count: int) -> Samples:
    return (0.1 * np.random.default_rng(count).standard_normal(count)).astype(np.float32)


def refusal(source: Source) -> str:
    with pytest.raises(ResourceError) as caught:
        load(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What a loaded model knows


def test_a_model_says_what_it_is(model: Lfm2Audio, tiny: Path) -> None:
    assert (model.name, model.device, model.dtype) == (tiny.name, torch.device("cpu"), torch.float32)
    assert (model.codebooks, model.n_text, model.n_audio) == (8, 6, 12)
    assert not model.net.training
    assert not any(weight.requires_grad for weight in model.net.parameters())


@pytest.mark.parametrize("text", ["", TEXT, "<|im_start|>user\nHello<|im_end|>\n"])
def test_text_comes_back_from_its_tokens(model: Lfm2Audio, text: str) -> None:
    assert model.decode(model.encode(text)) == text


def test_special_tokens_are_honoured_and_none_is_added(model: Lfm2Audio) -> None:
    assert model.encode("<|im_end|><|audio_start|><|text_end|>") == [7, 128, 130]
    assert model.tokenizer.encode("<|im_end|>") == [1, 7]  # it would add one


def test_embeddings_are_those_of_the_library(model: Lfm2Audio) -> None:
    """One prompt of text, speech of several lengths and frames, put together by the library and by parts."""
    text, more = model.encode("<|startoftext|><|im_start|>user\n"), model.encode("<|im_end|>\nWell")
    speech = [sound(count) for count in (1440, 5120, 16_000, 20_479, 40_001)]
    frames = torch.randint(0, 2049, (5, 8), generator=torch.Generator().manual_seed(1))
    audio = LFM2AudioProcessor.from_pretrained(Path(model.source.model), device="cpu").audio
    mels = []
    for samples in speech:  # as LFM2AudioChatMapper does it, with which the model is trained
        mel, length = audio(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        mels.append(mel[0, :, : int(length)])
    parts = [
        *[(model.embed_text(text), LFMModality.TEXT)],
        *[(model.embed_speech(samples), LFMModality.AUDIO_IN) for samples in speech],
        *[(model.embed_text(more), LFMModality.TEXT), (model.embed_frames(frames), LFMModality.AUDIO_OUT)],
    ]
    lengths = [*[len(text)], *[mel2emb_len(mel.shape[1]) for mel in mels], *[len(more), len(frames)]]
    with torch.no_grad():
        whole = model.net._prefill(
            text=torch.tensor([text + more]),
            audio_in=torch.cat(mels, 1),
            audio_in_lens=torch.tensor([mel.shape[1] for mel in mels]),
            audio_out=frames.T,
            modality_flag=torch.tensor(
                [[kind for (_, kind), length in zip(parts, lengths, strict=True) for _ in range(length)]]
            ),
        )

    assert [len(part) for part, _ in parts] == lengths
    torch.testing.assert_close(torch.cat([part for part, _ in parts]), whole[0], atol=1e-5, rtol=0)


def test_no_embedding_is_made_of_the_padding_behind_the_sound(model: Lfm2Audio) -> None:
    samples = sound(160 * 16)  # 16 mel frames, and a 17th that is padding
    padded = model.processor.audio(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0]
    assert padded.shape[-1] == 17
    assert len(model.embed_speech(samples)) == 2


def test_more_speech_than_the_encoder_was_built_for_is_heard(model: Lfm2Audio) -> None:
    embedded = model.embed_speech(sound(60 * 16_000))
    assert len(embedded) == 750
    assert embedded.isfinite().all()


def test_sound_that_may_not_be_written_to_is_heard(model: Lfm2Audio) -> None:
    samples = sound(3200)
    samples.flags.writeable = False
    assert len(model.embed_speech(samples)) == 3


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros(0, np.float32), "0 s of sound are too short; LFM2-Audio needs 0.09 s"),
        (np.zeros(1439, np.float32), "0.08994 s of sound are too short"),
        (np.zeros((16_000, 2), np.float32), "mono"),
        (np.full(16_000, np.nan, np.float32), "no numbers"),
        (np.append(sound(16_000), np.float32(np.inf)), "no numbers"),
    ],
)
def test_unusable_sound_is_told(model: Lfm2Audio, samples: Samples, says: str) -> None:
    with pytest.raises(AudioError, match=says):
        model.embed_speech(samples)


def test_the_shortest_sound_and_silence_are_heard(model: Lfm2Audio) -> None:
    for samples in (sound(1440), np.zeros(1440, np.float32)):
        assert model.embed_speech(samples).isfinite().all()


# How the weights are read


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_network_is_the_one_that_the_library_loads(tiny: Path, dtype: str) -> None:
    ours = load(on_cpu(tiny, dtype=dtype)).net
    theirs = LFM2AudioModel.from_pretrained(tiny, device="cpu", dtype=getattr(torch, dtype))

    for name, expected in {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}.items():
        owner, _, attribute = name.rpartition(".")
        found = getattr(ours.get_submodule(owner), attribute)
        if "inv_freq" not in name:
            assert found.dtype == expected.dtype, name
            assert torch.equal(found, expected), name
    for mine, its in zip(ours.depthformer.layers, theirs.depthformer.layers, strict=True):
        assert torch.equal(mine.operator.freqs_cis, its.operator.freqs_cis)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rotary_frequencies_keep_their_precision(tiny: Path, dtype: str) -> None:
    rotary = load(on_cpu(tiny, dtype=dtype)).net.lfm.rotary_emb
    expected = 1e6 ** (-torch.arange(0, 16, 2) / 16)
    for found in (rotary.inv_freq, rotary.original_inv_freq):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("named", ["theta", "rope_theta"])
def test_the_rotary_base_of_the_checkpoint_holds(copy: Path, named: str) -> None:
    def change(config: Any) -> None:
        del config["lfm"]["theta"], config["lfm"]["rope_theta"]
        config["lfm"][named] = 5000.0

    rewrite(copy / "config.json", change)
    lfm = load(on_cpu(copy)).net.lfm
    assert lfm.config.rope_parameters["rope_theta"] == 5000.0
    assert float(lfm.rotary_emb.inv_freq[1]) == pytest.approx(5000 ** (-1 / 8))


def test_flash_attention_is_not_taken_where_it_can_be_imported(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = ModuleType("flash_attn")
    flash.__spec__ = ModuleSpec("flash_attn", None)
    monkeypatch.setitem(sys.modules, "flash_attn", flash)
    assert load(on_cpu(tiny)).net.lfm.config._attn_implementation == "sdpa"


def test_loading_changes_nothing_of_torch(tiny: Path) -> None:
    random = torch.get_rng_state()
    load(on_cpu(tiny, dtype="bfloat16"))
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.get_rng_state(), random)


def test_weights_that_are_the_same_may_be_under_either_name_or_both(copy: Path, model: Lfm2Audio) -> None:
    def change(tensors: Any) -> None:
        tensors["depth_embeddings.0.to_logits.weight"] = tensors.pop("depth_embeddings.0.embedding.weight")
        tensors["depth_embeddings.1.to_logits.weight"] = tensors["depth_embeddings.1.embedding.weight"].clone()

    rewrite(copy / WEIGHTS, change)
    net = load(on_cpu(copy)).net
    for mine, expected in zip(net.depth_embeddings, model.net.depth_embeddings, strict=True):
        assert mine.to_logits.weight is mine.embedding.weight
        assert torch.equal(mine.embedding.weight, expected.embedding.weight)


def test_what_is_computed_need_not_be_in_the_file_and_may_be(copy: Path, model: Lfm2Audio) -> None:
    def change(tensors: Any) -> None:
        del tensors["codebook_offsets"], tensors["audio_loss_weights"]
        tensors["conformer.pos_enc.pe"] = torch.zeros(1, 9999, 32)

    rewrite(copy / WEIGHTS, change)
    loaded = load(on_cpu(copy))
    assert torch.equal(loaded.net.codebook_offsets, model.net.codebook_offsets)
    assert torch.equal(loaded.net.audio_loss_weights, model.net.audio_loss_weights)
    assert torch.equal(loaded.embed_speech(sound(8000)), model.embed_speech(sound(8000)))


def split(folder: Path) -> list[str]:
    """Put the weights into two files and an index."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    where = {name: shards[place % 2] for place, name in enumerate(sorted(tensors))}
    for shard in shards:
        save_file({name: tensors[name] for name in tensors if where[name] == shard}, folder / shard, {"format": "pt"})
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": where}))
    return shards


def test_weights_in_several_files_are_read(copy: Path, model: Lfm2Audio) -> None:
    split(copy)
    found = load(on_cpu(copy)).net.state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in model.net.state_dict().items())


# What is refused


def rename(tensors: Any) -> None:
    tensors["lfm.layers.0.conv.input.weight"] = tensors.pop("lfm.layers.0.conv.in_proj.weight")
    del tensors["lfm.layers.1.feed_forward.w1.weight"]


def add(tensors: Any) -> None:
    tensors["lora.down"] = torch.zeros(2)


def cut(tensors: Any) -> None:
    tensors["depth_linear.weight"] = tensors["depth_linear.weight"][:-1].clone()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rename, "2 are missing, the first is lfm.layers.0.conv.in_proj.weight"),
        (add, "1 are unknown, the first is lora.down"),
        (cut, "1 have another shape, the first is depth_linear.weight"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_counted(copy: Path, change: Callable[[Any], None], says: str) -> None:
    rewrite(copy / WEIGHTS, change)
    assert says in refusal(on_cpu(copy))


def test_both_of_two_weights_that_are_the_same_must_not_be_missing(copy: Path) -> None:
    rewrite(copy / WEIGHTS, lambda tensors: tensors.pop("depth_embeddings.3.embedding.weight"))
    assert "1 are missing, the first is depth_embeddings.3.embedding.weight" in refusal(on_cpu(copy))


def test_weights_that_are_no_numbers_are_told(copy: Path) -> None:
    rewrite(copy / WEIGHTS, lambda tensors: tensors["lfm.embedding_norm.weight"].fill_(torch.nan))
    assert "give no numbers" in refusal(on_cpu(copy))


def test_half_a_file_is_told(copy: Path) -> None:
    whole = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).unlink()
    for size in (4, 1000, len(whole) // 2, len(whole) - 1):
        (copy / WEIGHTS).write_bytes(whole[:size])
        assert "model.safetensors is broken or only half there; download the model again" in refusal(on_cpu(copy))


def test_a_file_that_is_not_there_is_told(copy: Path) -> None:
    shards = split(copy)
    (copy / shards[1]).unlink()
    assert f"lacks {shards[1]}" in refusal(on_cpu(copy))
    (copy / f"{WEIGHTS}.index.json").write_text("{}")
    assert "index.json is broken" in refusal(on_cpu(copy))
    (copy / f"{WEIGHTS}.index.json").unlink()
    assert f"lacks {WEIGHTS}" in refusal(on_cpu(copy))


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    assert "holds no config.json" in refusal(on_cpu(tmp_path))
    (tmp_path / "config.json").write_text("{")
    assert "config.json is broken" in refusal(on_cpu(tmp_path))
    for other in ("[]", '{"model_type": "lfm2", "lfm": {}}'):
        (tmp_path / "config.json").write_text(other)
        assert "another kind of model: its config.json has no" in refusal(on_cpu(tmp_path))
    assert "there is no folder" in refusal(on_cpu(tmp_path / "nowhere"))


def test_a_config_that_the_library_cannot_read_is_told(copy: Path) -> None:
    rewrite(copy / "config.json", lambda config: config.pop("codebooks"))
    assert "copy can't be loaded" in refusal(on_cpu(copy))


@pytest.mark.parametrize(("token", "id_"), [("<|im_end|>", 7), ("<|audio_start|>", 128), ("<|text_end|>", 130)])
def test_the_tokenizer_of_another_model_is_told(copy: Path, token: str, id_: int) -> None:
    text = (copy / "tokenizer.json").read_text().replace(token, "<|other|>")
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer.json").write_text(text)
    said = refusal(on_cpu(copy))
    assert f"has {token} at " in said
    assert f"and not at {id_};" in said


def test_a_tokenizer_with_more_tokens_than_the_model_is_told(copy: Path, model: Lfm2Audio) -> None:
    rows = len(model.tokenizer)

    def change(tokenizer: Any) -> None:
        size = len(tokenizer["model"]["vocab"])
        tokenizer["model"]["vocab"]["more"] = size

    rewrite(copy / "tokenizer.json", change)
    assert f"has {rows + 1} tokens and the model {rows}" in refusal(on_cpu(copy))


def test_a_cuda_device_that_is_not_there_is_told(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refusal(on_cpu(tiny, device="cuda")) == (
        "there is no CUDA device; set the device of LFM2-Audio to cpu or auto"
    )
    assert load(Source(str(tiny))).dtype == torch.float32


def test_too_little_memory_of_the_gpu_is_told(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore text")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    assert "too little free memory for tiny; set its device to cpu, or its dtype to bfloat16" in refusal(on_cpu(tiny))


def test_a_library_that_is_not_installed_is_told(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("liquid_audio", "liquid_audio.model"):
        monkeypatch.setitem(sys.modules, name, None)
    assert refusal(on_cpu(tiny)) == "liquid-audio is not installed; run scripts/setup --lfm"
    with pytest.raises(ResourceError, match="liquid-audio is not installed"):
        random_checkpoint.write(tiny)


# What makes sound of frames


@pytest.fixture(scope="module")
def both(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint with both detokenizers; Mimi has no tiny size."""
    folder = random_checkpoint.write(tmp_path_factory.mktemp("both") / "both", mimi=True)
    yield folder
    (folder / MIMI_FILE).unlink()


def test_the_lfm_detokenizer_is_the_one_that_the_library_loads(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detokenizer = load(on_cpu(tiny, dtype="bfloat16")).load_detokenizer()
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    library = LFM2AudioProcessor.from_pretrained(tiny, device="cpu").audio_detokenizer
    frames = torch.randint(0, 2048, (1, 8, 20), generator=torch.Generator().manual_seed(2))

    with torch.inference_mode():
        found, expected = detokenizer(frames), library(frames)

    assert not detokenizer.training
    assert found.shape == (1, 20 * 1920)
    assert found.isfinite().all()
    assert found.abs().max() > 0.01
    assert torch.equal(found, expected)
    assert detokenizer.lfm.rotary_emb.inv_freq.dtype is torch.float32


def test_mimi_is_the_one_that_the_library_loads(both: Path) -> None:
    model = load(on_cpu(both, detokenizer="mimi", dtype="bfloat16"))
    mimi = model.load_detokenizer()
    expected = LFM2AudioProcessor.from_pretrained(both, device="cpu").mimi.state_dict()

    assert model.detokenizer_kind == "mimi"
    assert not mimi.training
    assert mimi.num_codebooks == 8
    assert mimi.state_dict().keys() == expected.keys()
    for name, weight in mimi.state_dict().items():
        assert torch.equal(weight, expected[name]), name
    assert model.load_detokenizer() is not mimi


def test_auto_takes_lfm_and_else_mimi(both: Path, copy: Path) -> None:
    assert load(on_cpu(both)).detokenizer_kind == "lfm"
    shutil.rmtree(copy / DETOKENIZER_FOLDER)
    (copy / MIMI_FILE).symlink_to(both / MIMI_FILE)
    assert load(on_cpu(copy)).detokenizer_kind == "mimi"


def test_a_detokenizer_that_is_not_in_the_checkpoint_is_told(copy: Path) -> None:
    assert refusal(on_cpu(copy, detokenizer="mimi")) == (
        "copy comes without the mimi detokenizer; set detokenizer to lfm or auto"
    )
    shutil.rmtree(copy / DETOKENIZER_FOLDER)
    hearing = load(on_cpu(copy))  # what only listens needs none
    with pytest.raises(ResourceError, match="comes without the detokenizer; download the whole model again"):
        hearing.load_detokenizer()


def test_a_broken_detokenizer_is_told(copy: Path) -> None:
    folder = copy / DETOKENIZER_FOLDER
    rewrite(folder / WEIGHTS, lambda tensors: tensors.pop("lin.bias"))
    with pytest.raises(ResourceError, match=r"1 are missing, the first is lin\.bias"):
        load(on_cpu(copy)).load_detokenizer()


# The hub


def point_at(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub be at a port of this machine; nobody listens at 9."""
    from huggingface_hub import constants

    hub = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", hub)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    point_at(9, monkeypatch)
    return tmp_path / "hub" / f"models--{NAME.replace('/', '--')}"


def put_into(cache: Path, tiny: Path) -> Path:
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(COMMIT)
    return Path(shutil.copytree(tiny, cache / "snapshots" / COMMIT))


class Hub(BaseHTTPRequestHandler):
    """What the client asks of the hub for one model, whose files lie in ``folder``."""

    folder: Path
    asked: list[str]
    breaks_off = ""  # the file of which only half is sent

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, send: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        files = {str(file.relative_to(self.folder)): file for file in self.folder.rglob("*") if file.is_file()}
        if path == f"/api/models/{NAME}/revision/main":
            body = json.dumps({"id": NAME, "sha": COMMIT}).encode()
        elif path == f"/api/models/{NAME}/tree/{COMMIT}":
            body = json.dumps(
                [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": name.replace("/", "-")}
                    for name, file in files.items()
                ]
            ).encode()
        elif path.startswith(f"/{NAME}/resolve/{COMMIT}/"):
            body = files[path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")].read_bytes()
        else:
            missing = "RevisionNotFound" if path.startswith(f"/api/models/{NAME}/") else "RepoNotFound"
            self.send_response(404)
            self.send_header("X-Error-Code", missing)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{path.replace("/", "-")}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        if send:
            self.wfile.write(
                body[begin : len(body) // 2 if self.breaks_off and path.endswith(self.breaks_off) else None]
            )

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(cache: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine that has the tiny model, and beside it files that nobody needs."""
    served = Path(shutil.copytree(tiny, tmp_path / "served"))
    for name in ("README.md", "model.gguf", "examples/voice.wav"):
        (served / name).parent.mkdir(exist_ok=True)
        (served / name).write_bytes(b"not needed")
    handler = type("OneHub", (Hub,), {"folder": served, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    point_at(server.server_port, monkeypatch)
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


HUB = Source(NAME, device="cpu", dtype="float32")


def test_a_model_of_the_hub_is_downloaded_and_what_it_needs_only(hub: type[Hub], model: Lfm2Audio) -> None:
    told: list[str] = []
    loaded = load(HUB, told.append)

    assert loaded.name == NAME
    assert torch.equal(loaded.net.depth_linear.weight, model.net.depth_linear.weight)
    assert loaded.load_detokenizer() is not None
    assert {Path(path).suffix for path in hub.asked if "/resolve/" in path} == {".json", ".safetensors"}
    assert told[0].startswith(f"downloading {NAME}: 0.")
    assert told[-3] == f"downloading {NAME}: 0.1 of 0.1 GB"
    assert told[-2:] == ["reading the weights", "checking"]
    assert len(set(told)) == len(told)


def test_what_was_downloaded_is_loaded_without_a_network(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    load(HUB)
    hub.asked.clear()
    load(HUB)
    assert hub.asked == [f"/api/models/{NAME}/revision/main"]  # whether there is a newer one
    point_at(9, monkeypatch)
    assert load(HUB).name == NAME


def test_a_model_in_the_cache_needs_no_network(cache: Path, tiny: Path) -> None:
    put_into(cache, tiny)
    assert load(HUB).name == NAME


def test_a_pinned_model_in_the_cache_asks_no_network(cache: Path, tiny: Path, hub: type[Hub]) -> None:
    put_into(cache, tiny)
    assert load(replace(HUB, revision=COMMIT)).name == NAME
    assert not hub.asked


def test_a_model_in_the_cache_is_loaded_behind_a_broken_proxy(
    cache: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    download = huggingface_hub.snapshot_download

    def broken(*args: Any, local_files_only: bool = False, **options: Any) -> str:
        if not local_files_only:
            raise OSError("the proxy said 407")
        return str(download(*args, local_files_only=True, **options))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    assert "could not be downloaded (the proxy said 407)" in refusal(HUB)
    put_into(cache, tiny)
    assert load(HUB).name == NAME


def test_a_model_that_is_not_here_and_no_network_is_told(cache: Path) -> None:
    assert refusal(HUB) == (
        f"the model {NAME} is not, or only in part, on this machine and the hub can't be reached; "
        f"with a network run once `hf download {NAME}`, or give a folder that holds it"
    )


def test_half_a_download_is_told_and_gone_on_with(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.breaks_off = WEIGHTS
    assert "could not be downloaded" in refusal(HUB)
    with monkeypatch.context() as offline:
        point_at(9, offline)
        assert "only in part" in refusal(HUB)
    hub.breaks_off = ""
    assert load(HUB).name == NAME


def test_a_name_that_the_hub_does_not_have_is_told(hub: type[Hub]) -> None:
    assert f"the hub shows no model {NAME}2; check the name" in refusal(replace(HUB, model=f"{NAME}2"))
    assert f"the model {NAME} has no revision v9" in refusal(replace(HUB, revision="v9"))


# One model for all


def test_the_same_source_is_loaded_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Source] = []

    def counted(source: Source, progress: Callable[[str], None]) -> Lfm2Audio:
        loads.append(source)
        return load(source, progress)

    monkeypatch.setattr(checkpoint, "load", counted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    start = threading.Barrier(3)
    found: list[Lfm2Audio] = []

    def ask(source: Source) -> None:
        start.wait()
        found.append(load_shared(source))

    sources = [on_cpu(tiny), on_cpu(tiny), Source(str(tiny))]  # the last is the same, where there is no GPU
    threads = [threading.Thread(target=ask, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loads) == 1
    assert len({id(one) for one in found}) == 1
    assert load_shared(on_cpu(tiny, dtype="bfloat16")) is not found[0]


def test_a_load_that_failed_is_tried_again(tiny: Path, copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(ResourceError):
        load_shared(on_cpu(copy))
    (copy / WEIGHTS).symlink_to(tiny / WEIGHTS)
    assert load_shared(on_cpu(copy)) is load_shared(on_cpu(copy))


def test_a_model_that_nobody_keeps_is_let_go(copy: Path) -> None:
    load_shared(on_cpu(copy))
    gc.collect()
    assert on_cpu(copy) not in {kept.source for kept in checkpoint._shared.values()}


# Checkpoints with random weights


def test_the_seed_decides_every_weight_and_nothing_else_does(tiny: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    again, other = (random_checkpoint.write(tmp_path / str(seed), seed=seed) for seed in (0, 1))

    assert torch.equal(torch.get_rng_state(), state)
    assert (again / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()
    for file in (WEIGHTS, f"{DETOKENIZER_FOLDER}/{WEIGHTS}"):
        first, same, different = (load_file(folder / file) for folder in (tiny, again, other))
        assert all(torch.equal(first[name], same[name]) for name in first)
        assert not torch.equal(*(max(one.values(), key=torch.numel) for one in (first, different)))


def test_a_new_model_may_begin_with_a_language_model_that_has_learned(tmp_path: Path) -> None:
    nano = model_file("nano")
    made = load(on_cpu(random_checkpoint.write(tmp_path / "small", "small", language_model=nano)))
    before = AutoModelForCausalLM.from_pretrained(nano)
    words, tokenizer = AutoTokenizer.from_pretrained(nano), made.tokenizer
    text = "<|im_start|>user\nLook left, 30 degrees.<|im_end|>\n<tool>pan_left</tool><|tool_name|>"

    tokens = tokenizer.encode(text, add_special_tokens=False)

    assert tokenizer.decode(tokens) == text
    assert tokenizer.encode("Look")[0] == tokenizer.bos_token_id == 1
    assert tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|audio_start|>", "<|text_end|>"]) == [7, 128, 130]
    with torch.no_grad():
        read = made.net.lfm(input_ids=torch.tensor([tokens])).last_hidden_state
        as_before = before.model(**words(text, return_tensors="pt")).last_hidden_state
    assert torch.allclose(read, as_before, atol=1e-4)


@pytest.mark.parametrize("damage", ["nothing", "no numbers"])
def test_a_folder_without_a_language_model_is_told(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "language"
    folder.mkdir()
    if damage == "no numbers":
        for name in ("tokenizer.json", "config.json"):
            shutil.copyfile(model_file(f"nano/{name}"), folder / name)
        (folder / WEIGHTS).write_bytes(b"no numbers")

    with pytest.raises(ResourceError, match="no language model of LFM2's kind"):
        random_checkpoint.write(tmp_path / "small", "small", language_model=folder)


def test_what_was_read_before_matters_to_random_weights(model: Lfm2Audio) -> None:
    """Otherwise no test with them would notice a cache that is wrong."""
    tokens = model.encode("Look left and tell me what you see there, please.")
    with torch.no_grad():
        one, two = (
            model.net.lfm(inputs_embeds=model.embed_text([first, *tokens])[None], use_cache=False).last_hidden_state
            for first in (200, 300)
        )
    assert (one - two)[0, -1].abs().max() > 0.01
