"""The definitions of messages, as an MCAP file carries them: so it can be read where this package isn't installed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError

_SEPARATOR = "=" * 80
_FIELD = re.compile(r"^\s*([A-Za-z]\w*(?:/\w+){0,2})(?:<=\d+)?(?:\[[^\]]*\])?\s+\w+")
_PLAIN = {
    "bool", "byte", "char", "float32", "float64", "string", "wstring",
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
}  # fmt: skip


@cache
def definition(message_type: str) -> str:
    """The definition of a type such as ``lfm_voice_ros/msg/Reply``, with those of all types in it behind it.

    That is the encoding ``ros2msg`` of MCAP. Raises ConfigurationError where a package isn't installed.
    """
    texts: dict[str, str] = {}
    _collect(message_type, texts)
    first, *others = texts.items()
    return "\n".join([first[1], *(f"{_SEPARATOR}\nMSG: {name}\n{text}" for name, text in others)])


def _collect(message_type: str, texts: dict[str, str]) -> None:
    if message_type in texts:
        return
    text = texts[message_type] = _read(message_type)
    package = message_type.split("/")[0]
    for line in text.splitlines():
        if (field := _FIELD.match(line.partition("#")[0])) and field[1] not in _PLAIN:
            of_package, _, name = field[1].rpartition("/")
            _collect(f"{of_package.partition('/')[0] or package}/msg/{name}", texts)


def _read(message_type: str) -> str:
    from ament_index_python.packages import get_package_share_directory

    package, _, file = message_type.partition("/")
    try:
        return (Path(get_package_share_directory(package)) / f"{file}.msg").read_text("utf-8")
    except (LookupError, OSError) as exc:
        raise ConfigurationError(
            f"the definition of {message_type} was not found ({exc}); install {package} and source its workspace"
        ) from exc
