# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of `evtool provision security apply` to what is done to the unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from evtool.errors import ConfigError
from evtool.flash.station.boot import BootConsole, BootProof, wait_for_build
from evtool.flash.station.order import Order, order_of_images, order_of_plan
from evtool.link.clock import monotonic_ms
from evtool.protocol import partition_table
from evtool.protocol.can_frame import Malformed
from evtool.protocol.partition_table import TABLE_OFFSET
from evtool.protocol.secure_boot import signed
from evtool.provision.security.secure_unit import Firmware

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from evtool.cli.security_options import FirmwareOptions
    from evtool.project import Project
    from evtool.provision.ledger.store import Ledger

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")


def checked_mac(text: str) -> str:
    """The MAC that a person agreed to, lower case with colons.

    Raises:
        ConfigError: it is none.
    """
    mac = text.lower().replace("-", ":")
    if not _MAC.match(mac):
        raise ConfigError(
            f"--irreversible {text}: must be the board's MAC",
            fix="`evtool provision security plan` shows it, as 24:0a:c4:00:00:01",
        )
    return mac


def signer(key: RSAPrivateKey | None) -> Callable[[bytes], bytes] | None:
    """What signs an image, or None: there is no key for it."""
    return None if key is None else lambda image: signed(image, key)


def firmware_to_secure(
    project: Project,
    options: FirmwareOptions,
    sign: Callable[[bytes], bytes] | None,
) -> tuple[Order, Firmware]:
    """The firmware that the options name, or the project's build.

    Raises:
        ConfigError: there is no such build or image, or no partition table is among them.
    """
    if options.image:
        from evtool.cli.flash_order import read_images

        order = order_of_images(
            read_images(options.image, encrypting=True), None, options.build_id or ""
        )
        table = next((part for part in order.parts if part.offset == TABLE_OFFSET), None)
        partitions = None if table is None else partition_table.decode(table.data)
        if partitions is None or isinstance(partitions, Malformed):
            why = "missing" if partitions is None else partitions.reason
            raise ConfigError(
                f"--image: the partition table at {TABLE_OFFSET:#x} is {why}",
                fix="give it as an image of its own: FILE@0x8000",
            )
        return order, Firmware(order.parts, partitions, sign)
    from evtool.cli.fleet_firmware import asked_firmware

    plan = asked_firmware(project, options.manifest_path, options.environment, True)
    if plan is None:
        raise RuntimeError("a build was asked for")
    return order_of_plan(plan), Firmware(plan.parts, plan.partitions, sign)


def boot_proof(order: Order, timeout_s: float) -> Callable[[BootConsole], Mapping[str, str]]:
    """Waits for the build of `order`.

    Raises:
        ConfigError: nobody knows what the unit would say.
    """
    if not order.build_id:
        raise ConfigError(
            "the images do not say which build they are",
            fix="name it with --build-id, or leave out the proof with --no-boot-proof",
        )
    proof = BootProof(order.build_id, round(timeout_s * 1000))
    return lambda console: wait_for_build(console, proof, monotonic_ms)


def ledger_record(ledger: Ledger) -> Callable[[str, str, Mapping[str, object]], None]:
    """Files events of a board; what it has at the end, under the unit that it is bound to.

    A plan of fuses is no step of a unit's: one that is proved stays proved.
    """

    def record(event: str, mac: str, fields: Mapping[str, object]) -> None:
        if event == "security_enabled" and _is_known(ledger, mac, fields):
            return
        holder = None if event == "planned" else ledger.claim_holder("mac", mac)
        with ledger.change() as change:
            unit = None if holder is None else holder.unit
            change.append(event, unit=unit, mac=mac, fields=fields)

    return record


def _is_known(ledger: Ledger, mac: str, fields: Mapping[str, object]) -> bool:
    """Whether the last word about this board's security is just this one."""
    said = [each for each in ledger.history(mac=mac) if each.event == "security_enabled"]
    return bool(said) and dict(said[-1].fields) == dict(fields)
