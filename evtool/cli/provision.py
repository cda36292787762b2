# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision`: an identity into a board, and the board's word that it took."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import project_option, serial_port_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evtool.project import Project
    from evtool.provision.boot_proof import BootConsole
    from evtool.provision.identity import Identity
    from evtool.provision.plan import Provisioned, ProvisionPlan

_INCOMPLETE = "the board may hold half an identity; run the same command again to mend it"


@click.command("provision", epilog=EXIT_CODES)
@serial_port_option
@project_option
@click.option("--identity", metavar="ID", help="Another OCPP identity than the project's.")
@click.option("--no-boot-proof", is_flag=True, help="Do not wait for the board to say it.")
@click.option(
    "--boot-timeout",
    type=click.FloatRange(1, 600),
    default=15.0,
    show_default=True,
    metavar="S",
    help="Seconds that the board may take to start and say its identity.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, open no port.")
@json_option
def command(
    serial_port: str,
    project_path: Path | None,
    identity: str | None,
    no_boot_proof: bool,
    boot_timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give a board its identity, keys and certificates.

    Everything is checked before the port is opened. Then: read the partition table from the
    board's flash, write the NVS partition evcfg found there, read it back and compare, and
    wait until the board has started and says this identity. Each step is recorded in the
    project's .evtool/ledger.jsonl, without secrets.

    With --json one line for each step, the last one being the result.
    """
    import dataclasses

    from evtool.cli.board_access import interrupted, open_board
    from evtool.cli.identity_input import checked_identity
    from evtool.cli.options import open_project
    from evtool.errors import EvtoolError
    from evtool.link.clock import monotonic_ms
    from evtool.provision.evcfg import evcfg_entries
    from evtool.provision.plan import ProvisionPlan, run_plan

    output = Output(as_json)
    project = open_project(project_path)
    if identity is not None:
        unit = dataclasses.replace(project.charge_point, identity=identity)
        project = dataclasses.replace(project, charge_point=unit)
    checked = checked_identity(project)
    for warning in checked.warnings:
        output.say(f"note: {warning}")
    plan = ProvisionPlan(
        identity=checked.charge_point.identity,
        entries=tuple(evcfg_entries(checked, project.can, project.limits)),
        boot_timeout_ms=None if no_boot_proof else round(boot_timeout * 1000),
    )
    if dry_run:
        _show_plan(output, plan, checked, serial_port)
        return
    board = open_board(output, serial_port, "esp32", 460_800)
    ledger = _Ledger(output, project, checked)

    def step(name: str) -> None:
        output.say(_STEP_TEXTS[name])
        output.event(name)

    with interrupted(output, _INCOMPLETE):
        try:
            done = run_plan(
                plan,
                board,
                open_console=lambda: _open_console(serial_port),
                now_ms=monotonic_ms,
                on_step=step,
                on_written=ledger.written,
            )
        except EvtoolError as error:
            ledger.failed(error)
            raise
    ledger.proved(done)
    _show_result(output, serial_port, checked, done, ledger.path)


_STEP_TEXTS = {
    "read": "reading the partition table",
    "write": "writing the identity",
    "compare": "reading it back",
    "boot": "waiting for the board to say who it is",
}


def _open_console(serial_port: str) -> BootConsole:
    from evtool.link.serial_line import open_serial_line

    line = open_serial_line(serial_port)
    line.reset()  # a boot line that was said before the port was open is lost
    return line


class _Ledger:
    """The project's ledger, as one run of provision adds to it."""

    def __init__(self, output: Output, project: Project, identity: Identity) -> None:
        from evtool.provision.ledger import FILE

        self._output = output
        self._identity = identity
        self._written: dict[str, object] = {}
        self.path = project.root / FILE

    def written(self, done: Provisioned) -> None:
        """The flash holds the identity."""
        from evtool import __version__
        from evtool.provision.ledger import other_boards

        identity = self._identity
        certificate = identity.ca_certificate
        self._written = {
            "charge_point": identity.charge_point.identity,
            "serial_number": identity.charge_point.serial_number,
            "mac": done.chip.mac,
        }
        content = self.path.read_bytes() if self.path.exists() else b""
        for mac in other_boards(content, identity.charge_point.identity, done.chip.mac):
            self._output.say(f"note: the ledger says that {mac} has this identity too")
            self._output.event("identity_shared", mac=mac)
        self._add(
            "written",
            {
                "chip": done.chip.description,
                "partition_offset": done.partition.offset,
                "image_sha256": done.image_sha256,
                "csms_url": identity.full_url,
                "security_profile": identity.security_profile,
                "ca_sha256": None if certificate is None else certificate.fingerprint,
                "ca_not_after": None
                if certificate is None
                else certificate.not_after.isoformat(timespec="seconds"),
                "evtool": __version__,
            },
        )

    def proved(self, done: Provisioned) -> None:
        """The board has said its identity."""
        if done.boot is not None:
            self._add("proved", {"boot": done.boot, "times_ms": done.times_ms})

    def failed(self, error: Exception) -> None:
        """The identity was written, and the proof failed."""
        if self._written:
            self._add("not_proved", {"reason": str(error).splitlines()[0]})

    def _add(self, event: str, fields: Mapping[str, object]) -> None:
        from datetime import UTC, datetime

        from evtool.link.append_file import add_to_file
        from evtool.provision.ledger import plan_addition, record_line

        line = record_line(event, datetime.now(UTC), self._written | dict(fields))
        add_to_file(self.path, lambda content: plan_addition(content, line))


def _describe(identity: Identity, serial_port: str) -> dict[str, object]:
    unit = identity.charge_point
    return {
        "serial_port": serial_port,
        "identity": unit.identity,
        "vendor": unit.vendor,
        "model": unit.model,
        "serial_number": unit.serial_number,
        "url": identity.full_url,
        "security_profile": identity.security_profile,
        "warnings": list(identity.warnings),
    }


def _show_plan(output: Output, plan: ProvisionPlan, identity: Identity, serial_port: str) -> None:
    keys = [entry.key for entry in plan.entries]
    lines = [
        f"would give the board at {serial_port} the identity {plan.identity}",
        f"  connects to  {identity.full_url}",
        f"  profile      {identity.security_profile}",
        f"  keys         {', '.join(keys)}",
        f"  steps        {', '.join(plan.steps)}",
    ]
    document = {"event": "plan"} | _describe(identity, serial_port)
    output.result("\n".join(lines), document | {"keys": keys, "steps": list(plan.steps)})


def _show_result(
    output: Output, serial_port: str, identity: Identity, done: Provisioned, ledger: Path
) -> None:
    seconds = sum(done.times_ms.values()) / 1000
    proof = "and says so" if done.boot is not None else "not asked to say so"
    text = (
        f"{serial_port}: {done.chip.mac} is {identity.charge_point.identity}, {proof} "
        f"({seconds:.1f} s)\n  connects to {identity.full_url}\n  recorded in {ledger}"
    )
    document = (
        {"event": "provisioned"}
        | _describe(identity, serial_port)
        | {
            "mac": done.chip.mac,
            "chip": done.chip.description,
            "partition": {
                "name": done.partition.name,
                "offset": done.partition.offset,
                "size": done.partition.size,
            },
            "image_sha256": done.image_sha256,
            "boot": done.boot,
            "times_ms": done.times_ms,
            "ledger": str(ledger),
        }
    )
    output.result(text, document)
