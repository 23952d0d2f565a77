"""Make the CMake files of the ROS 2 wheels point at this environment.

The wheels carry the paths of the machine that built them. Usage: relocate_ros_wheels.py VENV
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER = "/opt/python/cp312-cp312"


def relocate(venv: Path) -> None:
    """Replace the builder's paths in every CMake file under ``venv/share``; run again, it changes nothing."""
    replacements = {
        f"{BUILDER}/include/python3.12": sysconfig.get_path("include"),
        f"{BUILDER}/lib/python3.12/site-packages": sysconfig.get_path("platlib"),
        BUILDER: str(venv),
    }
    for file in (venv / "share").rglob("*.cmake"):
        text = old = file.read_text()
        for builder, ours in replacements.items():
            text = text.replace(builder, ours)
        # numpy 2 moved its headers; the wheels were built with it.
        text = re.sub(r"[^\s;\"]*/numpy/_?core/include", numpy.get_include(), text)
        if text != old:
            file.write_text(text)


if __name__ == "__main__":
    relocate(Path(sys.argv[1]).absolute())
