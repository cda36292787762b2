# SPDX-License-Identifier: GPL-3.0-or-later
"""Help is fast because it imports next to nothing (figures: `make bench`)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from evtool.cli.bundle import COMMANDS as BUNDLE_COMMANDS
from evtool.cli.group import COMMANDS
from evtool.cli.provision import COMMANDS as PROVISION_COMMANDS
from evtool.cli.provision_fleet import COMMANDS as FLEET_COMMANDS
from evtool.cli.provision_nvs import COMMANDS as NVS_COMMANDS
from evtool.cli.provision_secrets import COMMANDS as SECRETS_COMMANDS
from evtool.cli.sim import COMMANDS as SIM_COMMANDS

# Everything that takes long to import and that no help text needs.
HEAVY = {
    "asyncio", "can", "cantools", "cryptography", "esptool", "jinja2", "ocpp", "platformio",
    "rich", "serial", "subprocess", "websockets", "picows", "jsonschema",
    "jsonschema_rs", "msgspec", "keyring", "sqlalchemy",
}  # fmt: skip
SCRIPT = """
import contextlib, io, json, sys
sys.argv = ["evtool", *sys.argv[1:]]
from evtool.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    try:
        main()
    except SystemExit as end:
        code = end.code
print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def modules_after(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code, modules = json.loads(done.stdout)
    assert code == 0
    return set(modules)


def test_the_help_of_all_commands_needs_not_even_click() -> None:
    assert not modules_after("--help") & (HEAVY | {"click"})
    assert not modules_after("--version") & (HEAVY | {"click"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    assert not modules_after(name, "--help") & HEAVY


@pytest.mark.parametrize("name", SIM_COMMANDS)
def test_the_help_of_a_simulator_imports_nothing_heavy(name: str) -> None:
    assert not modules_after("sim", name, "--help") & HEAVY


@pytest.mark.parametrize("name", BUNDLE_COMMANDS)
def test_the_help_of_a_bundle_command_imports_nothing_heavy(name: str) -> None:
    assert not modules_after("bundle", name, "--help") & HEAVY


@pytest.mark.parametrize(
    "path",
    [
        *((name,) for name in PROVISION_COMMANDS),
        *(("nvs", name) for name in NVS_COMMANDS),
        *(("fleet", name) for name in FLEET_COMMANDS),
        *(("secrets", name) for name in SECRETS_COMMANDS),
    ],
)
def test_the_help_of_a_provision_command_imports_nothing_heavy(path: tuple[str, ...]) -> None:
    assert not modules_after("provision", *path, "--help") & HEAVY


def test_doctor_looks_at_packages_without_importing_them() -> None:
    """How it stays below a second; PlatformIO reads its own files, and pyserial lists ports."""
    not_needed = HEAVY - {"platformio", "serial", "subprocess"}
    assert not modules_after("doctor", "--json") & not_needed
