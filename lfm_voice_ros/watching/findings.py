"""What `lfm-voice doctor` says: a line a finding, with what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lfm_voice_ros.core.health import Level

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.ERROR: "bold red"}


@dataclass(frozen=True)
class Finding:
    """One line."""

    level: Level
    about: str  # a word or two: microphone, transcriber, QoS
    what: str
    remedy: str = ""  # what to do; for an OK line what else could be wanted


def exit_code(findings: Sequence[Finding]) -> int:
    """1 where something is an ERROR, 0 otherwise."""
    return int(any(finding.level is Level.ERROR for finding in findings))


def show(title: str, findings: Sequence[Finding], console: Console) -> None:
    """Print the findings of one part below its title; where there is no terminal, each is one line without colours."""
    console.print(Text(title, "bold"))
    for finding in findings:
        if not console.is_terminal:
            todo = f" → {finding.remedy}" if finding.remedy else ""
            print(f"{finding.level.name:<5}  {finding.about}: {finding.what}{todo}", file=console.file)
            continue
        line = Table.grid(padding=(0, 1))
        line.add_column(width=5, no_wrap=True)
        line.add_column(width=15, overflow="fold")
        line.add_column(overflow="fold")
        style = _STYLES[finding.level]
        text = Text(finding.what)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", "" if finding.level else "dim")
        line.add_row(Text(finding.level.name, style), Text(finding.about), text)
        console.print(Padding(line, (0, 0, 0, 1)))


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    errors = sum(finding.level is Level.ERROR for finding in findings)
    warnings = sum(finding.level is Level.WARN for finding in findings)
    if not errors and not warnings:
        return "All is well."
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}."


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as a JSON object."""
    lines = [
        {"level": finding.level.name, "about": finding.about, "what": finding.what, "remedy": finding.remedy}
        for finding in findings
    ]
    return json.dumps({"ok": not exit_code(findings), "findings": lines}, indent=1, ensure_ascii=False)


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
