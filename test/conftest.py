"""Options of the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("busy", deadline=None)  # no test asserts a time
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare them; scripts/test hands them on."""
    parser.addoption(
        "--real-weights",
        type=Path,
        metavar="FOLDER",
        help="an LFM2-Audio checkpoint: the tests of conversations run with it instead of with random weights",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that have asked for more time, so that none of them is left to run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was run again: one that passes only sometimes is to be mended, also where it has passed."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"run again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
