# SPDX-License-Identifier: GPL-3.0-or-later
"""evtool from Python: what a set-up script calls instead of a shell. docs/api.md

Looking (a fleet's file, the ledger, how a fleet stands) happens in this process. Everything
that works at a board or writes a record is evtool's own command in a process of its own, whose
JSON lines come back as events: the same checks, locks, time limits and clean-up as on the
command line, and a script that is killed leaves what a killed command leaves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

from evtool import errors
from evtool.cli.fleet_input import UnseenSecrets, open_fleet
from evtool.cli.fleet_orders import looked_at
from evtool.cli.ledger_option import existing_ledger
from evtool.cli.options import found_project
from evtool.cli.provision_fleet_check import LedgerHolders
from evtool.errors import EvtoolError
from evtool.provision.fleet.finding import Finding
from evtool.provision.report.rows import UnitRow, unit_rows
from evtool.provision.report.summary import Summary, summarize

if TYPE_CHECKING:
    from evtool.link.ledger_database import SqlLedger
    from evtool.provision.fleet.order import UnitOrder

Event = Mapping[str, Any]
"""A line of a command's `--json`, with `event` always; the last one is its result."""

_LAST_LINES = 40
_PATIENCE_S = 15.0
_OWN_END_S = 5.0


class Command:
    """A running command; iterate it for its events, or call `result`.

    Args:
        arguments: such as "provision", "fleet", "run", "fleet.toml"; no secret, as every user
            of the computer can read them.
        folder: where it runs; None: here.
        environment: on top of this process's own: the place for secrets.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._last: Event = {}
        self._name = " ".join(("evtool", *arguments[:1]))
        self._process = subprocess.Popen(
            # -P: a json.py in that folder is none of ours.
            [sys.executable, "-P", "-m", "evtool", *arguments, "--json"],
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )
        # Read beside the events: a full pipe would stop the command.
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._reader = Thread(target=self._said.extend, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            # At a terminal Ctrl-C has reached it too: a second signal would cut its clean-up short.
            self._wait_for_end(_OWN_END_S)
        self.stop()

    def __iter__(self) -> Iterator[Event]:
        """Its events as they come, until it ends."""
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            if not line.endswith("\n"):  # it was killed while it wrote
                return
            document = json.loads(line)
            if not isinstance(document, dict):
                continue
            # What is no step of something long has no name of its own.
            event = {"event": "error" if "error" in document else "result"} | document
            self._last = event
            yield event

    @property
    def exit_code(self) -> int:
        """Waits for its end; the codes are in docs/architecture.md.

        Events that nobody has read by then are passed over: a pipe full of them would stop it.
        """
        stdout = self._process.stdout
        if stdout is not None and not stdout.closed:
            for _ in self:
                pass
        return self._process.wait()

    def result(self) -> Event:
        """Wait for its end; the last event.

        Raises:
            EvtoolError: it did not succeed; the class is that of the exit code.
        """
        for _ in self:
            pass
        code = self.exit_code
        if code == 0:
            return self._last
        raise self._failure(code)

    def stop(self) -> None:
        """End it, as Ctrl-C would, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            if not self._wait_for_end(_PATIENCE_S):
                self._process.kill()
                self._process.wait()
        self._reader.join(_PATIENCE_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _wait_for_end(self, seconds: float) -> bool:
        """Whether it ends within that time; what it says meanwhile is read, and passed over.

        A pipe that is full would keep it from ending.
        """
        drain = Thread(target=self._pass_over, daemon=True)
        drain.start()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        drain.join(seconds)
        return True

    def _pass_over(self) -> None:
        stdout = self._process.stdout
        if stdout is not None and not stdout.closed:
            for _ in stdout:
                pass

    def _failure(self, code: int) -> EvtoolError:
        last = self._last
        message, fix = last.get("message"), last.get("fix")
        if isinstance(message, str) and last.get("exit_code") == code:
            kind = _ERRORS.get(str(last.get("error")), _BY_CODE.get(code, EvtoolError))
            return kind(message, fix=fix if isinstance(fix, str) else None)
        self._reader.join(_PATIENCE_S)
        said = "".join(self._said).strip() or f"`{self._name}` ended with exit code {code}"
        return _BY_CODE.get(code, EvtoolError)(said)


_ERRORS: dict[str, type[EvtoolError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, EvtoolError)
}
_BY_CODE: dict[int, type[EvtoolError]] = {
    1: errors.CheckFailed,
    2: errors.ConfigError,
    3: errors.DeviceError,
    4: errors.ToolError,
    130: errors.Stopped,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A fleet's file, checked.

    Attributes:
        units: the rows that are good; secrets stand in them as references.
        problems: everything that is wrong, with file, line, column and rule.
        warnings: what is allowed and still likely to cause trouble.
    """

    units: tuple[UnitOrder, ...]
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True)
class Fleet:
    """A fleet: its file, its project and its ledger.

    Args:
        file: CSV or TOML (docs/fleet.md).
        project: evtool.toml; None: the one of this folder or a folder above.
        template: what all units have in common, for a file in CSV.
        ledger: a file or a URL; None: the project's.
        sealing_key: where the key is, such as file:PATH or env:NAME; None: as the project says.
        environment: for its commands, on top of this process's own.
    """

    file: Path
    project: Path | None = None
    template: Path | None = None
    ledger: str | None = None
    sealing_key: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def check(self) -> Checked:
        """Check every row, against the others and against the ledger; nothing is written.

        Raises:
            ConfigError: the file or the project cannot be read.
        """
        units: list[UnitOrder] = []
        problems: list[Finding] = []
        warnings: list[Finding] = []
        with looked_at(self.project, self.ledger, self.sealing_key) as (project, ledger, secrets):
            fleet = open_fleet(self.file, project=project, template_path=self.template)
            holders = None if ledger is None else LedgerHolders(ledger)
            for found in fleet.checked(secrets, datetime.now(UTC), holders):
                if not isinstance(found, Finding):
                    units.append(found)
                elif found.is_warning:
                    warnings.append(found)
                else:
                    problems.append(found)
        return Checked(tuple(units), tuple(problems), tuple(warnings))

    def run(self, serial_ports: Sequence[str] = (), *options: str) -> Command:
        """Make the boards at these ports units of the fleet; see `evtool provision fleet run`.

        Args:
            options: of the command, such as "--expect-csms", "--with-firmware", "--watch".
        """
        ports = [word for port in serial_ports for word in ("--serial-port", port)]
        return self.command("run", *ports, *options)

    def command(self, name: str, *options: str) -> Command:
        """Any command of `evtool provision fleet` on this fleet's file."""
        words = [name, str(self.file)]
        for option, value in (
            ("--project", self.project),
            ("--template", self.template),
            ("--ledger", self.ledger),
            ("--sealing-key", self.sealing_key),
        ):
            if value is not None:
                words += [option, str(value)]
        return Command("provision", "fleet", *words, *options, environment=self.environment)

    def units(self) -> list[UnitRow]:
        """How each unit stands, by identity; rows that are not begun yet come last, and rows
        with a problem are left out.

        Raises:
            ConfigError: the file or the ledger is wrong.
            DeviceError: the ledger cannot be read.
        """
        read = open_fleet(
            self.file, project=found_project(self.project), template_path=self.template
        )
        wanted = [
            found.identity
            for found in read.checked(UnseenSecrets(), datetime.now(UTC))
            if not isinstance(found, Finding)
        ]
        with self.open_ledger() as ledger:
            return list(unit_rows(ledger.latest() if ledger is not None else (), wanted))

    def summary(self, expiring_days: int = 90) -> Summary:
        """The fleet in figures. Raises as `units`."""
        return summarize(self.units(), datetime.now(UTC), expiring_days)

    @contextmanager
    def open_ledger(self) -> Iterator[SqlLedger | None]:
        """The ledger, to be read (`evtool.provision.ledger.store.Ledger`); None: none yet."""
        with existing_ledger(self.ledger, found_project(self.project)) as ledger:
            yield ledger
