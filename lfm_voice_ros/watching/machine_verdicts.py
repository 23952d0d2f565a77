"""From what is on this machine to what `lfm-voice doctor` says about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.watching.findings import Finding
from lfm_voice_ros.watching.machine import Device, Disk, Machine, Model, Network

_PYTHON = (3, 12)
_SILENT_DBFS = -90.0  # of the loudest sample: no microphone that hears is as quiet
_LOW_DBFS = -75.0  # of the mean: a quiet room is louder in most microphones
_NEAR_DBFS = -25.0  # of the mean: louder than a voice from one metre
_CLIPPING_DBFS = -0.1  # of the loudest sample
_GIGABYTE = 1_000_000_000
_LITTLE_ROOM = 2 * _GIGABYTE
_NO_ROOM = _GIGABYTE // 10
_LAST_SAFE_DOMAIN = 101  # above it lie the ports that Linux gives to other programs
_LAST_DOMAIN = 232  # above it there are no ports


def machine(
    facts: Machine, source: str = "", sink: str = "", meeting: bool | None = None, engine: str = ""
) -> list[Finding]:
    """The findings about a machine.

    ``source``, ``sink`` and ``engine`` are what a running assistant uses, empty where that isn't known; ``meeting`` is
    whether two nodes of our own have found each other, None when that was not tried.
    """
    return [
        *software(facts),
        microphone(facts.microphone, source),
        speaker(facts.speaker, sink),
        *(model(one, engine) for one in facts.models),
        *network(facts.network, meeting),
        room(facts.disk),
    ]


def software(facts: Machine) -> list[Finding]:
    """Python and the libraries of the default assistant."""
    findings = []
    if tuple(int(part) for part in facts.python.split(".")[:2]) < _PYTHON:
        findings.append(
            Finding(
                Level.ERROR,
                "Python",
                f"this is Python {facts.python}",
                "the assistant needs Python 3.12; activate its virtual environment, or use scripts/run",
            )
        )
    missing = [name for name, version in facts.packages.items() if not version]
    if missing:
        return [
            *findings,
            Finding(
                Level.ERROR,
                "libraries",
                f"not installed for {_program()}: {', '.join(missing)}",
                "run scripts/setup; in a workspace, activate its virtual environment before colcon build",
            ),
        ]
    told = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    return [*findings, Finding(Level.OK, "software", f"Python {facts.python}; {told}")]


def microphone(device: Device, source: str = "") -> Finding:
    """A microphone that was listened to for a second. ``source`` is the running audio_capture's."""
    about = "microphone"
    if source and not source.startswith("sound_card"):
        return Finding(Level.OK, about, f"none is needed: audio_capture listens to {source}")
    if device.problem:
        if source:
            return Finding(Level.OK, about, "in use by audio_capture, which tells of it below")
        return Finding(
            Level.ERROR,
            about,
            device.problem,
            "plug it in; in a container give --device /dev/snd or the PulseAudio socket; without one use "
            "audio_source:=topic or wav:FILE",
        )
    what = f"{device.name}: {_decibels(device.level_dbfs)} on average, loudest {_decibels(device.peak_dbfs)}"
    if device.peak_dbfs < _SILENT_DBFS:
        # Beside a running audio_capture, which may be on another machine, its own lines count.
        return Finding(
            Level.WARN if source else Level.ERROR,
            about,
            f"silent. {what}",
            "unmute it (alsamixer, pavucontrol), look at its switch, or choose another: lfm-voice devices lists them, "
            "audio_source:=sound_card:NAME takes one",
        )
    if device.peak_dbfs > _CLIPPING_DBFS:
        return Finding(
            Level.WARN,
            about,
            f"clipping. {what}",
            "turn its gain down (alsamixer, pavucontrol) until a loud voice stays below -6 dBFS",
        )
    if device.level_dbfs < _LOW_DBFS:
        return Finding(
            Level.WARN,
            about,
            f"very quiet. {what}",
            "speak while this runs; if the level stays below -60 dBFS, turn its gain up (alsamixer, pavucontrol)",
        )
    if device.level_dbfs > _NEAR_DBFS:
        return Finding(
            Level.WARN,
            about,
            f"loud all the time. {what}",
            "unless somebody spoke, there is noise or hum: turn the gain down, or move it away from motors and fans",
        )
    return Finding(Level.OK, about, f"fine. {what}")


def speaker(device: Device, sink: str = "") -> Finding:
    """A loudspeaker that was opened. ``sink`` is the running audio_player's."""
    if sink and not sink.startswith("sound_card"):
        return Finding(Level.OK, "speaker", f"none is needed: audio_player speaks into {sink}")
    if not device.problem:
        return Finding(Level.OK, "speaker", f"{device.name} can be opened")
    if sink:
        return Finding(Level.OK, "speaker", "in use by audio_player, which tells of it below")
    return Finding(
        Level.ERROR,
        "speaker",
        device.problem,
        "plug it in, or choose with audio_sink:=sound_card:NAME (lfm-voice devices), wav:FOLDER or none",
    )


