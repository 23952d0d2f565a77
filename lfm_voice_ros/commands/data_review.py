"""`lfm-voice data review`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    review = commands.add_parser("review", help="listen to a dataset in the browser; correct, accept and reject")
    review.add_argument("dataset", type=Path, metavar="DATASET", help="a JSON file, or the folder of a dataset.json")
    review.add_argument("--tools", type=Path, metavar="FILE", help="default: the package's config/tools.yaml")
    review.add_argument("--port", type=_port, default=0, help="default: any free one")
    review.add_argument("--no-browser", action="store_true", help="only print the address")
    review.set_defaults(run=_review)


def _review(arguments: argparse.Namespace) -> int:
    import signal
    import threading
    import webbrowser
    from contextlib import suppress

    from lfm_voice_ros.core.resources import config_file
    from lfm_voice_ros.dataset.review import DatasetReview
    from lfm_voice_ros.dataset.review_server import serving
    from lfm_voice_ros.tools.registry import Registry

    registry = Registry.from_file(arguments.tools or config_file("tools.yaml"))
    review = DatasetReview(arguments.dataset, registry)
    # A program that a script starts in the background ignores SIGINT, unless it says otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), serving(review, arguments.port) as address:
        print(f"{address}\nCtrl-C ends it; every change is written at once to {review.file}", flush=True)
        if not arguments.no_browser:
            # Some browsers don't return before they are closed.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        threading.Event().wait()
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise ValueError(text)
    return port
