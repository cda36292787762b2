# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor coredump`: the core dump that waits in a board's flash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.errors import CheckFailed, ConfigError, ToolError
from evtool.protocol import core_dump
from evtool.protocol.can_frame import Malformed

if TYPE_CHECKING:
    from evtool.cli.monitor_panic import ElfDecoder
    from evtool.monitor.panic.dump_report import DumpReport
    from evtool.monitor.panic.which_elf import ElfFile
    from evtool.protocol.core_dump import CoreDump


@click.command("coredump", epilog=EXIT_CODES)
@click.option(
    "--serial-port",
    metavar="PORT",
    help="The board; reading its flash resets it, before and after.",
)
@click.option(
    "--image",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="FILE",
    help="A dump that was saved before, instead of a board's.",
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the dump. It holds the tasks' stacks: nobody else may read the file.",
)
@click.option(
    "--elf",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="FILE",
    help="The program's ELF file, or a folder of them (default: the project's builds).",
)
@click.option(
    "--full", is_flag=True, help="Espressif's own report as well; needs the toolchain's gdb."
)
@project_option
@json_option
def command(
    serial_port: str | None,
    image: Path | None,
    save: Path | None,
    elf: tuple[Path, ...],
    full: bool,
    project_path: Path | None,
    as_json: bool,
) -> None:
    """Read a board's core dump: which task crashed, and where every task was.

    The board's table says where its partition is. Addresses become lines of source only with
    the ELF file whose SHA-256 the dump names. Exit code 1 where no dump waits, or a damaged one.

    Reading the flash resets the board: what it was doing, a charge too, ends.
    """
    if (serial_port is None) == (image is None):
        raise click.UsageError("name a board with --serial-port, or a saved dump with --image")
    output = Output(as_json)
    if save is not None and not save.absolute().parent.is_dir():
        raise ConfigError(  # before a board is reset for it
            f"--save {save}: there is no folder {save.absolute().parent}",
            fix="make the folder, or name another file",
        )
    if image is not None:
        source, data = str(image), image.read_bytes()
    else:
        source = str(serial_port)
        data = _read_board(output, source)
    dump = core_dump.decode(data)
    if isinstance(dump, Malformed):
        raise CheckFailed(
            f"{source}: the core dump is damaged: {dump.reason}",
            fix="it may have been cut off while it was written; the next crash writes another",
        )
    if dump is None:
        raise CheckFailed(
            f"{source}: no core dump waits",
            fix="the firmware says so at its start: [event] resets ... core_dump=kept",
        )
    if save is not None:
        from evtool.link.files import write_atomically

        write_atomically(save, dump.image, 0o600)
        output.say(f"kept {len(dump.image)} bytes in {save}")
    _report(output, dump, elf, project_path, full=full)


def _read_board(output: Output, serial_port: str) -> bytes:
    from evtool.cli.board_access import open_board
    from evtool.provision.plan import read_partitions

    board = open_board(output, serial_port, "auto", 460_800)
    output.say("reading the partition table")
    partitions, _ = read_partitions(board)
    found = next((each for each in partitions if each.subtype_name == "coredump"), None)
    if found is None:
        raise ConfigError(
            f"{serial_port}: the board's partition table has no partition for core dumps",
            fix="add one of type data, subtype coredump (firmware/partitions.csv has it)",
        )
    head, _ = board.read(found.offset, core_dump.HEADER_SIZE)
    total = core_dump.length(head, found.size)
    if total is None or isinstance(total, Malformed):
        return head if total is None else head.ljust(found.size, b"\xff")
    output.say(f"reading {total} bytes of {found.name}")
    return board.read(found.offset, total)[0]


def _report(
    output: Output,
    dump: CoreDump,
    named: tuple[Path, ...],
    project_path: Path | None,
    *,
    full: bool,
) -> None:
    from evtool.cli.monitor_panic import ElfDecoder, elf_paths, project_of, tool_folders
    from evtool.cli.monitor_secrets import known_secrets
    from evtool.monitor.redact import mask_document, text_mask

    project = project_of(project_path)
    folders = tool_folders(project)
    decoder = ElfDecoder(elf_paths(named, project), [str(folder) for folder in folders])
    try:
        report, elf = _decoded(decoder, dump)
    finally:
        decoder.close()
    text = "\n".join(report.lines())
    document = {"event": "core_dump"} | report.as_dict()
    if full:
        theirs = _full_report(dump, elf, report.reason, folders)
        text += f"\n\n{theirs}"
        document["full"] = theirs
    # A debugger shows the texts that it finds in the stacks.
    mask = text_mask(known_secrets(project_path))
    output.result(mask(text), mask_document(document, mask))


def _decoded(decoder: ElfDecoder, dump: CoreDump) -> tuple[DumpReport, ElfFile | None]:
    from evtool.cli.monitor_panic import Stack, frames_of
    from evtool.monitor.panic.dump_report import DumpReport
    from evtool.monitor.panic.which_elf import Identity

    if not dump.elf_sha256.strip("0"):
        reason = (
            "the dump does not say which program it is of "
            "(PlatformIO leaves the ELF file's SHA-256 empty; `evtool build` fills it in)"
        )
        return DumpReport(dump, "", reason, {}), None
    choice = decoder.choose(dump.elf_sha256, Identity())
    if choice.elf is None:
        return DumpReport(dump, "", choice.reason, {}), None
    addresses = dict.fromkeys(each for task in dump.tasks for each in task.addresses)
    stacks = []
    if dump.machine == core_dump.RISCV:
        stacks = [
            Stack(
                task.registers[0], dict(enumerate(task.registers[1:32], 1)), dump.memory
            ).as_dict()
            for task in dump.tasks
        ]
    answer = decoder.places(choice.elf, list(addresses), stacks)
    if "error" in answer:
        return DumpReport(dump, "", answer["error"], {}), None
    elf = choice.elf
    ways = [tuple(way) for way in answer["ways"]]
    if ways:
        tasks = tuple(
            replace(task, addresses=way or task.addresses)
            for task, way in zip(dump.tasks, ways, strict=True)
        )
        dump = replace(dump, tasks=tasks)
    return DumpReport(dump, str(elf.path), choice.reason, frames_of(answer), answer["note"]), elf


def _full_report(dump: CoreDump, elf: ElfFile | None, reason: str, folders: list[Path]) -> str:
    from evtool.link.core_dump_tool import full_report
    from evtool.link.panic_tools import find_tool

    if elf is None:
        raise ConfigError(f"no full report: {reason}", fix="name the ELF file with --elf")
    gdb = find_tool(elf.machine, "gdb", folders)
    if gdb is None:
        raise ToolError(
            f"no full report: there is no gdb for {elf.machine.removeprefix('EM_').lower()}",
            fix="install PlatformIO's package tool-xtensa-esp-elf-gdb or tool-riscv32-esp-elf-gdb",
        )
    return full_report(dump.image, elf.path, dump.chip, gdb)
