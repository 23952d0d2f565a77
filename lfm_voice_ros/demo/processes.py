"""The assistant's nodes as separate processes, where no `ros2 launch` is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ament_index_python.packages import get_package_prefix

from lfm_voice_ros.core.errors import ResourceError

_END_TIMEOUT = 3.0  # s
_TAIL_LINES = 12


class Processes:
    """Nodes that were started, each with its log file. A context manager that ends them."""

    def __init__(self, params_file: Path, log_folder: Path) -> None:
        self._params_file = params_file
        self._log_folder = log_folder
        self._programs = Path(get_package_prefix("lfm_voice_ros")) / "lib" / "lfm_voice_ros"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        log_folder.mkdir(parents=True, exist_ok=True)

    def start(self, node: str, parameters: Mapping[str, str]) -> None:
        """Start a node with parameters above those of the file."""
        command: list[str] = [str(self._programs / node), "--ros-args", "--params-file", str(self._params_file)]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        with self._log(node).open("wb") as log:
            self._running[node] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def pid(self, node: str) -> int:
        """The process id of a node that was started."""
        return self._running[node].pid

    def names(self) -> Sequence[str]:
        """The nodes that were started."""
        return list(self._running)

    def check(self) -> None:
        """Raises ResourceError, with the last lines of its log, when a node has ended."""
        for node, process in self._running.items():
            if process.poll() is not None:
                lines = self._log(node).read_text(errors="replace").splitlines()[-_TAIL_LINES:]
                raise ResourceError(f"{node} has ended with exit code {process.returncode}:\n" + "\n".join(lines))

    def stop(self) -> None:
        """End all; those that don't within three seconds are killed."""
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_TIMEOUT
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _log(self, node: str) -> Path:
        return self._log_folder / f"{node}.log"
