# SPDX-License-Identifier: GPL-3.0-or-later
"""What `flash` and `provision` share: the board behind a port, and Ctrl-C in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.link.esptool import Esptool, Retry
    from evtool.project import Project
    from evtool.protocol.board_flash import FlashPart
    from evtool.protocol.partition_table import Partition
    from evtool.provision.identity import Identity


def open_board(output: Output, serial_port: str, chip: str, baudrate: int) -> Esptool:
    """The flash of the board at `serial_port`; the port is there, or this raises.

    Raises:
        DeviceError: naming the ports that there are.
    """
    from evtool.link.command import CommandRunner
    from evtool.link.esptool import Esptool

    def say_again(retry: Retry) -> None:
        output.say(f"once more at {retry.baudrate} baud: {retry.reason}")
        output.event("retry", reason=retry.reason, baudrate=retry.baudrate)

    board = Esptool(CommandRunner(), serial_port, chip=chip, baudrate=baudrate, on_retry=say_again)
    board.check_port()
    return board


@dataclass(slots=True)
class Aftermath:
    """In what state the board would be left if all ended now.

    Attributes:
        stopped: for people who press Ctrl-C.
        failed: for an error that does not say it itself; "" where nothing is to be said.
    """

    stopped: str = "nothing was written to the board"
    failed: str = ""


@contextmanager
def telling(output: Output, aftermath: Aftermath) -> Iterator[None]:
    """Where the work ends early, say in what state the board is left.

    The exit code of Ctrl-C or a signal stays what it is, that of an error its own.
    """
    from contextlib import suppress

    from evtool.errors import EvtoolError

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        output.event("interrupted", message=aftermath.stopped)
        with suppress(OSError):  # after SIGHUP there may be no terminal to say it on
            click.echo(f"\nevtool: {aftermath.stopped}", err=True)
        raise
    except (EvtoolError, OSError):
        if aftermath.failed:
            output.event("left_incomplete", message=aftermath.failed)
            output.say(f"note: {aftermath.failed}")
        raise


def identity_part(
    project: Project, partitions: tuple[Partition, ...], source: str, *, ask: bool
) -> tuple[FlashPart, Identity]:
    """The project's identity, and it as the image of the partition evcfg.

    Args:
        partitions: the table that it must fit.
        source: where the table was found, for messages.
        ask: whether a person may be asked for a secret.

    Raises:
        SecretMissing: a secret is not at hand.
        ConfigError: the identity breaks a rule.
    """
    from evtool.cli.identity_input import checked_identity
    from evtool.errors import SecretMissing
    from evtool.protocol.board_flash import FlashPart
    from evtool.provision.evcfg import evcfg_entries, evcfg_image, find_evcfg

    kinds = (project.wifi.passphrase.kind, project.csms.authorization_key.kind)
    if not ask and "prompt" in kinds:
        raise SecretMissing("a secret of it must be typed in", fix="ask for it with --with-evcfg")
    identity = checked_identity(project)
    partition = find_evcfg(partitions, source)
    entries = evcfg_entries(identity, project.can, project.limits)
    image = evcfg_image(entries, partition)
    return FlashPart(partition.name, partition.offset, image, secret=True), identity
