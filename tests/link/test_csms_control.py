# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a user runs it: its control port and its files."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from csms_process import CONTROL, WAIT_S, Csms, csms, fetch
from csms_rig import BOOT, KEY, basic, station

from evtool.link import control_server, http_listener
from evtool.link.event_stream import EventStream


def test_the_api_does_what_stdin_does(tmp_path: Path) -> None:
    stations = tmp_path / "stations.json"
    stations.write_text(json.dumps({"stations": {"CP": {"key": KEY.decode(), "profile": 1}}}))
    stations.chmod(0o600)

    async def main(running: Csms) -> None:
        async with station(running.url(), basic("CP", KEY)) as peer:
            await peer.call("BootNotification", BOOT)
            await peer.call(
                "StatusNotification",
                {"connectorId": 1, "errorCode": "NoError", "status": "Charging"},
            )

            async def ask(*args: Any, **more: Any) -> tuple[int, Any]:
                return await asyncio.to_thread(running.ask, *args, **more)

            status, document = await ask("/api/stations")
            [found] = document["stations"]
            assert (status, found["statuses"]) == (200, {"1": "Charging"})
            status, document = await ask("/api/command", {"line": "reset CP Hard"})
            assert (status, document["payload"]) == (200, {"status": "Accepted"})
            assert (await peer.order())[3] == {"type": "Hard"}
            status, document = await ask("/api/stations/CP/call/ClearCache", {})
            assert (status, document["payload"]) == (200, {"status": "Accepted"})
            for path, body, expected in (
                ("/api/command", {"line": "nonsense"}, 400),
                ("/api/command", {"line": "reset CP-2"}, 409),
                ("/api/command", {"line": "set_charging_profile CP 1 /etc/hostname"}, 400),
                ("/api/command", {}, 400),
                ("/api/command", [], 400),
                ("/api/stations/CP/call/Reset", {"type": "x"}, 400),
                ("/api/nothing", {}, 404),
            ):
                status, document = await ask(path, body)
                assert (status, "error" in document) == (expected, True), (path, body, document)
            status, _ = await ask("/api/stations/CP/key", {"key": "A" * 20}, method="PUT")
            assert status == 200
        async with station(running.url(), basic("CP", b"A" * 20)) as peer:
            assert (await peer.call("Heartbeat", {}))[0] == 3

    with csms("--stations", stations, *CONTROL) as running:
        asyncio.run(main(running))
        status, events = running.ask("/api/events")
        assert status == 200
        assert {event["event"] for event in events["events"]} >= {"message", "connected"}
        assert "A" * 20 not in json.dumps(events)


def test_other_web_pages_cannot_use_it() -> None:
    with csms("--open", *CONTROL) as running:
        assert running.ask("/api/stations", Host="evil.example")[0] == 403
        request = urllib.request.Request(  # noqa: S310 - loopback
            running.ready["control_url"] + "/api/command",
            data=b'{"line": "stations"}',
            headers={"Content-Type": "text/plain"},
        )
        assert fetch(request)[0] == 415
        assert running.ask("/page.js")[0] == 200
        assert running.ask("/../../../etc/passwd")[0] == 404


def test_what_is_no_request_is_one_event() -> None:
    with csms("--open", *CONTROL) as running:
        for name in ("url", "control_url"):
            port = int(running.ready[name].rpartition(":")[2])
            for garbage in (
                b"\x16\x03\x01\r\n\r\n",
                b"GET / HTTP/1.1\r\nContent-Length: z\r\n\r\n",
            ):
                with socket.create_connection(("127.0.0.1", port), WAIT_S) as line:
                    line.sendall(garbage)
                    assert b" 400 " in line.recv(1000)
        status, document = running.ask("/api/events")
        assert status == 200
        names = [event["event"] for event in document["events"]]
        assert names == ["rejected", "rejected", "control_refused", "control_refused"]
        assert running.process.stderr is not None
        running.process.send_signal(signal.SIGTERM)
        _, error = running.process.communicate(timeout=WAIT_S)
        assert error == ""


