# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program as a board: hardware lines on fd 3, console on stdin and stdout."""

from __future__ import annotations

import select
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evtool.link.app_process import AppProcess

IDENTITY = {
    "cp_id": "CP-0001",
    "vendor": "ACME",
    "model": "DC-30",
    "serial": "SN-1",
    "csms_url": "ws://csms.example:9000/ocpp",
    "auth_key": b"abcdefghijklmnopqrst".hex(),
    "wifi_ssid": "site",
    "wifi_pass": "correct horse",
    "id_tag": "LOCAL",
}
PERMITTED = "ocpp connected=1 transaction=1 permitted=1 limit_ma=-"
REFUSED = "ocpp connected=1 transaction=1 permitted=0 limit_ma=-"
DEADLINE_S = 60.0


class BoardUnderTest:
    """A running program: what it said, and the vehicle and module that talk to it."""

    def __init__(self, program: Path) -> None:
        self.process = AppProcess(program.read_bytes(), {})
        self.lines: list[str] = []
        self.console = b""
        self.ended = False

    def send(self, *lines: str) -> None:
        for line in lines:
            assert self.process.send(line)

    def provision(self, identity: dict[str, str]) -> None:
        self.send("nvs evcfg schema u8 01", "nvs evcfg sec_profile u8 01")
        for key, value in identity.items():
            self.send(f"nvs evcfg {key} str {value.encode().hex()}")

    def boot(self) -> None:
        self.send(
            "nvs evstate energy_mwh u64 " + struct.pack("<Q", 123_456).hex(),
            "boot reset=power_on",
            "bus 0 running",
        )

    def vehicle_and_module(self) -> None:
        """72 V and 30 A are asked for; the module is off, silent current, 25 degrees."""
        self.send(
            "can 0 1806E5F4 x d 8 02D0012C00000000",
            "can 0 0681827E x d 8 00800000000061A8",
            "can 0 0681817E x d 8 0032000100000000",
        )

    def state(self) -> dict[str, str]:
        for line in reversed(self.lines):
            if line.startswith("state "):
                return dict(field.split("=", 1) for field in line.split(" ")[1:])
        return {}

    def pump(self) -> None:
        watched = [self.process.console_descriptor, self.process.hardware_descriptor]
        select.select(watched, [], [], 0.05)
        self.console += self.process.read_console() or b""
        lines = self.process.read_lines()
        if lines is None:
            self.ended = True
        else:
            self.lines += lines

    def until(self, holds: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
        """Let it run until something holds; `each` is what the world does again and again."""
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, (self.lines[-20:], self.console[-2000:])
            assert not self.ended, (self.lines[-20:], self.console[-2000:])
            each()
            self.pump()

    def until_console(self, text: str) -> None:
        self.until(lambda: text.encode() in self.console, self.vehicle_and_module)


@pytest.fixture
def board(program: Path) -> Iterator[BoardUnderTest]:
    board = BoardUnderTest(program)
    yield board
    board.process.stop()


@pytest.fixture
def booted(board: BoardUnderTest) -> BoardUnderTest:
    board.provision(IDENTITY)
    board.boot()
    board.until(lambda: bool(board.state()))
    return board


def test_boot_tells_the_identity_and_what_it_runs(booted: BoardUnderTest) -> None:
    assert booted.lines[0] == "runs -"
    boot = "[event] boot version=9.8.7 build=cafe0001 charge_point=CP-0001 reset=power_on\r\n"
    booted.until(lambda: boot.encode() in booted.console)
    assert "identity" not in booted.console.decode()
    assert booted.state()["energy_mwh"] == "123456"
    assert "correct horse" not in booted.console.decode()


def test_frames_in_become_state_out(booted: BoardUnderTest) -> None:
    assert booted.state()["plugged"] == "0"
    booted.send("can 0 1806E5F4 x d 8 02D0012C00000000")
    booted.until(lambda: booted.state()["plugged"] == "1")
    assert booted.state()["requested_mv"] == "72000"
    assert booted.state()["requested_ma"] == "30000"


def test_only_ocpp_opens_the_gate_and_it_shuts_when_the_word_is_gone(
    booted: BoardUnderTest,
) -> None:
    booted.until(lambda: booted.state()["gate"] != "no_vehicle", booted.vehicle_and_module)
    booted.until(
        lambda: booted.state()["gate"] in {"permission_stale", "not_permitted"},
        booted.vehicle_and_module,
    )
    assert booted.state()["energised"] == "0"
    assert not any(on_command(line) for line in booted.lines)

    booted.send(PERMITTED)
    booted.until(lambda: booted.state()["energised"] == "1", booted.vehicle_and_module)
    booted.until(lambda: any(map(on_command, booted.lines)), booted.vehicle_and_module)

    booted.lines.clear()
    booted.send(REFUSED)
    booted.until(
        lambda: bool(booted.state()) and booted.state()["energised"] == "0",
        booted.vehicle_and_module,
    )
    assert any(map(off_command, booted.lines))


def test_a_word_that_is_not_repeated_is_believed_no_longer(booted: BoardUnderTest) -> None:
    booted.until(lambda: booted.state()["plugged"] == "1", booted.vehicle_and_module)
    booted.send(PERMITTED)
    booted.until(lambda: booted.state()["energised"] == "1", booted.vehicle_and_module)
    booted.until(lambda: booted.state()["energised"] == "0", booted.vehicle_and_module)
    assert booted.state()["gate"] == "permission_stale"


def test_a_report_stores_first_and_then_says_the_state(booted: BoardUnderTest) -> None:
    def charge() -> None:
        booted.vehicle_and_module()
        booted.send("can 0 00433F01 x d 8 4290000041F00000")

    def after(refusals: int) -> list[str]:
        """What was stored and said after so many malformed lines; nothing before they are told."""
        told = [n for n, line in enumerate(booted.lines) if line.startswith("malformed ")]
        rest = booted.lines[told[refusals - 1] :] if len(told) >= refusals else []
        return [line for line in rest if line.startswith(("malformed ", "store ", "state "))]

    booted.until(lambda: int(booted.state()["energy_mwh"]) > 123_456, charge)
    assert booted.state()["stored_mwh"] == "123456"
    # The first answer says that all frames have been taken. What is sent at once is taken at
    # once, so that what follows the second is the report's.
    booted.send("nonsense")
    booted.until(lambda: bool(after(1)))
    booted.send("nonsense\nreport transaction")
    booted.until(lambda: len(after(2)) >= 3)
    _, stored, said = after(2)[:3]
    assert stored.startswith("store energy_mwh ")
    assert said.startswith("state ")
    assert f"stored_mwh={stored.split(' ')[2]}" in said.split(" ")


def test_keys_choose_views_and_start_asks_ocpp(booted: BoardUnderTest) -> None:
    booted.until(lambda: booted.state()["gate"] != "no_vehicle", booted.vehicle_and_module)
    booted.process.type(b"5")
    for record in ("[bms] v=72.00V", "[power_module] ", "[output] ", "[terminal] "):
        booted.until_console(record)
    booted.send("ocpp connected=1 transaction=0 permitted=0 limit_ma=-")
    booted.until(lambda: booted.state()["connected"] == "1", booted.vehicle_and_module)
    booted.process.type(b"0s")
    booted.until(lambda: "ocpp start LOCAL" in booted.lines, booted.vehicle_and_module)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "can 0 1806E5F4 x d 9 00",
        "can 7 1806E5F4 x d 0 -",
        "nvs evcfg cp_id str 41",
        "boot reset=again",
        "ws open",
        "key 31",
        "tick",
        "ocpp connected=1",
        "\x00\x01\xff",
        "x" * 70_000,
    ],
    ids=lambda line: line[:24] or "empty",
)
def test_a_malformed_line_is_reported_and_survived(booted: BoardUnderTest, line: str) -> None:
    booted.send(line)
    booted.until(lambda: any(said.startswith("malformed ") for said in booted.lines))
    booted.send("can 0 1806E5F4 x d 8 02D0012C00000000")
    booted.until(lambda: booted.state()["plugged"] == "1")


