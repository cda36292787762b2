# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision security apply`: a board signed, encrypted and burned, for ever."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.ledger_option import ledger_option
from evtool.cli.options import project_option, serial_port_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.sealing_option import sealing_option
from evtool.cli.security_options import (
    FirmwareOptions,
    WishOptions,
    firmware_options,
    taken,
    wish_options,
)

if TYPE_CHECKING:
    from evtool.provision.security.secure_unit import Firmware, Secured

_LEFT = "the unit is half secured; run the same command again, which goes on where this one ended"


@click.command("apply", epilog=EXIT_CODES)
@serial_port_option
@wish_options
@click.option(
    "--irreversible",
    required=True,
    metavar="MAC",
    help="The board whose fuses may be burned, which cannot be undone.",
)
@firmware_options
@project_option
@ledger_option
@sealing_option
@json_option
def command(
    serial_port: str,
    irreversible: str,
    project_path: Path | None,
    ledger_location: str | None,
    sealing_key: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Secure the unit at a port: flash encryption, secure boot, or both.

    Look at `plan` first. Then: the unit's keys are sealed in the ledger; they are burned; signed
    and encrypted firmware is written and proved, with the unit's identity and the keys of its NVS;
    encryption and secure boot are switched on; what must not change any more is locked; the unit
    starts and says its build. What it has already is left alone, and a run that was killed is
    taken up by the next one.

    With --json a line for each step, the last one being the result.
    """
    from evtool.cli.board_access import Aftermath, telling
    from evtool.cli.fleet_orders import opened_fleet
    from evtool.cli.security_options import secured_board
    from evtool.cli.security_order import (
        boot_proof,
        checked_mac,
        firmware_to_secure,
        ledger_record,
        signer,
    )
    from evtool.link.nvs_files import new_keys
    from evtool.provision.run.nvs_keys import SealedNvsKeys
    from evtool.provision.security.kept_keys import SealedFlashKeys
    from evtool.provision.security.secure_unit import SecurityOrder, secure_unit

    output = Output(as_json)
    mac = checked_mac(irreversible)
    options = taken(FirmwareOptions, values)
    wish, key = WishOptions(**values).read()
    aftermath = Aftermath()
    with opened_fleet(project_path, ledger_location, sealing_key) as opened:
        order, firmware = firmware_to_secure(opened.project, options, signer(key))
        prove = None if options.no_boot_proof else boot_proof(order, options.boot_timeout)

        def tell(step: str, fields: Mapping[str, object]) -> None:
            if step in {"burn", "try", "write"}:
                aftermath.stopped = aftermath.failed = _LEFT
            _tell(output, step, fields)

        board = secured_board(output, serial_port, order.chip, order.total_bytes)
        with telling(output, aftermath):
            done = secure_unit(
                SecurityOrder(mac, wish, firmware, options.baudrate, prove),
                board,
                SealedFlashKeys(opened.ledger, opened.sealed, opened.sealed.random),
                SealedNvsKeys(opened.ledger, opened.sealed),
                new_keys,
                ledger_record(opened.ledger),
                tell,
            )
    _show(output, serial_port, done, firmware)


_STEPS = {
    "plan": "planning",
    "write": "writing {bytes} bytes: {names}",
    "burn": "burning {fuse}: {why}",
    "try": "having the chip encipher a sector, to see that it has the key",
    "boot": "waiting for the unit to say its build",
}


def _tell(output: Output, step: str, fields: Mapping[str, object]) -> None:
    if step == "plan":
        burns = fields["burns"]
        count = len(burns) if isinstance(burns, list) else 0
        output.say(f"{count} burns are left to do" if count else "nothing is left to burn")
    elif step in _STEPS:
        parts = fields.get("parts")
        names = ", ".join(parts) if isinstance(parts, list) else ""
        output.say(_STEPS[step].format(**fields, names=names))
    if step != "progress":
        output.event(step, **fields)


def _show(output: Output, port: str, done: Secured, firmware: Firmware) -> None:
    mac = done.facts.chip.mac
    burned = f"{len(done.burned)} fuses burned" if done.burned else "nothing left to burn"
    wrote = f"{len(done.written)} images written" if done.written else "nothing left to write"
    build = None if done.boot is None else done.boot.get("build", "-")
    boot = "not asked to start" if build is None else f"runs build {build}"
    output.result(
        f"{port}: {mac} is secured; {burned}, {wrote}, {boot}",
        {
            "event": "secured",
            "serial_port": port,
            "mac": mac,
            "burned": [burn.as_dict() for burn in done.burned],
            "written": list(done.written),
            "unchanged": not done.burned and not done.written,
            "boot": done.boot,
            "images": len(firmware.parts),
        },
    )
