# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit's security shall be: options that plan and apply share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from evtool.cli.output import Output
    from evtool.link.esptool_board import EsptoolBoard
    from evtool.protocol.board_flash import BoardFacts
    from evtool.provision.security.burn import Burn, SecurityWish
    from evtool.provision.security.plan import SecurityPlan

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WishOptions:
    """As given on the command line."""

    flash_encryption: bool
    signing_key: Path | None
    trust: tuple[Path, ...]
    release: bool
    lock_loader: bool

    def read(self) -> tuple[SecurityWish, RSAPrivateKey | None]:
        """What the unit shall have, and the key that signs, where one was named.

        Raises:
            ConfigError: nothing was asked for, or a file holds no key.
        """
        from evtool.errors import ConfigError
        from evtool.link.signing_key import read_signing_key, read_trusted_digest
        from evtool.protocol.secure_boot import key_digest
        from evtool.provision.security.burn import SecurityWish

        key = None if self.signing_key is None else read_signing_key(self.signing_key)
        digests = [] if key is None else [key_digest(key.public_key())]
        digests += [read_trusted_digest(path) for path in self.trust]
        wish = SecurityWish(
            flash_encryption=self.flash_encryption,
            digests=tuple(dict.fromkeys(digests)),
            release=self.release,
            lock_loader=self.lock_loader,
        )
        if not wish.flash_encryption and not wish.digests:
            raise ConfigError(
                "nothing was asked for",
                fix="say --flash-encryption, --signing-key FILE, or both",
            )
        return wish, key


@dataclass(frozen=True, slots=True)
class FirmwareOptions:
    """What the unit will run, and how it is written and proved."""

    manifest_path: Path | None
    environment: str | None
    image: tuple[str, ...]
    build_id: str | None
    baudrate: int
    no_boot_proof: bool
    boot_timeout: float


def wish_options(function: F) -> F:
    """The options, passed on as keywords for `WishOptions`."""
    return _with(_WISH, function)


def firmware_options(function: F) -> F:
    """The options, passed on as keywords for `FirmwareOptions`."""
    return _with(_FIRMWARE, function)


def taken(kind: type[T], values: dict[str, Any]) -> T:
    """A dataclass of options from a command's keywords, which it takes out of them."""
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: values.pop(name) for name in names})


def _with(options: tuple[Any, ...], function: F) -> F:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    result: F = decorated
    return result


_WISH = (
    click.option(
        "--flash-encryption", is_flag=True, help="Encrypt the flash, with a key of the unit's own."
    ),
    click.option(
        "--signing-key",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Secure boot: sign with this key, and have the chip trust it alone.",
    ),
    click.option(
        "--trust",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="Secure boot: a public key that the chip trusts too (ESP32-S3, C3: up to three).",
    ),
    click.option(
        "--release", is_flag=True, help="For the field: no JTAG, no encrypting loader, for good."
    ),
    click.option(
        "--lock-loader",
        is_flag=True,
        help="At the end lock the serial loader; evtool reads nothing from the unit any more.",
    ),
)

_FIRMWARE = (
    click.option(
        "--manifest",
        "manifest_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The firmware: a build's manifest.json.",
    ),
    click.option(
        "--env", "environment", metavar="ENV", help="The firmware: this build of the project."
    ),
    click.option(
        "--image",
        multiple=True,
        metavar="FILE@OFFSET",
        help="The firmware, image by image; boot loader and partition table among them.",
    ),
    click.option("--build-id", metavar="ID", help="With --image: what the boot proof must hear."),
    click.option(
        "--baudrate", type=click.IntRange(9600, 4_000_000), default=460_800, show_default=True
    ),
    click.option("--no-boot-proof", is_flag=True, help="Do not wait for the unit to start."),
    click.option(
        "--boot-timeout",
        type=click.FloatRange(1, 600),
        default=15.0,
        show_default=True,
        metavar="S",
        help="Seconds that the unit may take to start and say its build.",
    ),
)


def secured_board(output: Output, port: str, chip: str, total_bytes: int) -> EsptoolBoard:
    """The board at a port, driven by esptool's own code.

    Raises:
        ConfigError: a chip that evtool does not secure.
    """
    from evtool.errors import ConfigError
    from evtool.link.deflated import Streams
    from evtool.link.esptool_board import EsptoolBoard
    from evtool.link.esptool_packets import make_packets_cheap
    from evtool.provision.security.plan import CHIPS

    if chip not in CHIPS:
        raise ConfigError(f"--chip {chip}: must be one of {', '.join(CHIPS)}", fix=None)
    make_packets_cheap()
    return EsptoolBoard(
        port,
        chip=chip,
        streams=Streams(),
        total_bytes=total_bytes,
        stop=lambda: False,
        say=lambda line: output.event("log", line=line),
    )


def plan_lines(plan: SecurityPlan, facts: BoardFacts) -> list[str]:
    """The plan for people."""
    lines = [f"{plan.mac}: {facts.chip.description}"]
    if not plan.burns:
        lines.append("  has all of it already; nothing would be burned")
    else:
        lines.append(f"  {len(plan.burns)} burns, none of which can be undone:")
        lines += [f"    {_line(burn)}" for burn in plan.burns]
    if plan.already:
        lines.append(f"  burned already: {', '.join(plan.already)}")
    lines += [f"  note: {note}" for note in plan.notes]
    return lines


def _line(burn: Burn) -> str:
    purpose = f" as {burn.purpose}" if burn.purpose else ""
    shown = burn.shown if len(burn.shown) < 60 else f"{burn.shown[:16]}..."
    return f"{burn.fuse + purpose:<36} {shown:<44} {burn.why}"


def plan_document(plan: SecurityPlan, facts: BoardFacts) -> dict[str, object]:
    """The plan for programs."""
    return {
        "event": "plan",
        "mac": plan.mac,
        "chip": plan.chip,
        "description": facts.chip.description,
        "burns": [burn.as_dict() for burn in plan.burns],
        "already": list(plan.already),
        "notes": list(plan.notes),
    }
