"""A program that calls tools: it reads their names from standard input, and writes the status of each result.

Run on another machine (machines.py): a process can only be on one, since Fast DDS looks for its network cards once.
"""

from __future__ import annotations

import sys

from harness import Probe

from lfm_voice_ros.srv import CallTool


def main() -> None:
    """Call each tool without arguments."""
    probe = Probe("tool_caller")
    for line in sys.stdin:
        request = CallTool.Request()
        request.call.name = line.strip()
        print(probe.call("call_tool", CallTool, request).result.status, flush=True)
    probe.close()


if __name__ == "__main__":
    main()
