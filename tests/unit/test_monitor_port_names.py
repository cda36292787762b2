# SPDX-License-Identifier: GPL-3.0-or-later
"""What a port may be called on the command line, and which device that means, now and later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evtool.cli import flash_ports, monitor_ports
from evtool.cli.monitor_ports import NamedPorts, Search
from evtool.errors import ConfigError, DeviceError
from evtool.link.serial_line import SerialPort

USB0 = SerialPort("/dev/ttyUSB0", "CP2102", 0x10C4, 0xEA60, "A1", "1-2.1")
USB1 = SerialPort("/dev/ttyUSB1", "CP2102", 0x10C4, 0xEA60, "A2", "1-2.2")
JTAG = SerialPort("/dev/ttyACM0", "JTAG", 0x303A, 0x1001, "24:6F:28:AA:BB:CC", "1-3")

Plug = Callable[..., None]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Says which ports there are from now on."""

    def put(*ports: SerialPort) -> None:
        for module in (flash_ports, monitor_ports):
            monkeypatch.setattr(module, "find_serial_ports", lambda: list(ports))

    put(USB0, USB1, JTAG)
    return put


def named(*given: str) -> NamedPorts:
    return NamedPorts(given, Search(None, 0.1, reset=False, say=lambda text: None))


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("/dev/ttyS9", "/dev/ttyS9"),
        ("socket://host:4000", "socket://host:4000"),
        ("rfc2217://host:4000", "rfc2217://host:4000"),
        ("serial=A2", "/dev/ttyUSB1"),
        ("usb:A2", "/dev/ttyUSB1"),
        ("usb=303a:1001", "/dev/ttyACM0"),
        ("303A:1001", "/dev/ttyACM0"),
        ("location=1-2.1", "/dev/ttyUSB0"),
        ("path=/dev/ttyA*", "/dev/ttyACM0"),
        ("/dev/ttyACM?", "/dev/ttyACM0"),
    ],
)
def test_names(plug: Plug, name: str, device: str) -> None:
    ports = named(name)
    assert ports.names == [name]
    assert ports.find(name) == device


def test_a_pattern_that_means_several_watches_all_of_them(plug: Plug) -> None:
    assert named("10c4:ea60").names == ["/dev/ttyUSB0", "/dev/ttyUSB1"]
    assert named("10c4:ea60", "303a:*").names == ["/dev/ttyUSB0", "/dev/ttyUSB1", "303a:*"]


def test_two_names_of_one_device_are_one_port(plug: Plug, tmp_path: Path) -> None:
    assert named("serial=A1", "10c4:*").names == ["serial=A1", "/dev/ttyUSB1"]
    (tmp_path / "link").symlink_to(tmp_path / "device")
    (tmp_path / "device").touch()
    names = [str(tmp_path / name) for name in ("link", "device", "link")]
    assert named(*names).names == names[:1]


def test_a_board_is_found_again_under_another_device(plug: Plug) -> None:
    ports = named("serial=A1")
    plug(USB1)
    with pytest.raises(DeviceError, match=r"no serial port is serial=A1.*ttyUSB1"):
        ports.find("serial=A1")
    plug(USB1, USB0._replace(device="/dev/ttyUSB7"))
    assert ports.find("serial=A1") == "/dev/ttyUSB7"
    plug(USB0, USB1._replace(serial_number="A1"))
    with pytest.raises(DeviceError, match="means /dev/ttyUSB0, /dev/ttyUSB1"):
        ports.find("serial=A1")


def test_a_board_is_found_by_the_mac_that_the_ledger_has(
    plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_ports, "_mac_of", lambda identity, path: "24:6f:28:aa:bb:cc")
    ports = named("board=CP-0001")
    plug(JTAG._replace(device="/dev/ttyACM5"))
    assert ports.find("board=CP-0001") == "/dev/ttyACM5"


def test_no_rack_is_reset_to_find_one_board(
    plug: Plug, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listened: list[Sequence[str]] = []

    def listen(_identity: str, devices: Sequence[str], _search: Search) -> str:
        listened.append(devices)
        return devices[0]

    monkeypatch.setattr(monitor_ports, "_listen", listen)
    search = Search(tmp_path / "none.toml", 1.0, True, lambda _text: None)
    monkeypatch.setattr(monitor_ports, "_mac_of", lambda identity, path: None)
    with pytest.raises(ConfigError, match="--reset would reset the boards at all"):
        NamedPorts(["board=CP-0001"], search)
    assert listened == []
    NamedPorts(["board=CP-0001@usb=10c4:*"], search)
    assert listened == [["/dev/ttyUSB0", "/dev/ttyUSB1"]]


@pytest.mark.parametrize(
    "name", ["usb=10c4", "serial=", "board=", "board=CP-1@", "socket://host", "http://host:80"]
)
def test_names_that_can_mean_nothing(plug: Plug, name: str) -> None:
    with pytest.raises(ConfigError):
        named(name)


@pytest.mark.parametrize("name", ["serial=B", "usb=dead:beef", "board=CP-1@/dev/none*"])
def test_names_that_mean_nothing_now(plug: Plug, name: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no serial port is"):
        named(name)
