# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a plan: PlatformIO in a process of its own, followed line by line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, get_args

from evtool.build.diagnosis import Diagnosis, Kind, Problem
from evtool.build.plan import BUNDLED_LIBRARIES, BuildPlan
from evtool.build.progress import Position, Progress, decode, encode
from evtool.errors import ToolError

_STEP = re.compile(r"(Compiling|Archiving|Indexing|Linking|Building(?! in )|Retrieving) (\S.*)")
_PACKAGE = re.compile(r"\w+ Manager: (Installing|Updating|Removing) (\S.*)")
_MISSING_HEADER = re.compile(r"fatal error: (\S+): No such file or directory")
_GENERATED = ("secrets.h", "controller_config.hpp", "evcore/can_tables.hpp")
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

    def copy_folder(self, source: Path, target: Path) -> None:
        """Copy a folder as a whole, if `target` is not there."""

    def new_log(self, path: Path) -> AbstractContextManager[Callable[[str], None]]:
        """Begin a file that lines are added to."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of PlatformIO's.

    Attributes:
        text: as printed.
        action, subject: what it does to which file or package, if known.
        position: how far the build is, for a step of the compiler's.
    """

    text: str
    action: str | None = None
    subject: str | None = None
    position: Position | None = None


class Follower(Protocol):
    """Who is told how the build goes."""

    def step(self, step: Step) -> None:
        """A line was printed."""

    def problem(self, problem: Problem) -> None:
        """An error was found."""


def run_build(
    plan: BuildPlan,
    runner: Runner,
    workspace: Workspace,
    follower: Follower,
    *,
    clean: bool = False,
) -> None:
    """Run PlatformIO; the caller holds the plan's lock.

    After a build that was killed the environment's objects are made again: a compiler that
    died may have left half of one behind.

    Raises:
        ToolError: the firmware does not compile, or PlatformIO failed; names the log.
    """
    for path, content in plan.packages.items():
        if not path.is_file() or path.read_bytes() != content:
            workspace.write(path, content)
    for target, source in plan.folders.items():
        for stale in plan.lock.parent.glob(f"{BUNDLED_LIBRARIES}*"):
            if stale != target.parent:
                workspace.remove(stale)
        workspace.copy_folder(source, target)
    if clean or plan.unfinished.exists():
        workspace.remove(plan.work_folder)
    is_whole = not plan.work_folder.exists()
    progress = Progress(() if not plan.steps.is_file() else decode(plan.steps.read_bytes()))
    diagnosis = Diagnosis(plan.firmware, follower.problem)
    workspace.write(plan.unfinished, b"")
    with workspace.new_log(plan.log) as log:

        def take(line: str) -> None:
            log(line)
            follower.step(_step(line, progress))
            diagnosis.feed(line)

        try:
            result = runner.run(
                plan.argv,
                cwd=plan.firmware,
                env=plan.variables,
                timeout_s=plan.timeout_s,
                on_line=take,
            )
        except ToolError as error:
            error.log = plan.log
            raise
    diagnosis.finish()
    if result.return_code >= 0:
        workspace.remove(plan.unfinished)
    if result.return_code != 0:
        raise _failure(plan, result, diagnosis.problems)
    if steps := progress.steps(was_whole=is_whole):
        workspace.write(plan.steps, encode(steps))


def _step(line: str, progress: Progress) -> Step:
    if match := _STEP.match(line):
        return Step(line, match[1].lower(), match[2], progress.step(match[2]))
    if match := _PACKAGE.match(line):
        return Step(line, match[1].lower(), match[2])
    return Step(line)


def _failure(plan: BuildPlan, result: _Result, problems: Sequence[Problem]) -> ToolError:
    lines = result.output.splitlines()
    message, excerpt, fix = _explain(plan, lines, problems)
    return ToolError(
        message,
        argv=plan.argv,
        return_code=result.return_code,
        output="\n".join(excerpt),
        fix=fix,
        log=plan.log,
    )


def _explain(
    plan: BuildPlan, lines: list[str], problems: Sequence[Problem]
) -> tuple[str, list[str], str]:
    """What to say of a failure: the sentence, the lines that show it, and the way out."""
    full = [line for line in lines if _DISK_FULL in line]
    if full:
        return (
            f"no room to build {plan.environment}: {_DISK_FULL}",
            full[:1],
            f"make room where {plan.work_folder} is, and in the folder of temporary files",
        )
    by_kind = {kind: [p for p in problems if p.kind == kind] for kind in get_args(Kind)}
    if found := by_kind["compiler"]:
        missing = _MISSING_HEADER.search(str(found[0]))
        return (
            f"the firmware does not compile: {found[0]}",
            _source_excerpt(lines, found),
            "generate it: evtool codegen"
            if missing and missing[1] in _GENERATED
            else "correct the named line",
        )
    if found := by_kind["linker"]:
        return (
            f"the firmware does not link: {found[0]}",
            [str(problem) for problem in found[-_SHOWN_LINES:]],
            "define what is missing, or name the library that has it",
        )
    printed = [line for line in lines if not line.startswith(("*", "-", "="))][-_SHOWN_LINES:]
    if found := by_kind["script"] or by_kind["platformio"]:
        fix = (
            "correct the named line"
            if found[0].file
            else "do what the line says; the log has what came before it"
        )
        return f"PlatformIO could not build {plan.environment}: {found[0]}", printed, fix
    return (
        f"PlatformIO could not build {plan.environment}",
        printed,
        "the lines above are PlatformIO's; --verbose shows every command",
    )


def _source_excerpt(lines: list[str], found: Sequence[Problem]) -> list[str]:
    """The last error with the source line and the caret below it, and those before it."""
    texts = {problem.text for problem in found}
    at = [number for number, line in enumerate(lines) if any(text in line for text in texts)]
    excerpt = lines[at[0] : at[-1] + 3][-_SHOWN_LINES:] if at else []
    return [line for line in excerpt if not line.startswith("*")]
