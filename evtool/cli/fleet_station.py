# SPDX-License-Identifier: GPL-3.0-or-later
"""A run over a fleet's boards: its options, its ports, and the run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evtool.cli.flash_options import StationOptions, collect, some_station_options

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.flash.station.order import Order
    from evtool.provision.run.task import Proof, UnitTask

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS: dict[str, Any] = {
    "manifest_path": None, "environment": None, "with_firmware": False,
}  # fmt: skip
_SINGLE = (
    "serial_ports", "baudrate", "no_boot_proof", "boot_timeout", "expect_csms", "csms_timeout",
)  # fmt: skip
_SINGLE_STATION = ("allow_secured", "report", "junit", "log_dir", "isolate")
_STATION = (
    "match", "watch", "count", "retry_failed", "min_revision", "max_revision", "flash_size",
    "mac_list", "allow_secured", "report", "junit", "log_dir", "isolate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """What the user gave about boards."""

    serial_ports: tuple[str, ...]
    baudrate: int
    manifest_path: Path | None
    environment: str | None
    with_firmware: bool
    no_boot_proof: bool
    boot_timeout: float
    expect_csms: bool
    csms_timeout: float
    station: StationOptions

    @property
    def build(self) -> tuple[Path | None, str | None, bool]:
        """Which build is flashed, as `asked_firmware` takes it."""
        return self.manifest_path, self.environment, self.with_firmware

    def check(self, *, needs_ports: bool) -> None:
        """Refuse what makes no sense together.

        Raises:
            click.UsageError: naming it.
        """
        station = self.station
        ports = bool(self.serial_ports or station.match)
        problem = None
        if needs_ports and not ports and not station.watch and station.retry_failed is None:
            problem = "which board? Give --serial-port, --match, --watch or --retry-failed"
        elif station.retry_failed is not None and (ports or station.watch):
            problem = "--retry-failed takes the ports from its report"
        elif station.count is not None and not station.watch:
            problem = "--count is for --watch"
        elif self.no_boot_proof and self.expect_csms:
            problem = "--expect-csms is a part of the boot proof: leave out --no-boot-proof"
        elif self.manifest_path is not None and self.environment is not None:
            problem = "--manifest and --env exclude each other"
        if problem is not None:
            raise click.UsageError(problem)

    def proof(self) -> Proof | None:
        """What each board must say at its start."""
        from evtool.provision.run.task import Proof

        if self.no_boot_proof:
            return None
        csms_ms = round(self.csms_timeout * 1000) if self.expect_csms else None
        return Proof(round(self.boot_timeout * 1000), csms_ms)


def board_options(function: F) -> F:
    """Ports, firmware, proof and station; passed on as keywords for `collected`."""
    return _decorated(function, tuple(_OPTIONS), _STATION)


def single_board_options(function: F) -> F:
    """Those that make sense for one known board."""
    return _decorated(function, _SINGLE, _SINGLE_STATION)


def table_option(function: F) -> F:
    """`--manifest FILE` where nothing of it is written, passed on as `manifest_path`."""
    decorated: F = click.option(
        "--manifest",
        "manifest_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The build that the board runs, for its partition table: where flash is encrypted.",
    )(function)
    return decorated


def _decorated(function: F, own: Sequence[str], station: Sequence[str]) -> F:
    decorated: Any = some_station_options(*station)(function)
    for name in reversed(own):
        decorated = _OPTIONS[name](decorated)
    result: F = decorated
    return result


def collected(values: dict[str, Any], *, needs_ports: bool = True) -> BoardOptions:
    """The keywords that the options pass on, checked; they are taken out of `values`.

    Raises:
        click.UsageError: they make no sense together.
    """
    station = collect(values)
    for name in _STATION:
        values.pop(name, None)
    given = {name: values.pop(name) for name in _OPTIONS if name in values}
    options = BoardOptions(**(_DEFAULTS | given), station=station)
    options.check(needs_ports=needs_ports)
    return options


_OPTIONS = {
    "serial_ports": click.option(
        "--serial-port",
        "serial_ports",
        multiple=True,
        metavar="PORT",
        help="A board's serial port, such as /dev/ttyUSB0; several work at once.",
    ),
    "baudrate": click.option(
        "--baudrate",
        type=click.IntRange(9600, 4_000_000),
        default=460_800,
        show_default=True,
        help="Speed of the data; the last attempt is made at 115200.",
    ),
    "with_firmware": click.option(
        "--with-firmware", is_flag=True, help="Flash the project's build too, where it differs."
    ),
    "manifest_path": click.option(
        "--manifest",
        "manifest_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Flash this build too: its manifest.json.",
    ),
    "environment": click.option(
        "--env", "environment", metavar="ENV", help="Flash this build of the project."
    ),
    "no_boot_proof": click.option(
        "--no-boot-proof", is_flag=True, help="Do not wait for the boards to say it."
    ),
    "boot_timeout": click.option(
        "--boot-timeout",
        type=click.FloatRange(1, 600),
        default=15.0,
        show_default=True,
        metavar="S",
        help="Seconds that a board may take to start and say its identity.",
    ),
    "expect_csms": click.option(
        "--expect-csms", is_flag=True, help="Wait until each board says that it reached its CSMS."
    ),
    "csms_timeout": click.option(
        "--csms-timeout",
        type=click.FloatRange(1, 600),
        default=60.0,
        show_default=True,
        metavar="S",
        help="Seconds that it may take for that.",
    ),
}


def run_fleet(
    output: Output,
    options: BoardOptions,
    task: UnitTask,
    order: Order,
    head: Mapping[str, object],
    command: str,
) -> int:
    """Work at all ports there are; the run's exit code.

    Args:
        order: the chip and flash that the boards must have.
        head: of the report; its `fingerprint` must be the one that is taken up.
        command: for JUnit.

    Raises:
        ConfigError, DeviceError: before any port is opened.
    """
    from evtool.cli.flash_order import gates_of
    from evtool.cli.flash_ports import present_ports
    from evtool.cli.flash_worker import Logs
    from evtool.cli.fleet_worker import FleetAccount, FleetWorker, Station
    from evtool.cli.station_run import StationFiles, StationRun
    from evtool.flash.station.ports import parse_pattern
    from evtool.flash.station.units import Units
    from evtool.link.boot_console import check_console

    station = options.station
    previous = _previous(station, str(head["fingerprint"]))
    patterns = [parse_pattern(text) for text in station.match]
    ports = list(previous.ports) if previous is not None else chosen_ports(options)
    if task.proof is not None:
        for port in ports:
            check_console(port)
    logs = Logs(station.log_dir)
    setup = Station(
        order=order,
        gates=gates_of(station),
        units=Units(previous.done if previous is not None else ()),
        logs=logs,
        baudrate=options.baudrate,
        total_bytes=order.total_bytes + _IDENTITY_BYTES,
    )
    worker = FleetWorker(task, setup, isolate=station.isolate)
    if worker.isolated and not station.isolate:
        output.say("note: this esptool is run as a program for each board, which is slower")
        output.event("isolated")
    files = StationFiles(station.report, station.junit, station.count)
    run = StationRun(output, files, worker, FleetAccount(head, command, previous), logs)
    code, _ = run.run(ports, (lambda: present_ports(patterns)) if station.watch else None)
    return code


# Written, and read back: partition evcfg and the keys of its encryption, twice.
_IDENTITY_BYTES = 0x20000


def chosen_ports(options: BoardOptions) -> Sequence[str]:
    """The ports that are named or match; with --watch those that are named.

    Raises:
        DeviceError: none matches.
    """
    from evtool.cli.flash_ports import named_ports, unique
    from evtool.flash.station.ports import parse_pattern

    if options.station.watch:
        return unique(options.serial_ports)
    patterns = [parse_pattern(text) for text in options.station.match]
    return named_ports(options.serial_ports, patterns)


def _previous(station: StationOptions, fingerprint: str) -> Any:
    from evtool.cli.flash_station import previous_run
    from evtool.provision.run.verdict import UnitVerdict

    if station.retry_failed is None:
        return None
    return previous_run(station.retry_failed, fingerprint, UnitVerdict)
