# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `evtool flash` for a rack of boards, and for images that are no build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class StationOptions:
    """What the user gave, by the names of the options."""

    match: tuple[str, ...] = ()
    watch: bool = False
    count: int | None = None
    retry_failed: Path | None = None
    image: tuple[str, ...] = ()
    chip: str | None = None
    build_id: str | None = None
    known: tuple[str, ...] = ()
    min_revision: str | None = None
    max_revision: str | None = None
    flash_size: str | None = None
    mac_list: Path | None = None
    allow_secured: bool = False
    identify: bool = False
    boot_proof: bool = False
    boot_timeout: float = 15.0
    report: Path | None = None
    junit: Path | None = None
    log_dir: Path | None = None
    isolate: bool = False

    @property
    def given(self) -> bool:
        """Whether any of them was."""
        return self != StationOptions()


def station_options(function: F) -> F:
    """All of them, passed on as keywords by the names in `StationOptions`."""
    return some_station_options(*_OPTIONS)(function)


def some_station_options(*names: str) -> Callable[[F], F]:
    """Those of the options that a command has, by the names in `StationOptions`."""

    def decorate(function: F) -> F:
        decorated: Any = function
        for name in reversed(names):
            decorated = _OPTIONS[name](decorated)
        result: F = decorated
        return result

    return decorate


def collect(values: dict[str, Any]) -> StationOptions:
    """The keywords that the options pass on, as one value; those left out are not given."""
    names = {each.name for each in fields(StationOptions)}
    return StationOptions(**{name: value for name, value in values.items() if name in names})


_OPTIONS = {
    "match": click.option(
        "--match",
        multiple=True,
        metavar="PATTERN",
        help="All ports that match: a path, usb=VENDOR:PRODUCT, serial=..., location=1-2.*",
    ),
    "watch": click.option(
        "--watch", is_flag=True, help="Take every board that appears (a jig), each unit once."
    ),
    "count": click.option(
        "--count", type=click.IntRange(1), metavar="N", help="With --watch: end after N good ones."
    ),
    "retry_failed": click.option(
        "--retry-failed",
        type=_FILE,
        metavar="REPORT",
        help="Take up an earlier run where its --report says that it ended.",
    ),
    "image": click.option(
        "--image",
        multiple=True,
        metavar="FILE[@OFFSET]",
        help="Instead of a build: any image, a merged one at 0, or an ESP-IDF build's "
        "flasher_args.json; may be repeated.",
    ),
    "chip": click.option(
        "--chip", metavar="CHIP", help="With --image: the chip (default: the image's)."
    ),
    "build_id": click.option(
        "--build-id", metavar="ID", help="With --image: what --boot-proof waits for."
    ),
    "known": click.option(
        "--known",
        multiple=True,
        metavar="FILE[@OFFSET]",
        help="What the boards hold (an image, or a manifest.json): only its differences go out.",
    ),
    "min_revision": click.option(
        "--min-revision", metavar="X.Y", help="Refuse chips of an older revision."
    ),
    "max_revision": click.option(
        "--max-revision", metavar="X.Y", help="Refuse chips of a newer revision."
    ),
    "flash_size": click.option(
        "--flash-size", metavar="SIZE", help="Refuse boards with flash of another size."
    ),
    "mac_list": click.option(
        "--mac-list", type=_FILE, metavar="FILE", help="Refuse MACs that are not in this file."
    ),
    "allow_secured": click.option(
        "--allow-secured",
        is_flag=True,
        help="Write to boards with flash encryption or secure boot: the images are made for it.",
    ),
    "identify": click.option(
        "--identify", is_flag=True, help="Say what each board is; write nothing."
    ),
    "boot_proof": click.option(
        "--boot-proof", is_flag=True, help="Wait until each board says that it runs this build."
    ),
    "boot_timeout": click.option(
        "--boot-timeout",
        type=click.FloatRange(1, 600),
        default=StationOptions.boot_timeout,
        show_default=True,
        metavar="S",
        help="Seconds that a board may take to say so.",
    ),
    "report": click.option(
        "--report", type=_FILE, metavar="FILE", help="Write the results as JSON."
    ),
    "junit": click.option(
        "--junit", type=_FILE, metavar="FILE", help="Write the results as JUnit XML."
    ),
    "log_dir": click.option(
        "--log-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep a log of each board there.",
    ),
    "isolate": click.option(
        "--isolate", is_flag=True, help="Run esptool as a program of its own for each board."
    ),
}
