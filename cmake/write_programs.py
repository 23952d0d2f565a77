"""Write a program for each entry point of setup.py. Usage, in the package's folder: write_programs.py OUT

``console_scripts`` with a dash in their name are commands of the shell and go to OUT/commands, the others are nodes
and go to OUT/nodes.
"""

import subprocess
import sys
import tempfile
from importlib.metadata import Distribution
from pathlib import Path

#: A signal that comes while the modules are being imported ends the program at once, without a traceback.
#: A process that the program starts anew (multiprocessing) reads this file too, and must not run it.
PROGRAM = """#!{python}
import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from {module} import {function}

    sys.exit({function}())
"""


def write_programs(out: Path) -> None:
    """Ask setup.py for its entry points and write one executable file for each."""
    with tempfile.TemporaryDirectory() as metadata:
        subprocess.run([sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", metadata], check=True)
        (info,) = Path(metadata).glob("*.egg-info")
        entry_points = Distribution.at(info).entry_points.select(group="console_scripts")
    for folder in ("nodes", "commands"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for entry in entry_points:
        program = out / ("commands" if "-" in entry.name else "nodes") / entry.name
        program.write_text(PROGRAM.format(python=sys.executable, module=entry.module, function=entry.attr))
        program.chmod(0o755)


if __name__ == "__main__":
    write_programs(Path(sys.argv[1]))
