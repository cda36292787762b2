# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of a rack, the port that never waits for ever, and esptool's packets."""

from __future__ import annotations

import os
import pty
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import esptool.loader
import pytest
from esptool.loader import ESPLoader
from esptool.logger import log
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import LinkTimeout, Stopped
from evtool.link import esptool_packets
from evtool.link.boot_console import restarted_console
from evtool.link.deflated import Streams
from evtool.link.esptool_board import block_timeout_s, deadline_s
from evtool.link.esptool_log import listening
from evtool.link.esptool_packets import checksum, make_packets_cheap
from evtool.link.rack import Rack, Word
from evtool.link.watched_port import WatchedPort

_DEADLINE_S = 60


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _next(rack: Rack[str]) -> Word[str]:
    word = rack.next(_DEADLINE_S)
    assert word is not None
    return word


def test_a_thread_that_hangs_is_given_up_and_its_later_words_are_not_heard() -> None:
    gate, ended = threading.Event(), threading.Event()
    clock = Clock()

    def work(
        port: str, tell: Callable[[str, Mapping[str, object]], None], _stop: Callable[[], bool]
    ) -> str:
        if port == "hangs":
            tell("attempt", {"deadline_s": 100.0})
            assert gate.wait(_DEADLINE_S)
            tell("late", {})
            ended.set()
        return f"{port} done"

    rack: Rack[str] = Rack(work, clock)
    rack.start("hangs", 10.0)
    assert _next(rack).name == "attempt"
    rack.start("good", 10.0)
    assert _next(rack).result == "good done"
    clock.now_s = 90.0  # the first deadline is replaced by what it told
    assert rack.next(0) is None
    clock.now_s = 116.0
    word = _next(rack)
    assert (word.port, word.crash, word.result) == ("hangs", "given up", None)
    assert rack.running == ()
    gate.set()
    assert ended.wait(_DEADLINE_S)
    assert rack.next(0.01) is None


