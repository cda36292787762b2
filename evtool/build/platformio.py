# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a plan: PlatformIO in a process of its own, followed line by line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evtool.build.plan import BuildPlan
from evtool.errors import ToolError

_STEP = re.compile(r"(Compiling|Archiving|Indexing|Linking|Building(?! in )|Retrieving) (\S.*)")
_COMPILER_ERROR = re.compile(r"(\S[^:]*:\d+(?::\d+)?: (?:fatal )?error: .*)")
_LINKER_ERROR = re.compile(
    r"(.*(?:undefined reference to|multiple definition of|cannot find -l).*)"
)
_MISSING_HEADER = re.compile(r"fatal error: (\S+): No such file or directory")
_DISK_FULL = "No space left on device"
_SHOWN_LINES = 12


class _Result(Protocol):
    @property
    def return_code(self) -> int: ...
    @property
    def output(self) -> str: ...


class Runner(Protocol):
    """`evtool.link.command.CommandRunner`."""

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> _Result:
        """Run `argv` to its end."""


class Workspace(Protocol):
    """`evtool.link.workspace.Workspace`: the files that a build keeps for itself."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file as a whole."""

    def remove(self, path: Path) -> None:
        """Remove a file or folder, if it is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of PlatformIO's: `text` as printed, and what it does to which file, if known."""

    text: str
    action: str | None = None
    subject: str | None = None


def run_build(
    plan: BuildPlan,
    runner: Runner,
    workspace: Workspace,
    follow: Callable[[Step], None],
    *,
    clean: bool = False,
) -> None:
    """Run PlatformIO; the caller holds the plan's lock.

    After a build that was killed the environment's objects are made again: a compiler that
    died may have left half of one behind.

    Raises:
        ToolError: the firmware does not compile, or PlatformIO failed.
    """
    for path, content in plan.packages.items():
        if not path.is_file() or path.read_bytes() != content:
            workspace.write(path, content)
    if clean or plan.unfinished.exists():
        workspace.remove(plan.work_folder)
    workspace.write(plan.unfinished, b"")
    result = runner.run(
        plan.argv,
        cwd=plan.firmware,
        env=plan.variables,
        timeout_s=plan.timeout_s,
        on_line=lambda line: follow(_step(line)),
    )
    if result.return_code >= 0:
        workspace.remove(plan.unfinished)
    if result.return_code != 0:
        raise _failure(plan, result)


def _step(line: str) -> Step:
    match = _STEP.match(line)
    return Step(line) if match is None else Step(line, match[1].lower(), match[2])


def _failure(plan: BuildPlan, result: _Result) -> ToolError:
    lines = result.output.splitlines()
    full = [line for line in lines if _DISK_FULL in line]
    if full:
        return ToolError(
            f"no room to build {plan.environment}: {_DISK_FULL}",
            argv=plan.argv,
            return_code=result.return_code,
            output=full[0],
            fix=f"make room where {plan.work_folder} is, and in the folder of temporary files",
        )
    found = [number for number, line in enumerate(lines) if _COMPILER_ERROR.match(line)]
    if found:
        # The last error with the source line and the caret below it, and those before it.
        excerpt = lines[found[0] : found[-1] + 3][-_SHOWN_LINES:]
        missing = _MISSING_HEADER.search(lines[found[0]])
        return ToolError(
            f"the firmware does not compile: {lines[found[0]]}",
            argv=plan.argv,
            return_code=result.return_code,
            output="\n".join(line for line in excerpt if not line.startswith("*")),
            fix=_header_fix(missing[1] if missing else None),
        )
    linker = [line for line in lines if _LINKER_ERROR.match(line)]
    if linker:
        return ToolError(
            f"the firmware does not link: {linker[0]}",
            argv=plan.argv,
            return_code=result.return_code,
            output="\n".join(linker[-_SHOWN_LINES:]),
            fix="define what is missing, or name the library that has it",
        )
    return ToolError(
        f"PlatformIO could not build {plan.environment}",
        argv=plan.argv,
        return_code=result.return_code,
        output="\n".join(line for line in lines if not line.startswith(("*", "-", "=")))[-4000:],
        fix="the lines above are PlatformIO's; --verbose shows every command",
    )


def _header_fix(header: str | None) -> str:
    if header in ("secrets.h", "controller_config.hpp", "evcore/can_tables.hpp"):
        return "generate it: evtool codegen"
    return "correct the named line"
