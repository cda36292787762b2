# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision security plan`: what would be burned into a board; nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evtool.cli.ledger_option import ledger_option
from evtool.cli.options import project_option, serial_port_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.security_options import WishOptions, wish_options


@click.command("plan", epilog=EXIT_CODES)
@serial_port_option
@click.option("--chip", default="esp32", show_default=True, help="The board's chip.")
@wish_options
@project_option
@ledger_option
@json_option
def command(
    serial_port: str,
    chip: str,
    project_path: Path | None,
    ledger_location: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Read a board's fuses and show every burn that securing it would take.

    Nothing is burned, written or generated. With --json one document.
    """
    from evtool.cli.ledger_option import existing_ledger
    from evtool.cli.options import open_project
    from evtool.cli.security_options import plan_document, plan_lines, secured_board
    from evtool.errors import ConfigError
    from evtool.provision.security.kept_keys import flash_key_name
    from evtool.provision.security.plan import plan_security

    output = Output(as_json)
    wish, _ = WishOptions(**values).read()
    try:
        project = open_project(project_path)
    except ConfigError:
        if project_path is not None:
            raise
        project = None  # a board can be looked at without a project
    board = secured_board(output, serial_port, chip, 0)
    try:
        output.say("reading the fuses")
        facts = board.connect(115_200)
        state = board.with_fuses(lambda fuses: fuses.read())
        board.restart()
    finally:
        board.close()
    with existing_ledger(ledger_location, project) as ledger:
        kept = ledger is not None and ledger.get_sealed(flash_key_name(state.mac)) is not None
    plan = plan_security(state, wish, revision=facts.revision, key=None, kept=kept)
    lines = plan_lines(plan, facts)
    if plan.burns:
        lines.append(f"  to do it: evtool provision security apply --irreversible {plan.mac} ...")
    output.result("\n".join(lines), plan_document(plan, facts) | {"key_kept": kept})
