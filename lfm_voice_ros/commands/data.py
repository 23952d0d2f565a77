"""`lfm-voice data …`: recordings and datasets."""

from __future__ import annotations

import argparse

from lfm_voice_ros.commands import data_check, data_forget, data_review, data_synthesize


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands; what they import is imported when they run."""
    data = commands.add_parser("data", help="make, check, review and forget recordings and datasets")
    group = data.add_subparsers(required=True, metavar="COMMAND")
    for module in (data_check, data_review, data_synthesize, data_forget):
        module.add_to(group)
