# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool monitor` about ports, what is printed, and the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_MAX_SECONDS = 10_000_000
_MAX_PACE_MS = 60_000
_SIZE = re.compile(r"([0-9]{1,9})([KMG]?)B?\Z", re.IGNORECASE)
_DAILY = "day"


def seconds(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """A click callback: a time above 0."""
    # click's FloatRange lets NaN pass, which is neither below nor above its limits
    if value is not None and not 0 < value <= _MAX_SECONDS:
        raise click.BadParameter(f"{value:g} is not a time above 0 and up to {_MAX_SECONDS} s")
    return value


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log begins a new file: at so many bytes, with the day, or never."""

    max_bytes: int | None = None
    daily: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether it ever does."""
        return self.daily or self.max_bytes is not None


@dataclass(frozen=True)
class StreamOptions:
    """What the user gave, by the names of the options."""

    serial_ports: tuple[str, ...]
    baudrate: int = 115200
    reset: bool = False
    no_reconnect: bool = False
    find_timeout: float = 20.0
    raw: bool = False
    plain: bool = False
    hexadecimal: bool = False
    timestamps: str | None = None
    include: re.Pattern[bytes] | None = None
    exclude: re.Pattern[bytes] | None = None
    colours: str | None = None
    add_cr: bool = False
    ctrl_c: str = "quit"
    menu_key: bytes = b"\x14"
    pace: tuple[int, int] = (0, 0)
    paste: Path | None = None
    log_path: Path | None = None
    log_rotate: Rotation = Rotation()
    log_keep: int = 5
    log_raw: bool = False
    show_secrets: bool = False

    @property
    def is_raw(self) -> bool:
        """Whether bytes are shown rather than lines."""
        return self.raw or self.hexadecimal

    @property
    def wants_lines(self) -> bool:
        """Whether something was asked for that only lines can show."""
        chosen = self.timestamps, self.include, self.exclude, self.colours
        return self.plain or self.show_secrets or any(each is not None for each in chosen)

    @property
    def serial_port(self) -> str:
        """All ports in one text, for people."""
        return ", ".join(self.serial_ports)


def stream_options(function: F) -> F:
    """All of them, passed on as keywords by the names in `StreamOptions`."""
    return add_options(function, _OPTIONS)


def add_options(function: F, options: Sequence[Callable[[Any], Any]]) -> F:
    """`function` with `options`, in this order in the help."""
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: F = decorated
    return result


def collect(kind: type[T], values: dict[str, Any]) -> T:
    """Those of click's keywords that `kind`, a dataclass, has, as one value."""
    return kind(**{each.name: values[each.name] for each in fields(kind)})  # type: ignore[arg-type]


def _byte_expression(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> re.Pattern[bytes] | None:
    if value is None:
        return None
    try:
        return re.compile(value.encode())
    except re.error as error:
        raise click.BadParameter(f"{value!r} is no regular expression: {error}") from error


def _menu_key(context: click.Context, parameter: click.Parameter, value: str) -> bytes:
    match = re.fullmatch(r"ctrl-([a-z\\\]^_])", value.lower())
    if match is None or match[1] in "cm]":
        raise click.BadParameter(
            f"{value!r} is not Ctrl with a letter; Ctrl-C, Ctrl-M and Ctrl-] are taken"
        )
    return bytes([ord(match[1].upper()) & 0x1F])


def _pace(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int]:
    if value is None:
        return 0, 0
    line, colon, byte = value.partition(":")
    parts = (line, byte if colon else "0")
    if not all(each.isdecimal() and int(each) <= _MAX_PACE_MS for each in parts):
        raise click.BadParameter(f"{value!r} is not MS or MS:MS, each up to {_MAX_PACE_MS}")
    return int(parts[0]), int(parts[1])


def _rotation(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Rotation:
    max_bytes = None
    for value in values:
        if value == _DAILY:
            continue
        match = _SIZE.match(value)
        if match is None or int(match[1]) == 0:
            raise click.BadParameter(f"{value!r} is not `day` or a size such as 64K, 10M, 1G")
        max_bytes = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2].upper()]
    return Rotation(max_bytes, _DAILY in values)


_OPTIONS = (
    click.option(
        "--serial-port",
        "serial_ports",
        multiple=True,
        required=True,
        metavar="PORT",
        help="A path, socket://HOST:PORT, rfc2217://HOST:PORT, serial=NUMBER, usb=VENDOR:PRODUCT, "
        "location=1-2.3, board=IDENTITY; may be repeated.",
    ),
    click.option(
        "--baudrate",
        type=click.IntRange(min=1),
        default=StreamOptions.baudrate,
        show_default=True,
        help="The console's speed.",
    ),
    click.option("--reset", is_flag=True, help="Reset the board first; else it is left alone."),
    click.option("--no-reconnect", is_flag=True, help="End with 3 when the port disappears."),
    click.option(
        "--find-timeout",
        type=click.FloatRange(0.1, 3600),
        default=StreamOptions.find_timeout,
        show_default=True,
        metavar="SECONDS",
        help="How long board=IDENTITY is waited for.",
    ),
    click.option(
        "--raw",
        is_flag=True,
        help="Every byte as it is, both ways; Ctrl-T h for help, Ctrl-] to quit.",
    ),
    click.option("--plain", is_flag=True, help="Print lines in a terminal too, instead of tables."),
    click.option("--hex", "hexadecimal", is_flag=True, help="Bytes in hex (means --raw)."),
    click.option(
        "--timestamps",
        is_flag=False,
        flag_value="iso",
        type=click.Choice(["iso", "epoch", "relative", "delta", "device"]),
        help="Begin each printed line with the time; iso where no form is named.",
    ),
    click.option(
        "--include",
        callback=_byte_expression,
        metavar="REGEX",
        help="Print only lines that match. The log and --until see all.",
    ),
    click.option(
        "--exclude", callback=_byte_expression, metavar="REGEX", help="Print no lines that match."
    ),
    click.option(
        "--colours",
        type=click.Choice(["keep", "strip"]),
        help="The board's colours: kept with --raw, else stripped, if not said otherwise.",
    ),
    click.option("--add-cr", is_flag=True, help="With --raw: a line feed alone gets its CR."),
    click.option(
        "--ctrl-c",
        type=click.Choice(["quit", "board"]),
        default=StreamOptions.ctrl_c,
        show_default=True,
        help="With --raw: what Ctrl-C does.",
    ),
    click.option(
        "--menu-key",
        default="ctrl-t",
        show_default=True,
        callback=_menu_key,
        metavar="KEY",
        help="With --raw: the key that begins a command.",
    ),
    click.option(
        "--pace",
        callback=_pace,
        metavar="MS[:MS]",
        help="With --raw: wait so long behind each pasted line, and each byte.",
    ),
    click.option(
        "--paste",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="With --raw: send this file first, at --pace.",
    ),
    click.option(
        "--log",
        "log_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Add every line, with the time, to this file; {port} in it: a file for each.",
    ),
    click.option(
        "--log-rotate",
        multiple=True,
        callback=_rotation,
        metavar="SIZE|day",
        help="Begin a new log at 64K, 10M, 1G, or with the day; may be repeated.",
    ),
    click.option(
        "--log-keep",
        type=click.IntRange(1, 10_000),
        default=StreamOptions.log_keep,
        show_default=True,
        help="So many old logs stay.",
    ),
    click.option("--log-raw", is_flag=True, help="The log holds the bytes as they came, no times."),
    click.option(
        "--show-secrets",
        is_flag=True,
        help="Mask nothing that --raw and --plain print; asks first. The log is masked always.",
    ),
)