def model(one: Model, engine: str = "") -> Finding:
    """A model. ``engine`` is that of the running dialogue."""
    if not one.problem:
        return Finding(Level.OK, "model", f"{one.what} is there")
    if not one.optional:
        return Finding(Level.ERROR, "model", f"{one.what}: {one.problem}", "scripts/setup installs it")
    wanted = engine in ("lfm2_audio", "auto")
    reason, _, command = one.problem.partition("; ")
    return Finding(Level.WARN if wanted else Level.OK, "model", f"{one.what}: {reason}; {one.optional}", command)


def network(facts: Network, meeting: bool | None) -> list[Finding]:
    """What decides which nodes see one another."""
    environment = facts.environment
    told = f"domain {environment.get('ROS_DOMAIN_ID', '0')}, {environment.get('RMW_IMPLEMENTATION', 'default RMW')}"
    findings = [*_domain(environment), *_middleware(facts), *_files(environment)]
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET").upper()
    if environment.get("ROS_LOCALHOST_ONLY") == "1":
        reach = "LOCALHOST"
    peers = environment.get("ROS_STATIC_PEERS", "")
    if reach == "OFF":
        findings.append(
            Finding(
                Level.ERROR,
                "discovery",
                f"{told}; ROS_AUTOMATIC_DISCOVERY_RANGE=OFF: no node sees another",
                "unset ROS_AUTOMATIC_DISCOVERY_RANGE, or set it to LOCALHOST or SUBNET, in every shell",
            )
        )
    elif meeting is False:
        findings.append(
            Finding(
                Level.ERROR,
                "discovery",
                f"{told}; two nodes of our own on this machine have not found each other"
                + (f": {facts.multicast}" if facts.multicast else ""),
                "bring a network up; let UDP and multicast through the firewall (sudo ufw allow in proto udp), or keep "
                "to this machine: export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST in every shell",
            )
        )
    elif reach == "LOCALHOST":
        findings.append(
            Finding(
                Level.OK,
                "discovery",
                f"{told}; this machine only" + (f", and {peers}" if peers else ""),
                "to reach nodes on other machines unset ROS_AUTOMATIC_DISCOVERY_RANGE and ROS_LOCALHOST_ONLY",
            )
        )
    elif facts.multicast:
        findings.append(
            Finding(
                Level.WARN,
                "discovery",
                f"{told}; multicast doesn't work: {facts.multicast}",
                "nodes on other machines are not found; connect the network, let multicast through, or name the "
                "machines in ROS_STATIC_PEERS",
            )
        )
    else:
        met = " and two nodes of our own find each other" if meeting else ""
        findings.append(Finding(Level.OK, "discovery", f"{told}; the subnet, multicast works{met}"))
    return findings


def obstacles(facts: Network) -> list[Finding]:
    """The settings with which ROS 2 can't be started: some end the whole process."""
    settings = (*_domain(facts.environment), *_middleware(facts))
    return [finding for finding in settings if finding.level is Level.ERROR]


def room(disk: Disk) -> Finding:
    """Where recordings go."""
    what = f"{disk.free / _GIGABYTE:.1f} GB free for recordings in {disk.folder}"
    remedy = "delete what is old (lfm-voice data forget), or set recorder.folder to another disk"
    if disk.free < _NO_ROOM:
        return Finding(Level.ERROR, "disk", what, remedy)
    return Finding(Level.WARN, "disk", what, remedy) if disk.free < _LITTLE_ROOM else Finding(Level.OK, "disk", what)


def _domain(environment: Mapping[str, str]) -> list[Finding]:
    domain = environment.get("ROS_DOMAIN_ID", "0")
    if not domain.isdecimal() or int(domain) > _LAST_DOMAIN:
        remedy = "set it to a number 0 to 101, or unset it, in every shell"
        return [Finding(Level.ERROR, "domain", f"ROS_DOMAIN_ID is '{domain}', which is no domain", remedy)]
    if int(domain) > _LAST_SAFE_DOMAIN:
        return [
            Finding(
                Level.WARN,
                "domain",
                f"ROS_DOMAIN_ID is {domain}: other programs may take its ports",
                "choose 0 to 101, in every shell",
            )
        ]
    return []


def _middleware(facts: Network) -> list[Finding]:
    if not facts.rmw_missing:
        return []
    name = facts.environment["RMW_IMPLEMENTATION"]
    return [
        Finding(
            Level.ERROR,
            "middleware",
            f"RMW_IMPLEMENTATION is {name}, which is not installed here",
            f"sudo apt-get install ros-$ROS_DISTRO-{name.replace('_', '-')}, or unset it, alike in every shell",
        )
    ]


def _files(environment: Mapping[str, str]) -> list[Finding]:
    findings = []
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE", "CYCLONEDDS_URI"):
        value = environment.get(name, "")
        path = value.removeprefix("file://")
        if value and not value.lstrip().startswith("<") and not Path(path).is_file():
            findings.append(
                Finding(
                    Level.WARN,
                    "DDS profile",
                    f"{name} names {path}, which isn't there",
                    f"unset {name} or give the file",
                )
            )
    return findings


def _decibels(level: float) -> str:
    return f"{level:.0f} dBFS"


def _program() -> str:
    import sys

    return sys.executable
