"""The options of `lfm-voice demo`, without importing what it runs."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--wav", nargs="+", type=Path, metavar="FILE", help="speak these recordings, a turn each")
    source.add_argument("--mic", action="store_true", help="listen to the microphone and use the speaker; ends on ^C")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the turns as data")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("demo_output"),
        help="where the picture, the page, the replies and the logs go (default: %(default)s)",
    )
    parser.add_argument("--params-file", type=Path, metavar="FILE", help="parameters of the nodes")
