"""Options of the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare them; scripts/test hands them on."""
    parser.addoption(
        "--real-weights",
        type=Path,
        metavar="FOLDER",
        help="an LFM2-Audio checkpoint: the tests of conversations run with it instead of with random weights",
    )
