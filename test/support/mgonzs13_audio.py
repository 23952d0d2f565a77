"""A program for the tests: sends and takes sound with the audio_common_msgs of mgonzs13, which the tests don't have.

It sends a tone in each format to audio_common/in until it hears something, waits for a second of sound on
audio_common/out, and prints what came as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import rclpy
from audio_common_msgs.msg import AudioStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data

TIMEOUT = 60.0  # s
RATE = 48_000
#: PortAudio's flag, numpy's type, full scale, silence.
FORMATS = [(1, "f4", 1, 0), (2, "i4", 2147483000, 0), (8, "i2", 32767, 0), (16, "i1", 127, 0), (32, "u1", 127, 128)]
UNKNOWN = 4  # 24 bit


def tone(flag: int, kind: str, scale: int, silence: int) -> AudioStamped:
    one = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE // 10) / RATE)
    both = np.repeat(one * scale + silence, 2).astype(kind)
    message = AudioStamped()
    message.header.stamp.sec = flag
    message.audio.info.format = flag
    message.audio.info.channels = 2
    message.audio.info.rate = RATE
    message.audio.info.chunk = one.size
    field = {"f4": "float32", "i4": "int32", "i2": "int16", "i1": "int8", "u1": "uint8"}[kind]
    setattr(message.audio.audio_data, f"{field}_data", both.tolist())
    return message


def main() -> int:
    rclpy.init()
    node = Node("mgonzs13")
    came: list[tuple[float, AudioStamped]] = []
    node.create_subscription(
        AudioStamped, "audio_common/out", lambda msg: came.append((time.monotonic(), msg)), qos_profile_sensor_data
    )
    publisher = node.create_publisher(AudioStamped, "audio_common/in", qos_profile_sensor_data)
    deadline = time.monotonic() + TIMEOUT
    unreadable = tone(*FORMATS[0])
    unreadable.audio.info.format = UNKNOWN
    messages = (unreadable, *(tone(*each) for each in FORMATS))
    while not came and time.monotonic() < deadline:
        # Best effort loses what is sent before the other side is known.
        for message in messages:
            publisher.publish(message)
        rclpy.spin_once(node, timeout_sec=0.2)
    seconds = 0.0
    while seconds < 1.0 and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
        seconds = sum(msg.audio.info.chunk / msg.audio.info.rate for _, msg in came)
    sound = np.concatenate([np.asarray(msg.audio.audio_data.int16_data) for _, msg in came]) if came else np.empty(0)
    print(
        json.dumps(
            {
                "formats": sorted({msg.audio.info.format for _, msg in came}),
                "rates": sorted({msg.audio.info.rate for _, msg in came}),
                "samples": sound.size,
                "peak": int(np.abs(sound).max(initial=0)),
                "took": came[-1][0] - came[0][0] if came else 0.0,
            }
        )
    )
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