@pytest.mark.parametrize(
    "line",
    [
        "tick",
        "bus 0 running",
        "nvs",
        "nvs evcfg cp_id",
        "nvs evcfg cp_id str 4",
        "nvs evcfg cp_id str zz",
        "nvs evcfg schema u8 0102",
        "nvs evcfg schema float 01",
        "nvs evcfg a_key_of_16_byte u8 01",
        "boot reset",
    ],
)
def test_a_malformed_line_before_boot_is_reported_and_survived(
    board: BoardUnderTest, line: str
) -> None:
    board.provision(IDENTITY)
    board.send(line)
    board.until(lambda: any(said.startswith("malformed ") for said in board.lines))
    board.boot()
    board.until(lambda: bool(board.state()))
    assert "identity field=" not in board.console.decode()


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("cp_id", None, "missing"),
        ("cp_id", "has blank", "1_to_48_printable_without_blank_or_:=/()<>"),
        ("cp_id", "a:b", "1_to_48_printable_without_blank_or_:=/()<>"),
        ("vendor", "v" * 21, "1_to_20_printable"),
        ("model", "naïve", "1_to_20_printable"),
        ("serial", "s" * 26, "at_most_25_printable"),
        ("csms_url", "http://csms.example", "ws://_or_wss://host[:port][/path]"),
        ("csms_url", "ws://csms.example:99999/", "ws://_or_wss://host[:port][/path]"),
        ("csms_url", "ws://user@csms.example/", "ws://_or_wss://host[:port][/path]"),
        ("auth_key", None, "32_to_40_hex_digits"),
        ("auth_key", "ab" * 15, "32_to_40_hex_digits"),
        ("auth_key", "xy" * 20, "32_to_40_hex_digits"),
        ("wifi_ssid", "s" * 33, "1_to_32_bytes"),
        ("wifi_pass", "seven77", "8_to_63_printable_or_64_hex_digits"),
        ("wifi_pass", "g" * 64, "8_to_63_printable_or_64_hex_digits"),
        ("id_tag", "t" * 21, "at_most_20_printable"),
    ],
)
def test_what_is_wrong_with_an_identity_is_named_and_the_module_stays_off(
    board: BoardUnderTest, key: str, value: str | None, rule: str
) -> None:
    identity = {**IDENTITY, key: value or ""}
    if value is None:
        del identity[key]
    board.provision(identity)
    board.boot()
    board.until_console(f"[event] identity field={key} rule={rule}\r\n")
    assert board.console.count(b"[event] identity ") == 1
    if value is not None:
        assert value.encode() not in board.console.replace(b"charge_point=" + value.encode(), b"")
    assert board.state()["energised"] == "0"


