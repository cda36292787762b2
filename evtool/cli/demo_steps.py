# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of `evtool demo`, and the summary of what they proved."""

from __future__ import annotations

import json
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from evtool.cli.output import Output
from evtool.errors import CheckFailed, ToolError
from evtool.link.background_process import BackgroundProcess
from evtool.link.command import CommandRunner
from evtool.link.files import write_atomically

IDENTITY = "CP-DEMO-1"
ID_TAG = "DRIVER-7"
_COMMAND_S = 240.0
_EVENT_S = 30.0
_ENERGY_WH = 2  # what four seconds at 2 kW must have moved the meter by at least

Document = dict[str, Any]


class Demo:
    """Everything that `evtool demo` does, in `folder`."""

    def __init__(self, folder: Path, microocpp: Path | None, output: Output) -> None:
        self._folder = folder
        self._project = folder / "charger"
        self._microocpp = microocpp
        self._output = output
        self._runner = CommandRunner()
        self._proved: list[tuple[str, str]] = []
        self._started = time.monotonic()

    def run(self) -> None:
        """Do it all.

        Raises:
            EvtoolError: the first thing that did not go as it must.
        """
        with ExitStack() as stack:
            csms_port = stack.enter_context(held_port())
            self._generate(csms_port)
            self._build()
            board, vehicle, csms = self._start(stack, csms_port)
            self._flash(board)
            self._provision(board)
            self._connect(board, csms)
            self._charge(board, vehicle, csms)
            self._unplug(board, vehicle, csms)
            self._corrupt(board)
        self._verify()
        self._summary()

    # The steps

    def _generate(self, csms_port: int) -> None:
        self._title("generate: a project, secrets.h and the CAN tables")
        url = f"ws://127.0.0.1:{csms_port}/ocpp"
        self._evtool(
            *("init", str(self._project), "--identity", IDENTITY, "--environment", "host"),
            *("--csms-url", url),
            cwd=self._folder,
        )
        self._adapt_settings()
        self._evtool("codegen")
        header = self._project / "firmware/include/secrets.h"
        mode = header.stat().st_mode & 0o777
        self._require(mode == 0o600, f"secrets.h has mode {mode:o}, not 600")
        self._evtool("codegen", "--check")
        self._prove("generate", "secrets.h is private (0600) and, like the CAN tables, fresh")

    def _adapt_settings(self) -> None:
        """The demo has nobody to ask: the passphrase is generated like the key."""
        settings = self._project / "evtool.toml"
        text = settings.read_text(encoding="utf-8")
        text = text.replace('{ env = "EVTOOL_WIFI_PASSPHRASE" }', "{ generate = true }")
        if self._microocpp is not None:
            folder = json.dumps(str(self._microocpp.absolute()))  # a TOML string as well
            text = text.replace("[build]\n", f"[build]\nmicroocpp = {folder}\n")
        write_atomically(settings, text)

    def _build(self) -> None:
        self._title("build: the firmware for this computer, by PlatformIO, with no registry")
        self._evtool("build", "--env", "host")
        image = self._project / "build/host/firmware.bin"
        manifest = json.loads((self._project / "build/host/manifest.json").read_text())
        self._prove(
            "build",
            f"firmware.bin, {image.stat().st_size:,} bytes, build {manifest['build_id']}",
        )

    def _start(
        self, stack: ExitStack, csms_port: int
    ) -> tuple[BackgroundProcess, BackgroundProcess, BackgroundProcess]:
        self._title("the bench: a CAN bus, a vehicle with a power module, a CSMS, a board")
        bus = self._background(stack, "bus", "sim", "bus", "--listen", "127.0.0.1:0")
        channel = bus.wait_for(_is("ready"), "ready", _EVENT_S)["can_channel"]
        vehicle = self._background(stack, "vehicle", "sim", "vehicle", "--can-channel", channel)
        csms = self._background(
            *(stack, "csms", "sim", "csms", "--listen", f"127.0.0.1:{csms_port}"),
            *("--project", str(self._project / "evtool.toml")),
        )
        board = self._background(
            *(stack, "board", "sim", "board", "--state-dir", str(self._folder / "board")),
            *("--can-channel", channel),
        )
        for process in (vehicle, csms, board):
            process.wait_for(_is("ready"), "ready", _EVENT_S)
        return board, vehicle, csms

    def _flash(self, board: BackgroundProcess) -> None:
        self._title("flash: by real esptool, onto a board that holds nothing")
        self._evtool("flash", "--serial-port", _port(board), "--no-evcfg")
        self._prove("flash", "boot loader, partition table and firmware written and verified")

    def _provision(self, board: BackgroundProcess) -> None:
        self._title("provision: the identity into the evcfg partition, and the board must say it")
        result = self._evtool("provision", "--serial-port", _port(board))
        self._require(result.get("identity") == IDENTITY, f"provision reported {result}")
        self._prove("provision", f"{IDENTITY} written, read back equal, said by the board at boot")

    def _connect(self, board: BackgroundProcess, csms: BackgroundProcess) -> None:
        self._title("connect: the board joins the CSMS over a WebSocket, with its key")
        by = board.wait_for(_is("ocpp"), "word on who speaks OCPP", _EVENT_S)["by"]
        answer = self._message(csms, "BootNotification", since=0, direction="sent")
        accepted = answer["payload"].get("status") == "Accepted"
        self._require(accepted, f"BootNotification was answered with {answer['payload']}")
        self._prove("connect", f"BootNotification accepted by the CSMS; OCPP by {by}")

    def _charge(
        self, board: BackgroundProcess, vehicle: BackgroundProcess, csms: BackgroundProcess
    ) -> None:
        self._title("charge: plug in, start and stop from the CSMS, watch the console")
        mark = csms.mark
        self._tell(vehicle, "plug_in")
        self._status(csms, "Preparing", mark)
        self._until_vehicle(vehicle, "module that is off", lambda s: s["output"] == "off")
        self._tell(csms, f"remote_start {IDENTITY} {ID_TAG}")
        start = self._message(csms, "StartTransaction", mark)
        self._until_vehicle(vehicle, "full current", lambda s: s["measured_ma"] > 29_000)
        self._monitor(board)
        mark_stop = csms.mark
        self._tell(csms, f"remote_stop {IDENTITY}")
        stop = self._message(csms, "StopTransaction", mark_stop)
        self._require(stop["payload"].get("reason") == "Remote", f"stopped as {stop['payload']}")
        self._until_vehicle(vehicle, "power off", lambda s: s["output"] == "off")
        charged_wh = stop["payload"]["meterStop"] - start["payload"]["meterStart"]
        self._require(charged_wh >= _ENERGY_WH, f"the meter counted {charged_wh} Wh")
        self._prove(
            "charge", f"off until the CSMS started it, {charged_wh} Wh, stopped by the CSMS"
        )

    def _monitor(self, board: BackgroundProcess) -> None:
        records = self._evtool_lines(
            *("monitor", "--serial-port", _port(board), "--view", "5", "--for", "4"), "--json"
        )
        names = {each.get("name") for each in records if each.get("event") == "record"}
        missing = {"bms", "power_module", "output", "terminal"} - names
        self._require(not missing, f"the console showed no {', '.join(sorted(missing))}")
        last = [each for each in records if each.get("name") == "terminal"][-1]["fields"]
        watts = (last.get("power_mw") or 0) // 1000
        self._require(watts > 0, f"the console shows no power: {last}")
        self._prove("monitor", f"views of BMS, module, output and terminal live; {watts} W flowing")

    def _unplug(
        self, board: BackgroundProcess, vehicle: BackgroundProcess, csms: BackgroundProcess
    ) -> None:
        self._title("unplug: the plug is pulled while current flows")
        mark = csms.mark
        self._tell(csms, f"remote_start {IDENTITY} {ID_TAG}")
        self._message(csms, "StartTransaction", mark)
        self._until_vehicle(vehicle, "energy flows", lambda s: s["measured_ma"] > 1_000)
        mark = csms.mark
        self._tell(vehicle, "plug_out")
        stop = self._message(csms, "StopTransaction", mark)
        reason = stop["payload"].get("reason")
        self._require(reason == "EVDisconnected", f"stopped as {stop['payload']}")
        self._until_vehicle(vehicle, "power off", lambda s: s["output"] == "off")
        self._status(csms, "Available", mark)
        self._prove("unplug", "power off, StopTransaction(EVDisconnected), connector Available")

    def _corrupt(self, board: BackgroundProcess) -> None:
        self._title("corrupt: one bit of the firmware flips in flash; then it is flashed again")
        mark = board.mark
        self._tell(board, "flip 0x20000 3")
        self._tell(board, "reset")
        board.wait_for(_is("boot_failed"), "boot loader's refusal", _EVENT_S, since=mark)
        mark = board.mark
        self._evtool("flash", "--serial-port", _port(board), "--no-evcfg")
        board.wait_for(_is("ocpp"), "firmware after flashing again", _EVENT_S, since=mark)
        self._prove("corrupt", "the boot loader refused the image; flashing again mended it")

    def _verify(self) -> None:
        self._title("verify: the firmware against the reference controller, step by step")
        lines = self._evtool_lines("verify", "--json")
        summary = next(each for each in lines if each.get("event") == "summary")
        self._prove(
            "verify",
            f"{summary['runs']} runs, {summary['steps']:,} steps: firmware and reference agree",
        )

    def _summary(self) -> None:
        seconds = time.monotonic() - self._started
        width = max(len(name) for name, _ in self._proved)
        lines = [f"  {name:{width}}  {what}" for name, what in self._proved]
        text = "\n".join(["", f"Proved in {seconds:.0f} s, on virtual hardware:", *lines])
        proved = [{"step": name, "proved": what} for name, what in self._proved]
        self._output.result(text, {"event": "summary", "proved": proved})

    # How they are done

    def _title(self, text: str) -> None:
        self._output.event("step", title=text)
        self._output.say(f"\n== {text}")

    def _prove(self, name: str, what: str) -> None:
        self._proved.append((name, what))
        self._output.event("proved", step=name, proved=what)
        self._output.say(f"   proved: {what}")

    def _require(self, holds: bool, complaint: str) -> None:
        if not holds:
            raise CheckFailed(f"demo: {complaint}", fix=f"the logs are in {self._folder}")

    def _evtool(self, *arguments: str, cwd: Path | None = None) -> Document:
        """Run one evtool command to its good end; returns the last JSON document it printed."""
        return self._evtool_lines(*arguments, "--json", cwd=cwd)[-1]

    def _evtool_lines(self, *arguments: str, cwd: Path | None = None) -> list[Document]:
        shown = [each for each in arguments if each != "--json"]
        self._output.say(f"$ evtool {shlex.join(shown)}")
        argv = [sys.executable, "-P", "-m", "evtool", *arguments]
        result = self._runner.run(argv, cwd=cwd or self._project, timeout_s=_COMMAND_S)
        with (self._folder / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"$ evtool {shlex.join(arguments)}\n{result.output}\n")
        if result.return_code != 0:
            raise ToolError(
                f"`evtool {arguments[0]}` failed in the demo",
                argv=["evtool", *shown],
                return_code=result.return_code,
                output=result.output,
            )
        documents = [each for line in result.output.splitlines() if (each := _json(line))]
        self._require(bool(documents), f"`evtool {shlex.join(arguments)}` printed no JSON")
        return documents

    def _background(self, stack: ExitStack, name: str, *arguments: str) -> BackgroundProcess:
        self._output.say(f"$ evtool {shlex.join(arguments)} &")
        argv = [sys.executable, "-P", "-m", "evtool", *arguments, "--json"]
        log = self._folder / f"{name}.log"
        return stack.enter_context(BackgroundProcess(f"sim {name}", argv, log))

    def _tell(self, process: BackgroundProcess, line: str) -> None:
        self._output.say(f"   {process.name}: {line}")
        process.send(line)

    def _message(
        self, csms: BackgroundProcess, action: str, since: int, direction: str = "received"
    ) -> Document:
        return csms.wait_for(
            lambda event: (
                event.get("event") == "message"
                and event.get("direction") == direction
                and event.get("action") == action
            ),
            action,
            _EVENT_S,
            since,
        )

    def _status(self, csms: BackgroundProcess, status: str, since: int) -> None:
        csms.wait_for(
            lambda event: (
                event.get("action") == "StatusNotification"
                and event["payload"].get("connectorId") == 1
                and event["payload"].get("status") == status
            ),
            f"StatusNotification({status})",
            _EVENT_S,
            since,
        )

    def _until_vehicle(self, vehicle: BackgroundProcess, what: str, holds: Any) -> None:
        deadline = time.monotonic() + _EVENT_S
        while True:
            mark = vehicle.mark
            vehicle.send("status")
            status = vehicle.wait_for(_is("status"), "status", _EVENT_S, since=mark)
            if holds(status):
                return
            self._require(time.monotonic() < deadline, f"no {what}: {status}")
            time.sleep(0.1)


def _is(name: str) -> Any:
    return lambda event: event.get("event") == name


def _port(board: BackgroundProcess) -> str:
    return str(board.wait_for(_is("ready"), "ready", _EVENT_S)["serial_port"])


def _json(line: str) -> Document | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


@contextmanager
def held_port() -> Iterator[int]:
    """The CSMS's port, which the project's URL names long before the CSMS listens.

    It is bound all the while, or anybody might be given it. That it may be used again lets the
    CSMS, which says so too, listen beside a socket that does not.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
