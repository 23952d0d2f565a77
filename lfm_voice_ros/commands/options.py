"""What several commands take from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any


def setting_of(settings_type: Callable[[], Any], node: str) -> Callable[[str], tuple[str, Any]]:
    """Give what reads NAME=VALUE for a parameter of ``node``, as name and typed value, for argparse."""
    kinds = {spec.name: type(getattr(settings_type(), spec.name)) for spec in fields(settings_type())}

    def setting(text: str) -> tuple[str, Any]:
        name, equals, value = text.partition("=")
        if not equals or name not in kinds:
            raise argparse.ArgumentTypeError(f"'{text}' must be NAME=VALUE with a parameter of {node}")
        try:
            return name, value.split(",") if kinds[name] is list else kinds[name](value)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"the value of {name} must be a {kinds[name].__name__}") from exc

    return setting