def test_a_bug_at_one_port_is_its_traceback_and_the_others_go_on() -> None:
    def work(port: str, _tell: Any, _stop: Callable[[], bool]) -> str:
        return port if port == "good" else str(1 // 0)

    rack: Rack[str] = Rack(work)
    rack.start("bad", 10.0)
    assert "ZeroDivisionError" in _next(rack).crash
    rack.start("good", 10.0)
    assert _next(rack).result == "good"


def test_at_a_stop_whoever_listens_ends_and_whoever_does_not_is_given_up() -> None:
    clock, gate = Clock(), threading.Event()

    def work(port: str, tell: Any, stop: Callable[[], bool]) -> str:
        tell("here", {})
        while port == "listens" and not stop():
            gate.wait(0.001)
        if port == "deaf":
            gate.wait(_DEADLINE_S)
        return "ended"

    rack: Rack[str] = Rack(work, clock)
    for port in ("listens", "deaf"):
        rack.start(port, 1000.0)
        assert _next(rack).name == "here"
    rack.stop()
    assert _next(rack).result == "ended"
    clock.now_s = 11.0
    assert _next(rack).crash == "given up"
    gate.set()


class MutePort:
    """A port of pyserial's at which nothing ever arrives."""

    name = "rfc2217://host:1"
    write_timeout: float | None = None
    baudrate = 115_200

    def __init__(self) -> None:
        self.settings: list[str] = []
        self.reads = 0

    def __setattr__(self, name: str, value: object) -> None:
        if name in {"timeout", "write_timeout", "baudrate"}:
            self.settings.append(name)
        super().__setattr__(name, value)

    in_waiting = 0

    def read(self, _size: int) -> bytes:
        self.reads += 1
        return b""

    def write(self, data: bytes) -> int:
        return len(data)


def test_a_port_has_an_end_to_every_wait_and_negotiates_nothing_for_it() -> None:
    stopping = False
    mute = MutePort()
    port = WatchedPort(mute, lambda: stopping)  # type: ignore[arg-type]  # a stand-in
    port.timeout = 0.01
    assert port.read(1) == b""
    assert port.read(0) == b""
    port.write_timeout = 10
    port.baudrate = 115_200
    assert mute.settings == []
    port.baudrate = 921_600
    assert mute.settings == ["baudrate"]
    port.timeout = None  # esptool's "for ever"
    port.deadline = 0.0
    with pytest.raises(LinkTimeout):
        port.read(1)
    with pytest.raises(LinkTimeout):
        port.write(b"x")
    stopping = True
    with pytest.raises(Stopped):
        port.read(1)


class LatePort(MutePort):
    """Looked at for too long: what was not there at first has come by the end."""

    looks = 0

    @property
    def in_waiting(self) -> int:  # type: ignore[override]  # a property of pyserial's, too
        self.looks += 1
        if self.looks == 1:
            time.sleep(0.05)
        return self.looks - 1

    def read(self, _size: int) -> bytes:
        return b"x"


def test_what_came_before_a_timeout_is_read_however_late_we_are() -> None:
    port = WatchedPort(LatePort(), lambda: False)  # type: ignore[arg-type]  # a stand-in
    port.timeout = 0.04
    assert port.read(1) == b"x"


def test_esptool_is_believed_only_as_far_as_it_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_packets_cheap()

    class Dear(esptool_packets._Unformatted):
        def __str__(self) -> str:
            return "".join(chr(each % 26 + 65) for each in range(20_000))

    original = type("Original", (Dear,), {})
    breaks: tuple[Callable[[], None], ...] = (
        lambda: monkeypatch.setattr(esptool_packets, "_Unformatted", Dear),
        lambda: monkeypatch.setattr(ESPLoader, "write", lambda _self, _packet: None),
        lambda: monkeypatch.delattr(ESPLoader, "flash_defl_block"),
    )
    for break_it in breaks:
        monkeypatch.setattr(esptool_packets, "_verdict", None)
        monkeypatch.setattr(esptool.loader, "HexFormatter", original)
        break_it()
        assert not make_packets_cheap()
        assert esptool.loader.HexFormatter is original
        monkeypatch.undo()
    monkeypatch.setattr(esptool_packets, "_verdict", None)
    monkeypatch.delattr(esptool.loader, "HexFormatter")
    assert not make_packets_cheap()


@given(st.binary(max_size=300), st.integers(0, 255))
def test_the_folded_checksum_is_the_loaders(data: bytes, state: int) -> None:
    assert checksum(data, state) == ESPLoader.checksum(data, state)
    assert checksum(data) == ESPLoader.checksum(data)


def test_what_esptool_says_is_heard_in_the_thread_that_it_is_said_in() -> None:
    heard: dict[str, list[str]] = {"a": [], "b": []}
    both = threading.Barrier(2, timeout=_DEADLINE_S)

    def talk(name: str) -> None:
        with listening(heard[name].append):
            for part in ("Connecting", "...", f"{name}\n"):
                both.wait()
                log.print(part, end="")
            log.warning(f"of {name}")
            log.print("the end", end="")

    threads = [threading.Thread(target=talk, args=(name,)) for name in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_DEADLINE_S)
    log.print("nobody listens")
    for name, lines in heard.items():
        assert lines == [f"Connecting...{name}", f"warning: of {name}", "the end"]


@given(st.integers(1, 5), st.binary(max_size=400))
def test_a_stream_becomes_the_image_again(block: int, data: bytes) -> None:
    streams = Streams()
    stream = streams.of(data * 3, block)
    joined = b"".join(stream.blocks)
    assert all(len(each) <= block for each in stream.blocks)
    assert (zlib.decompress(joined) if stream.deflated else joined) == data * 3
    assert sum(stream.plain) == len(data * 3)
    assert stream.size == len(joined)
    assert streams.of(data * 3, block) is stream


def test_every_wait_has_an_end_that_fits_its_work() -> None:
    assert block_timeout_s(0) >= 3
    assert block_timeout_s(1 << 20) > block_timeout_s(0x4000) > 5
    # A megabyte at 115200 baud takes 91 s on the wire.
    assert deadline_s(1 << 20, 115_200) > 91 * 2
    assert deadline_s(0, 115_200) == 60


def test_a_console_survives_a_port_that_blinks(tmp_path: Path) -> None:
    first, second = pty.openpty(), pty.openpty()
    link = tmp_path / "port"
    link.symlink_to(os.ttyname(first[1]))
    stopping = False
    with restarted_console(str(link), lambda: stopping) as console:
        os.write(first[0], b"rst:0x1\n")
        assert console.read(_DEADLINE_S) == b"rst:0x1\n"
        for descriptor in first:
            os.close(descriptor)
        assert console.read(_DEADLINE_S) == b""
        link.unlink()
        assert console.read(0.01) == b""
        link.symlink_to(os.ttyname(second[1]))
        os.write(second[0], b"[event] boot\n")
        assert console.read(_DEADLINE_S) == b"[event] boot\n"
        stopping = True
        with pytest.raises(Stopped):
            console.read(_DEADLINE_S)
    for descriptor in second:
        os.close(descriptor)
