# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point --count N`: the fleet as a process, against our central system."""

from __future__ import annotations

import asyncio
import json
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from cryptography import x509

from evtool.cli.load_options import LoadOptions
from evtool.errors import ConfigError
from evtool.link import open_files
from evtool.link.tls import server_tls
from evtool.link.websocket import WebSocket, start_server

WAIT_S = 60
KEY = "0123456789abcdef0123456789abcdef01234567"

Events = list[dict[str, Any]]


def fleet(url: str, pattern: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "evtool", "sim", "charge-point", url, pattern, *options, "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str], say: str = "") -> tuple[int, Events, str]:
    """The exit code, the events and the error; at the end of stdin alone it does not end."""
    out, error = process.communicate(say, timeout=WAIT_S)
    return process.returncode, [json.loads(line) for line in out.splitlines()], error


def only(events: Events, name: str) -> dict[str, Any]:
    [event] = [each for each in events if each.get("event") == name]
    return event


class Csms:
    """`evtool sim csms` as a process."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evtool", "sim", "csms", "--listen", "127.0.0.1:0", *options,
             "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        # It would stand still as soon as nobody read what it tells.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.seen: Events = []
        ready = self.next()
        self.url = f"ws://127.0.0.1:{ready['port']}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def next(self) -> dict[str, Any]:
        """The next event."""
        event: dict[str, Any] = json.loads(self._lines.get(timeout=WAIT_S))
        self.seen.append(event)
        return event

    def wait_until(self, count: Callable[[list[tuple[str, str]]], int], enough: int) -> None:
        """Until so many of something are among the Calls that it received."""
        while count(actions(self.seen)) < enough:
            self.next()

    def close(self) -> Events:
        """All that it has seen."""
        assert self.process.stdin is not None
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        while line := self._lines.get(timeout=WAIT_S):
            self.seen.append(json.loads(line))
        self.end()
        return self.seen

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def csms(*options: str) -> Iterator[Csms]:
    running = Csms(*options)
    try:
        yield running
    finally:
        running.end()


def actions(events: Events) -> list[tuple[str, str]]:
    """(station, action) of the Calls that the central system received."""
    return [
        (each["station"], each["action"])
        for each in events
        if (each.get("direction"), each.get("type")) == ("received", "call")
    ]


def test_a_fleet_charges_for_a_while_and_ends_in_order() -> None:
    with csms("--open") as central:
        running = fleet(
            central.url, "CP-{n:03}", "--count", "20", "--connect-rate", "200",
            "--heartbeat", "300", "--charging", "100", "--meter-interval", "1",
        )  # fmt: skip
        central.wait_until(
            lambda seen: len({who for who, what in seen if what == "MeterValues"}), 20
        )
        code, events, error = result(running, "quit\n")
        seen = actions(central.close())
    summary = only(events, "summary")
    assert summary["errors"] == {}
    assert (code, error) == (0, "")
    assert summary["undone"] == 0
    assert summary["transactions"] == 20
    assert summary["connections"] == {"opened": 20, "closed": 20}
    for action in ("BootNotification", "StartTransaction", "StopTransaction"):
        assert sorted(who for who, what in seen if what == action) == [
            f"CP-{number:03}" for number in range(1, 21)
        ]
        counts = summary["calls"][action]
        assert counts["sent"] == counts["answered"] == 20
        assert 0 < counts["latency_ms"]["p50"] <= counts["latency_ms"]["max"]
    assert summary["calls"]["MeterValues"]["answered"] >= 20
    progress = [each for each in events if each["event"] == "progress"]
    # The last one may be told while they leave.
    assert {"connected": 20, "charging": 20}.items() <= max(
        progress, key=lambda each: each["charging"]
    ).items()


def test_ctrl_c_ends_the_transactions_first() -> None:
    with csms("--open") as central:
        running = fleet(central.url, "CP-{n}", "--count", "5", "--charging", "100")
        central.wait_until(lambda seen: sum(what == "StartTransaction" for _, what in seen), 5)
        running.send_signal(signal.SIGINT)
        code, events, error = result(running)
        seen = actions(central.close())
    assert code == 130, error
    assert only(events, "summary")["undone"] == 0
    assert sum(what == "StopTransaction" for _, what in seen) == 5


def test_each_has_its_key_of_the_list_and_a_wrong_one_is_counted(tmp_path: Path) -> None:
    known, ours = tmp_path / "known.toml", tmp_path / "ours.toml"
    known.write_text(f'[stations]\nCP-1 = "{KEY}"\nCP-2 = "{KEY}"\n')
    ours.write_text(f'[stations]\nCP-1 = "{KEY}"\nCP-2 = "{KEY[::-1]}"\n')
    for path in (known, ours):
        path.chmod(0o600)
    with csms("--stations", str(known)) as central:
        running = fleet(central.url, "CP-{n}", "--count", "2", "--stations", str(ours))
        central.wait_until(len, 1)
        # The second time it has heard of the first.
        while sum(each["event"] == "rejected" for each in central.seen) < 2:
            central.next()
        code, events, error = result(running, "quit\n")
    assert code == 1
    assert "HTTP 401" in error
    assert KEY not in error
    summary = only(events, "summary")
    assert summary["connections"]["opened"] == 1
    assert list(summary["errors"]) == ["connect: URL refused the connection: HTTP 401"]
    code, _, error = result(
        fleet(central.url, "CP-{n}", "--count", "3", "--stations", str(ours), "--duration", "1")
    )
    assert code == 2
    assert "no key for CP-3" in error


def test_without_a_central_system_it_says_so() -> None:
    code, events, error = result(
        fleet("ws://127.0.0.1:9", "CP-{n}", "--count", "2", "--duration", "0.5")
    )
    assert code == 3
    assert "no connection could be opened" in error
    assert only(events, "summary")["connections"]["opened"] == 0


def options(count: int) -> LoadOptions:
    return LoadOptions(count, 1, None, None, 0, 1, 0, "TAG", None)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("CP-{n}", ["CP-1", "CP-2"]),
        ("{n:04}-x", ["0001-x", "0002-x"]),
        ("{n:3}", ["001", "002"]),
        ("{n.__class__}-{n}", ["{n.__class__}-1", "{n.__class__}-2"]),
    ],
)
def test_identities_are_numbered(pattern: str, names: list[str]) -> None:
    assert options(2).identities(pattern) == names


def test_one_name_for_all_is_refused() -> None:
    assert options(1).identities("CP") == ["CP"]
    with pytest.raises(ConfigError, match="all 2 charge points would have this name"):
        options(2).identities("CP")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--count", "2", "--plain"], "--plain is not of a load test"),
        (["--count", "2", "--storage", "x"], "--storage is not of a load test"),
        (["--count", "2", "--program", "x"], "--program is not of a load test"),
        (["--count", "2", "--power", "360"], "--power is not of a load test"),
        (["--count", "2", "--serial", "1"], "--serial is not of a load test"),
        (["--storage", "x", "--meter-interval", "60"], "--meter-interval is of a load test"),
        (["--storage", "x", "--client-key", "k"], "--client-key is of a load test"),
        (
            ["--storage", "x", "--program", "p", "--revoked", "r"],
            "--revoked is of the charge point",
        ),
        (["--storage", "x", "--revoked", "/dev/null"], "--revoked /dev/null: no revocation list"),
        (["--storage", "x", "--revoked", "/nowhere/x"], "--revoked /nowhere/x: cannot be read"),
        (["--count", "2", "--client-key", "k{n}"], "--client-key without --client-certificate"),
        (["--count", "2", "--client-certificate", "c"], "all 2 charge points would show the same"),
        (["--count", "2", "--client-certificate", "c{n}"], "over wss:// only"),
    ],
)
def test_options_that_would_be_ignored_are_refused(given: list[str], said: str) -> None:
    code, _, error = result(fleet("ws://127.0.0.1:9", "CP-{n}", *given))
    assert code == 2, error
    assert said in error


def test_each_shows_its_own_certificate(tmp_path: Path) -> None:
    begin = datetime.now(UTC) - timedelta(days=1)
    authority = Authority(begin, days=30)
    (tmp_path / "ca.pem").write_bytes(authority.root.pem())
    server = authority.issue("localhost", begin, days=30).write(tmp_path / "server.pem")
    seen: list[str] = []
    for number in (1, 2):
        issued = authority.issue(f"CP-{number}", begin, days=30)
        issued.write(tmp_path / f"cp{number:03}.pem").chmod(0o600)

    async def talk(path: str, socket: WebSocket) -> None:
        shown = socket.peer_certificate
        assert shown is not None
        seen.append(path + " " + x509.load_der_x509_certificate(shown).subject.rfc4514_string())
        while True:
            await socket.recv()

    async def main() -> None:
        tls = server_tls(server, client_ca=tmp_path / "ca.pem")
        listening = await start_server(
            "localhost", 0, "ocpp1.6", lambda _, __: None, talk, tls=tls, ping_interval_s=0
        )
        process = fleet(
            f"wss://localhost:{listening.port}", "CP-{n}", "--count", "2",
            "--ca-certificate", str(tmp_path / "ca.pem"),
            "--client-certificate", str(tmp_path / "cp{n:3}.pem"),
        )  # fmt: skip
        try:
            async with asyncio.timeout(WAIT_S):
                while len(seen) < 2:
                    await asyncio.sleep(0.02)
        finally:
            process.kill()
            process.communicate()
        await listening.close()

    asyncio.run(main())
    assert sorted(seen) == ["/CP-1 CN=CP-1", "/CP-2 CN=CP-2"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cp1.pem").write_text("x")
    (tmp_path / "cp1.pem").chmod(0o644)
    names = ["--client-certificate", str(tmp_path / "cp{n}.pem")]
    code, _, error = result(fleet("wss://localhost:9", "CP-{n}", "--count", "1", *names))
    assert code == 2
    assert "can be read by others" in error
    (tmp_path / "cp1.pem").chmod(0o600)
    code, _, error = result(fleet("wss://localhost:9", "CP-{n}", "--count", "2", *names))
    assert code == 2
    assert "cp2.pem: No such file" in error


def test_the_limit_of_open_files_is_raised_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    limits = {"now": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: raised.append(wanted))
    open_files.allow_open_sockets(100)
    assert raised == []
    open_files.allow_open_sockets(2000)
    assert raised == [(2064, 4096)]
    with pytest.raises(ConfigError, match="10000 connections need 10064 open files"):
        open_files.allow_open_sockets(10_000)
    limits["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    open_files.allow_open_sockets(10_000)
    assert len(raised) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, resource.RLIM_INFINITY), (65_536, resource.RLIM_INFINITY)),
        ((100_000, 200_000), (100_000, 200_000)),
        ((4096, 4096), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_a_central_system_may_open_what_the_system_lets_it(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: tuple[int, int] | None
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: raised.append(wanted))
    open_files.allow_many_sockets()
    assert raised == ([] if after is None else [after])
