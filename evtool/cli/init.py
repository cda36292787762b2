# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool init DIR`: evtool.toml and a copy of the firmware to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.errors import ConfigError, EvtoolError

# What a build leaves in a firmware folder, and what must never travel from one to another.
_NOT_COPIED = (".pio", "build", "secrets.h", "__pycache__", ".vscode", "compile_commands.json")
# .secrets.h.*: what a `codegen` that was killed while it wrote secrets.h leaves behind.
_GIT_IGNORED = "secrets.h\n.secrets.h.*\n.evtool/\n.pio/\n/build/\n__pycache__/\n"


class _Directory(click.Path):
    """A folder's name. An empty one, of a script's unset variable, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty; the current folder is `.`", param, ctx)
        return super().convert(value, param, ctx)


@click.command("init", epilog=EXIT_CODES)
@click.argument("directory", type=_Directory(file_okay=False, path_type=Path))
@click.option("--identity", default="CP-0001", show_default=True, help="OCPP identity.")
@click.option("--vendor", default="Example", show_default=True, help="Vendor name.")
@click.option("--model", default="EV-CAN-1", show_default=True, help="Model name.")
@click.option("--serial-number", default="SN-0001", show_default=True, help="Serial number.")
@click.option("--ssid", default="bench", show_default=True, help="Wi-Fi network.")
@click.option(
    "--csms-url",
    default="ws://127.0.0.1:9000/ocpp",
    show_default=True,
    help="CSMS, without the identity.",
)
@click.option(
    "--environment",
    type=click.Choice(["esp32dev", "esp32dev_lab", "host"]),
    default="esp32dev",
    show_default=True,
    help="What `evtool build` builds.",
)
@json_option
def command(
    directory: Path,
    as_json: bool,
    **values: str,
) -> None:
    """Lay out a project in DIRECTORY: evtool.toml and a firmware to edit.

    DIRECTORY is made if it does not exist; nothing that stands in it is overwritten. Next:
    edit evtool.toml, then `evtool codegen` and `evtool build`.
    """
    _refuse_what_is_no_text(values)
    _refuse_what_breaks_a_rule(values)
    made = _lay_out(directory, values)
    output = Output(as_json)
    lines = [f"made {path}" for path in made]
    lines.append(f"next: edit {directory / 'evtool.toml'}, then run `evtool codegen` there")
    output.result(
        "\n".join(lines), {"directory": str(directory.absolute()), "made": [str(p) for p in made]}
    )


def _refuse_what_is_no_text(values: dict[str, str]) -> None:
    for name, value in values.items():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{option}: not UTF-8 text, and evtool.toml is UTF-8",
                fix="write it in UTF-8, or edit evtool.toml afterwards",
            ) from error


def _refuse_what_breaks_a_rule(values: dict[str, str]) -> None:
    """The rules that `evtool codegen` and `evtool provision` would name later."""
    from datetime import UTC, datetime

    from evtool.project import ChargePoint, Secret
    from evtool.provision.identity import IdentityInput, judge_identity

    unit = IdentityInput(
        charge_point=ChargePoint(
            values["identity"], values["vendor"], values["model"], values["serial_number"], "LOCAL"
        ),
        wifi_ssid=values["ssid"],
        # What init does not ask for stands here for one that is right.
        wifi_passphrase=Secret("0" * 8),
        csms_url=values["csms_url"],
        authorization_key=Secret("0" * 20),
        security_profile=1,
        ca_certificate=None,
    )
    options = {("csms", "url"): "--csms-url"} | {
        (table, key): "--" + key.replace("_", "-")
        for table, key in (
            *(("charge_point", key) for key in ("identity", "vendor", "model", "serial_number")),
            ("wifi", "ssid"),
        )
    }
    problems = [
        f"{options[table, key]}: {rule}"
        for table, key, rule in judge_identity(unit, now=datetime.now(UTC)).problems
        if (table, key) in options
    ]
    if problems:
        raise ConfigError("\n".join(problems), fix="mend what is named above; nothing was made")


def _lay_out(directory: Path, values: dict[str, str]) -> list[Path]:
    import shutil
    import tempfile

    from evtool.link.files import write_atomically
    from evtool.resources import firmware_dir

    targets = [directory / name for name in ("firmware", ".gitignore", "evtool.toml")]
    for target in targets:
        if target.name != ".gitignore":
            _refuse_to_overwrite(target)
    settings = _render_settings(values)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Made under another name and renamed when all of it stands: a run cut short, by a full
        # disk say, leaves nothing in the way of the next one.
        with tempfile.TemporaryDirectory(prefix=".evtool-init-", dir=directory) as folder:
            scratch = Path(folder)
            shutil.copytree(
                firmware_dir(),
                scratch / "firmware",
                ignore=shutil.ignore_patterns(*_NOT_COPIED),
                copy_function=_copy,
            )
            write_atomically(scratch / ".gitignore", _GIT_IGNORED)
            write_atomically(scratch / "evtool.toml", settings)
            if targets[1].exists():
                del targets[1]
            _put_in_place(scratch, targets)
    except OSError as error:
        raise EvtoolError(
            f"cannot lay out {directory}: {error.strerror or error}",
            fix="check free space and permissions, then run the command again",
        ) from error
    return targets


def _refuse_to_overwrite(target: Path) -> None:
    if target.exists():
        raise ConfigError(
            f"{target} exists already; init overwrites nothing",
            fix="name another directory, or move that one away",
        )


def _copy(source: str, target: str) -> None:
    """Copy one file; the first that fails ends the whole copy, where copytree goes on."""
    import shutil

    try:
        shutil.copy2(source, target)
    except OSError as error:
        raise EvtoolError(
            f"cannot write {target}: {error.strerror or error}",
            fix="check free space and permissions, then run the command again",
        ) from error


def _put_in_place(scratch: Path, targets: list[Path]) -> None:
    """Rename each target out of `scratch`: all of them or, where one fails, none."""
    done: list[Path] = []
    try:
        for target in targets:
            _refuse_to_overwrite(target)  # another run may have been faster
            (scratch / target.name).rename(target)
            done.append(target)
    except BaseException:
        for target in done:
            target.rename(scratch / target.name)
        raise


def _render_settings(values: dict[str, str]) -> str:
    import json

    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from evtool.resources import templates_dir

    environment = Environment(  # noqa: S701  (the output is TOML, not HTML)
        loader=FileSystemLoader(templates_dir()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    # A JSON string is a TOML basic string once DEL is escaped too.
    environment.filters["toml_string"] = lambda text: json.dumps(text, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )
    return environment.get_template("evtool.toml.j2").render(values)