def test_tls_wants_the_certificate_of_its_authority(board: BoardUnderTest) -> None:
    board.provision({**IDENTITY, "csms_url": "wss://csms.example/ocpp"})
    board.boot()
    board.until_console("[event] identity field=ca_cert rule=needed_for_wss://\r\n")


CHAIN = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
CLIENT_KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n"
MUTUAL = {
    **IDENTITY,
    **{"csms_url": "wss://csms.example/ocpp", "ca_cert": CHAIN},
    **{"client_cert": CHAIN, "client_key": CLIENT_KEY},
}
NO_CHAIN, NO_KEY = "profile_3_needs_a_PEM_chain", "profile_3_needs_a_PEM_key_not_encrypted"


def of_profile(board: BoardUnderTest, profile: int, identity: dict[str, str]) -> None:
    board.provision(identity)
    board.send(f"nvs evcfg sec_profile u8 {profile:02x}")
    board.boot()
    board.until(lambda: bool(board.state()))


@pytest.mark.parametrize("changes", [{}, {"auth_key": ""}], ids=["with_key", "without"])
def test_profile_3_needs_no_authorization_key(
    board: BoardUnderTest, changes: dict[str, str]
) -> None:
    of_profile(board, 3, MUTUAL | changes)
    assert b"[event] identity " not in board.console
    assert b"MIGHAgEAMBMG" not in board.console


