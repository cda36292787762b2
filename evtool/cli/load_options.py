# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a load test: `evtool sim charge-point --count N`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from evtool.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_NUMBER = re.compile(r"\{n(?::0?([1-9]))?\}")
_ID_TAG = re.compile(r"[!-~]{1,20}\Z")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the options say; times in seconds, `charging` in percent."""

    count: int
    connect_rate: float
    stations: Path | None
    heartbeat: int | None
    charging: float
    transaction_length: float
    meter_interval: int
    id_tag: str
    duration: float | None
    client_certificate: str | None = None
    client_key: str | None = None

    def identities(self, pattern: str) -> list[str]:
        """The names of all charge points.

        Raises:
            ConfigError: the pattern gives them all the same name, or names that none may have.
        """
        if self.count > 1 and not _NUMBER.search(pattern):
            raise ConfigError(
                f"IDENTITY {pattern!r}: all {self.count} charge points would have this name",
                fix="write {n} where their number is to stand, or {n:05} for five digits",
            )

        return [_numbered(pattern, number) for number in range(1, self.count + 1)]

    def client_files(self) -> list[tuple[Path, Path | None]]:
        """Certificate and key of each charge point, None where the first file holds both; empty
        where they show none.

        Raises:
            ConfigError: a key without a certificate, or one file for all.
        """
        if self.client_certificate is None:
            if self.client_key is not None:
                raise ConfigError(
                    "--client-key without --client-certificate", fix="name the certificates too"
                )
            return []
        for option, pattern in (
            ("--client-certificate", self.client_certificate),
            ("--client-key", self.client_key),
        ):
            if pattern is not None and self.count > 1 and not _NUMBER.search(pattern):
                raise ConfigError(
                    f"{option} {pattern}: all {self.count} charge points would show the same one",
                    fix="write {n} where their number is to stand, as in IDENTITY",
                )
        return [
            (
                Path(_numbered(self.client_certificate, number)),
                None if self.client_key is None else Path(_numbered(self.client_key, number)),
            )
            for number in range(1, self.count + 1)
        ]

    def check(self) -> None:
        """Raises ConfigError, naming the option that is wrong."""
        if not _ID_TAG.match(self.id_tag):
            raise ConfigError(
                f"--id-tag {self.id_tag!r}: 1 to 20 characters ! to ~", fix="give such a tag"
            )


def _numbered(pattern: str, number: int) -> str:
    return _NUMBER.sub(lambda found: str(number).zfill(int(found[1] or 1)), pattern)


def load_options(function: F) -> F:
    """The options, passed on as `load`: a LoadOptions, or None without --count."""

    @functools.wraps(function)
    def command(*args: Any, **options: Any) -> Any:
        values = {name: options.pop(name) for name in LoadOptions.__dataclass_fields__}
        load = None if values["count"] is None else LoadOptions(**values)
        if load is None:
            refuse_given(LoadOptions.__dataclass_fields__, "is of a load test", "add --count N")
        else:
            refuse_given(_OF_ONE, "is not of a load test", "leave it out, or leave out --count")
        return function(*args, load=load, **options)

    decorated: Any = command
    for decorate in reversed(_OPTIONS):
        decorated = decorate(decorated)
    return cast(F, decorated)


def refuse_given(names: Iterable[str], problem: str, fix: str) -> None:
    """Raises ConfigError for an option that was given and would be ignored.

    Args:
        names: of parameters of the command that runs.
        problem, fix: behind the option's name.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not ParameterSource.DEFAULT:
            raise ConfigError(f"{parameter.opts[0]} {problem}", fix=fix)


_OF_ONE = frozenset(
    {
        "any_host", "charge_box_serial", "is_plain", "max_current_a", "power_w", "program_path",
        "revoked_path", "serial", "storage_folder",
    }
)  # fmt: skip
"""Options of a single charge point that a fleet has no use for."""
OF_PYTHON = frozenset(
    {
        "any_host", "charge_box_serial", "firmware_version", "fixed_cable", "is_plain",
        "max_current_a", "mode", "power_w", "revoked_path",
    }
)  # fmt: skip
"""Options that the firmware with MicroOcpp has no use for."""

_OPTIONS = [
    click.option(
        "--count",
        type=click.IntRange(1, 1_000_000),
        metavar="N",
        help="Load test: run N charge points in Python, with {n} in IDENTITY as their number.",
    ),
    click.option(
        "--connect-rate",
        type=click.FloatRange(0.01),
        default=100.0,
        show_default=True,
        help="Load test: connections begun in a second.",
    ),
    click.option(
        "--stations",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Load test: a key for each identity, in a file as `evtool sim csms` takes it.",
    ),
    click.option(
        "--client-certificate",
        metavar="FILES",
        help="Load test, for wss: PEM of each charge point's own certificate, with {n} in the name "
        "as its number (security profile 3).",
    ),
    click.option(
        "--client-key",
        metavar="FILES",
        help="Load test: PEM of its private key, readable by its owner alone.  [default: in the "
        "same file]",
    ),
    click.option(
        "--heartbeat",
        type=click.IntRange(1, 86_400),
        metavar="SECONDS",
        help="Load test: heartbeat interval, whatever the CSMS says.  [default: as it says]",
    ),
    click.option(
        "--charging",
        type=click.FloatRange(0, 100),
        default=25.0,
        show_default=True,
        metavar="PERCENT",
        help="Load test: how many have a transaction at any time.",
    ),
    click.option(
        "--transaction-length",
        type=click.FloatRange(1),
        default=1800.0,
        show_default=True,
        metavar="SECONDS",
        help="Load test: how long a transaction lasts.",
    ),
    click.option(
        "--meter-interval",
        type=click.IntRange(0, 86_400),
        default=60,
        show_default=True,
        metavar="SECONDS",
        help="Load test: MeterValueSampleInterval, unless the CSMS changes it.",
    ),
    click.option(
        "--id-tag", default="EVTOOL-LOAD", show_default=True, help="Load test: every driver's card."
    ),
    click.option(
        "--duration",
        type=click.FloatRange(0.1),
        metavar="SECONDS",
        help="Load test: end after so long.  [default: at Ctrl-C or `quit`]",
    ),
]