def test_silent_watchers_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "REQUEST_TIMEOUT_S", 3)
    monkeypatch.setattr(control_server, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(control_server, "_BODY_S", 0.05)
    refused: list[str] = []

    async def obey(line: str) -> dict[str, object]:
        raise AssertionError(line)

    async def call(*_: object) -> dict[str, object]:
        raise AssertionError

    async def main() -> None:
        server = control_server.ControlServer(
            obey=obey,
            call=call,
            set_key=lambda *_: None,
            stream=EventStream(),
            page=tmp_path,
            token=None,
            refused=refused.append,
        )
        port = await server.listen("127.0.0.1", 0)
        async with asyncio.timeout(WAIT_S):
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, third = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            third.close()
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = "POST /api/command HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            writer.write(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
            assert b" 408 " in await reader.readline()
            writer.close()
        await server.close()
        assert refused == ["more than 2 connections", *["no request within 3 s"] * 2]

    asyncio.run(main())


def test_beyond_loopback_it_needs_a_token() -> None:
    with pytest.raises(AssertionError, match="a token is needed"):
        Csms("--open", "--control", "0.0.0.0:0")
    environment = {"TOKEN": "0123456789abcdef", "PATH": "/usr/bin:/bin"}
    with csms("--open", *CONTROL, "--control-token", "TOKEN", env=environment) as running:
        assert running.ask("/api/stations")[0] == 401
        assert running.ask("/api/stations", Authorization="Bearer wrong")[0] == 401
        assert running.ask("/api/stations", Authorization="Bearer \xff\xfe")[0] == 401
        assert running.ask("/api/stations", Authorization="Bearer 0123456789abcdef")[0] == 200
        assert running.ask("/")[0] == 200


def test_files_go_and_come_and_stay_in_their_folders(tmp_path: Path) -> None:
    firmware, uploads = tmp_path / "firmware", tmp_path / "uploads"
    firmware.mkdir()
    (firmware / "image.bin").write_bytes(b"image")
    (firmware / "link.bin").symlink_to("/etc/passwd")
    (tmp_path / "secret").write_text("hush")

    async def main(running: Csms) -> dict[str, str]:
        found = {}
        async with station(running.url()) as peer:
            peer.answers["UpdateFirmware"] = {}
            peer.answers["GetDiagnostics"] = {"fileName": "x"}
            for line in ("update_firmware CP image.bin", "get_diagnostics CP"):
                status, _ = await asyncio.to_thread(running.command, line)
                assert status == 200
                order = await peer.order()
                found[order[2]] = order[3]["location"]
            status, _ = await asyncio.to_thread(running.command, "update_firmware CP missing")
            assert status == 400
        return found

    options = ("--open", "--firmware", firmware, "--uploads", uploads, *CONTROL)
    with csms(*options) as running:
        urls = asyncio.run(main(running))
        assert fetch(urls["UpdateFirmware"]) == (200, b"image")
        base = running.ready["files_url"]
        for path in ("../secret", "%2e%2e%2fsecret", "link.bin", ".hidden", "", "a/../../secret"):
            assert fetch(f"{base}/firmware/{path}")[0] == 404, path
        for method in ("PUT", "POST"):
            put = urllib.request.Request(  # noqa: S310 - loopback
                urls["GetDiagnostics"], data=b"log", method=method
            )
            assert fetch(put)[0] == 201
        assert sorted(path.read_bytes() for path in uploads.glob("*.log")) == [b"log", b"log"]
        form = (
            b'--X\r\nContent-Disposition: form-data; name="f"; filename="form.log"\r\n\r\n'
            b"form\r\n--X--\r\n"
        )
        post = urllib.request.Request(  # noqa: S310 - loopback
            f"{base}/uploads/",
            data=form,
            headers={"Content-Type": "multipart/form-data; boundary=X"},
        )
        assert fetch(post)[0] == 201
        assert (uploads / "form.log").read_bytes() == b"form"
        for name in ("..%2fsecret", ".gitignore", "a%00b", "x" * 200):
            put = urllib.request.Request(  # noqa: S310 - loopback
                f"{base}/uploads/{name}", data=b"bad", method="PUT"
            )
            assert fetch(put)[0] in (400, 404), name
        assert (tmp_path / "secret").read_text() == "hush"
        assert b"bad" not in {path.read_bytes() for path in uploads.iterdir()}
    assert all(path.stat().st_mode & 0o077 == 0 for path in uploads.glob("*.log"))


def test_a_lab_is_made_on_the_spot(tmp_path: Path) -> None:
    stations = tmp_path / "stations.toml"
    stations.write_text("[stations.CP]\nprofile = 3\n")
    stations.chmod(0o600)
    lab = tmp_path / "lab"

    async def main(url: str) -> None:
        tls = ssl.create_default_context(cafile=lab / "ca.pem")
        tls.load_cert_chain(lab / "clients" / "CP.pem", lab / "clients" / "CP.key")
        for host in ("127.0.0.1", "localhost"):
            async with station(url.replace("127.0.0.1", host) + "/CP", None, tls) as peer:
                assert (await peer.call("BootNotification", BOOT))[2]["status"] == "Accepted"
            assert peer.connection.close_code is not None

    options = ("--stations", stations, "--lab-ca", lab, "--cpo", "Operator")
    with csms(*options, "--listen", "off", "--listen-tls", "127.0.0.1:0") as running:
        assert "url" not in running.ready
        asyncio.run(main(running.ready["tls_url"]))


def test_it_says_goodbye() -> None:
    async def main(running: Csms) -> None:
        async with station(running.url()) as peer:
            await peer.call("Heartbeat", {})
            running.process.send_signal(signal.SIGTERM)
            await peer.closed()
            assert peer.connection.close_code == 1001

    with csms("--open") as running:
        asyncio.run(main(running))
        assert running.process.wait(WAIT_S) == 0


SCRIPT = """
wait 30 connected CP
wait 30 received CP BootNotification
reset CP Soft
expect status=Accepted
"""


@pytest.mark.parametrize(("script", "code"), [(SCRIPT, 0), (SCRIPT + "expect status=Hm\n", 1)])
def test_a_script_passes_or_fails(tmp_path: Path, script: str, code: int) -> None:
    path = tmp_path / "script"
    path.write_text(script)

    async def main(running: Csms) -> None:
        async with station(running.url()) as peer:
            await peer.tell("BootNotification", BOOT)
            await peer.closed()

    log = tmp_path / "log.jsonl"
    running = Csms("--open", "--script", path, "--log", log)
    asyncio.run(main(running))
    out, error = running.process.communicate(timeout=WAIT_S)
    assert running.process.returncode == code, error
    assert ("script:6" in error or "script:6" in out) is (code == 1)
    assert ('"passed"' in out) is (code == 0)
    assert log.stat().st_mode & 0o077 == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"connected", "message"} <= {event["event"] for event in events}
    assert all("time" in event for event in events)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_ends_the_log_and_not_the_bench() -> None:
    async def main(running: Csms) -> None:
        for _ in range(2):
            async with station(running.url()) as peer:
                assert (await peer.call("BootNotification", BOOT))[2]["status"] == "Accepted"

    with csms("--open", "--log", "/dev/full") as running:
        asyncio.run(main(running))
        running.process.send_signal(signal.SIGTERM)
        out, error = running.process.communicate(timeout=WAIT_S)
        assert running.process.returncode == 1
        assert out.count("log_failed") == 1
        assert out.count('"connected"') == 2
        assert "Traceback" not in error
        assert error.count("cannot write the log /dev/full: No space left") == 1, "at the end"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--listen-tls", "127.0.0.1:0"), "needs a certificate"),
        (("--tls-key", "x"), "go together"),
        (("--id-tags", "/nowhere"), "nowhere"),
        (("--firmware", "/nowhere"), "no folder"),
        (("--profiles", "/nowhere"), "no folder"),
        (("--script", "/nowhere"), "nowhere"),
        (("--script", "/dev/null"), "no line to run"),
        (("--script", sys.executable), "not UTF-8 text"),
        (("--id-tags", sys.executable), "not UTF-8 text"),
        (("--listen", "off"), "no station a way in"),
        ((*CONTROL, "--control-token", "NO_SUCH_VARIABLE"), "no token"),
    ],
)
def test_wrong_options_are_told(options: tuple[str, ...], fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        Csms("--open", *options)