@pytest.mark.parametrize(
    ("profile", "changes", "rules"),
    [
        (3, {"client_cert": ""}, {"client_cert": NO_CHAIN}),
        (3, {"client_cert": CLIENT_KEY}, {"client_cert": NO_CHAIN}),
        (3, {"client_key": ""}, {"client_key": NO_KEY}),
        (3, {"client_key": CHAIN}, {"client_key": NO_KEY}),
        (3, {"client_key": CLIENT_KEY.replace("PRIV", "ENCRYPTED PRIV")}, {"client_key": NO_KEY}),
        (
            3,
            {"client_key": CLIENT_KEY.replace("MIG", "Proc-Type: 4,ENCRYPTED\n\nMIG")},
            {"client_key": NO_KEY},
        ),
        (3, {"ca_cert": ""}, {"ca_cert": "needed_for_wss://"}),
        (3, {"csms_url": "ws://csms.example/ocpp"}, {"csms_url": "profiles_2_and_3_need_wss://"}),
        (2, {"csms_url": "ws://csms.example/ocpp"}, {"csms_url": "profiles_2_and_3_need_wss://"}),
        (4, {}, {"sec_profile": "0_to_3"}),
    ],
)
def test_profile_3_fails_closed_where_a_part_is_missing(
    board: BoardUnderTest, profile: int, changes: dict[str, str], rules: dict[str, str]
) -> None:
    of_profile(board, profile, MUTUAL | changes)
    for key, rule in rules.items():
        board.until_console(f"[event] identity field={key} rule={rule}\r\n")
    assert board.console.count(b"[event] identity ") == len(rules)
    assert b"MIGHAgEAMBMG" not in board.console
    assert board.state()["energised"] == "0"


def test_an_empty_flash_is_named_key_by_key(board: BoardUnderTest) -> None:
    board.boot()
    for key in ("schema", "cp_id", "vendor", "model", "serial", "csms_url", "wifi_ssid"):
        board.until_console(f"[event] identity field={key} rule=missing\r\n")
    assert b"charge_point=-" in board.console


def test_power_off_ends_it(booted: BoardUnderTest) -> None:
    booted.process._hardware.shutdown(1)  # what a board's side that went away looks like
    deadline = time.monotonic() + DEADLINE_S
    while not select.select([booted.process.exit_descriptor], [], [], 0.05)[0]:
        assert time.monotonic() < deadline
    assert booted.process.stop() == 0
    # The fixture stops it once more; give it something to stop.
    booted.process = AppProcess(Path("/bin/true").read_bytes(), {})


def test_the_command_line(program: Path) -> None:
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert version.stdout == "9.8.7 build cafe0001 microocpp -\n"
    usage = subprocess.run([program, "--help"], capture_output=True, check=True, timeout=60)
    assert b"--lockstep" in usage.stdout
    for arguments in ([], ["--bored"], ["--board", "extra"]):
        wrong = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)
        assert wrong.returncode == 2
        assert wrong.stderr.startswith(b"usage: ")
    alone = subprocess.run([program, "--board"], capture_output=True, check=False, timeout=60)
    assert alone.returncode == 2
    assert b"file descriptor 3 is not a stream socket" in alone.stderr


def on_command(line: str) -> bool:
    return line.startswith("can 0 068181FE x d 8 01320000")


def off_command(line: str) -> bool:
    return line.startswith("can 0 068181FE x d 8 01320001")
