# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor` against other terminals, in one run on one machine: processor time, bytes lost,
time from the line to the screen. `python -m benchmarks.monitors [SECONDS [RATE ...]]`.

Each watches the same lines at the same rate, in a pseudo-terminal of its own which a reader
drains. Processor time is the tool's, user and system, all its threads and children; the console's
and the reader's do not count.
"""

from __future__ import annotations

import array
import os
import pty
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RATES = {"115200 baud": 11_520, "921600 baud": 92_160, "2000000 baud": 200_000, "1 MB/s": 1_000_000}
SETTLE_S = 0.7
MOST_START_S = 15.0
SECONDS = 4.0
# Of a line of the board: what evtool says of a panic repeats one.
_MARK = re.compile(rb"^(?!-- )[^\n]*#(\d+);", re.MULTILINE)

# idf-monitor sets DTR and RTS, which a pseudo-terminal has not.
WITHOUT_LINES = """import runpy, serial
for line in ("dtr", "rts"):
    setattr(serial.Serial, f"_update_{line}_state", lambda port: None)
runpy.run_module("esp_idf_monitor", run_name="__main__", alter_sys=True)
"""

Command = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One tool at one rate.

    Attributes:
        core: share of a core that it took.
        lost: lines of those written that did not come out.
        lines: lines that were written.
        latency_ms: the median from writing a line to seeing its end.
    """

    core: float
    lost: int
    lines: int
    latency_ms: float


def tools(folder: Path) -> dict[str, Command]:
    """The tools that are here, by name: ours, and those that are installed."""
    python = sys.executable

    def ours(port: str, baud: int) -> list[str]:
        return [
            *(python, "-m", "evtool", "monitor", "--serial-port", port, "--baudrate", str(baud)),
            *("--raw", "--timestamps", "iso"),
            *("--project", str(folder / "unit" / "evtool.toml")),
        ]

    found: dict[str, Command] = {
        "evtool": ours,
        # Every record read and written, and every line looked at for the board's time.
        "evtool --jsonl": lambda port, baud: [
            *ours(port, baud),
            *("--jsonl", str(folder / f"records-{baud}.jsonl")),
        ],
        "plain reader": lambda port, baud: [python, str(HERE / "plain_reader.py"), port],
        "miniterm": lambda port, baud: [
            *(python, "-m", "serial.tools.miniterm", "--raw", port, str(baud))
        ],
        "pio": lambda port, baud: [
            *(python, "-m", "platformio", "device", "monitor", "--raw", "-f", "time"),
            *("-p", port, "-b", str(baud)),
        ],
        "idf-monitor": lambda port, baud: [
            *(python, "-c", WITHOUT_LINES, "-p", port, "-b", str(baud), "--timestamps"),
            *("--no-reset", "--disable-address-decoding", "--target", "esp32"),
        ],
    }
    if shutil.which("picocom"):
        found["picocom"] = lambda port, baud: ["picocom", "-q", "-b", str(baud), port]
    if shutil.which("tio"):
        found["tio"] = lambda port, baud: ["tio", "-t", "-b", str(baud), port]
    return found


def cpu_ns(pid: int) -> int:
    """Processor time of a process: of its threads to the nanosecond, of ended children too."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return total + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def measure(
    folder: Path,
    command: Command,
    rate: int,
    seconds: float,
    *,
    ports: int = 1,
    texts: str = "log",
) -> Seen:
    """Run a tool at a console of so many bytes a second."""
    times = folder / "times"
    program = [sys.executable, str(HERE / "paced_console.py")]
    console = subprocess.Popen(
        [*program, str(rate), str(ports), str(seconds), str(times), texts],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert console.stdin is not None
    assert console.stdout is not None
    names = console.stdout.readline().split()
    baud = {11_520: 115_200, 92_160: 921_600, 200_000: 2_000_000}.get(rate, 3_000_000)
    pid, screen = pty.fork()
    if pid == 0:
        argv = command(" ".join(names), baud)
        os.environ["TERM"] = "xterm"
        os.execvp(argv[0], argv)  # noqa: S606  the tool that is measured
    try:
        settle(pid, screen)
        console.stdin.write("go\n")
        console.stdin.flush()
        start, used = time.monotonic(), cpu_ns(pid)
        chunks = drain(screen, seconds + 0.6)
        core = (cpu_ns(pid) - used) / 1e9 / (time.monotonic() - start)
        written = [each.split(":") for each in console.stdout.readline().split()]
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(screen)
        console.kill()
        console.communicate()
    # The line that the time was over in is no whole one.
    lines = sum(int(each[0]) - 1 for each in written)
    seen, latency_ms = read_marks(chunks, array.array("q", times.read_bytes()))
    return Seen(core, lines - seen, lines, latency_ms)


def settle(pid: int, screen: int) -> None:
    """Wait until a tool has started: it takes no processor time any more."""
    deadline = time.monotonic() + MOST_START_S
    before = -1
    while time.monotonic() < deadline:
        drain(screen, SETTLE_S)
        now = cpu_ns(pid)
        if now - before < 2_000_000:
            return
        before = now


def drain(screen: int, seconds: float) -> list[tuple[int, bytes]]:
    """What comes to a screen within `seconds`, with the time of each piece."""
    chunks = []
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([screen], [], [], left)[0]:
            try:
                chunks.append((time.monotonic_ns(), os.read(screen, 65_536)))
            except OSError:
                break
    return chunks


def read_marks(chunks: Sequence[tuple[int, bytes]], times: Sequence[int]) -> tuple[int, float]:
    """How many whole lines came, and their median latency in milliseconds.

    Args:
        times: when the end of each line was written.
    """
    data = b"".join(chunk for _, chunk in chunks)
    ends = []
    size = 0
    for at_ns, chunk in chunks:
        size += len(chunk)
        ends.append((size, at_ns))
    latencies = []
    index = count = 0
    for match in _MARK.finditer(data):
        count += 1
        while ends[index][0] < match.end():
            index += 1
        latencies.append((ends[index][1] - times[int(match[1])]) / 1e6)
    return count, statistics.median(latencies) if latencies else float("inf")


def make_unit(folder: Path) -> None:
    """A project whose secrets are masked."""
    subprocess.run(
        [sys.executable, "-m", "evtool", "init", str(folder / "unit"), "--identity", "CP-0001"],
        check=True,
        capture_output=True,
    )
    secrets = folder / "unit" / ".evtool" / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        (secrets / f"secret-{number}").write_text(f"a secret of 20 char{number}\n")


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    rates = sys.argv[2:] or list(RATES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_unit(folder)
        for rate in rates:
            print_rate(rate, folder, seconds)
        print_flood(folder, seconds)
        print_sustained(folder, seconds * 15)
        several = measure(folder, several_ports(folder), RATES["115200 baud"], seconds, ports=32)
        say(f"32 ports at 115200 baud in one process: {several.core:.1%} of a core,")
        say(f"  {several.lost} of {several.lines} lines lost, {several.latency_ms:.1f} ms")


def print_flood(folder: Path, seconds: float) -> None:
    """Backtraces without a pause, beside as many bytes of plain text."""
    ours = tools(folder)["evtool"]
    rate = RATES["2000000 baud"]
    plain = measure(folder, ours, rate, seconds)
    flood = measure(folder, ours, rate, seconds, texts="backtraces")
    say(f"backtraces at 2000000 baud: {flood.core:.2%} of a core, {flood.core / plain.core:.2f} of")
    say(f"  a log's {plain.core:.2%}, {flood.lost} of {flood.lines} lines lost")


def print_sustained(folder: Path, seconds: float) -> None:
    """3,000,000 baud with the tables and a log: what of it the log holds."""
    log = folder / "sustained.log"
    seen = measure(
        folder,
        lambda port, baud: [
            *(sys.executable, "-m", "evtool", "monitor", "--serial-port", port),
            *("--baudrate", str(baud), "--view", "all", "--log", str(log)),
            *("--project", str(folder / "unit" / "evtool.toml")),
        ],
        300_000,
        seconds,
    )
    lost = seen.lines - len(_MARK.findall(log.read_bytes()))
    say(f"3000000 baud for {seconds:g} s, tables and log: {seen.core:.1%} of a core,")
    say(f"  {lost} of {seen.lines} lines lost")


def several_ports(folder: Path) -> Command:
    """evtool at all ports of a console."""
    return lambda ports, baud: [
        *(sys.executable, "-m", "evtool", "monitor", "--baudrate", str(baud), "--raw"),
        *(word for port in ports.split() for word in ("--serial-port", port)),
        *("--timestamps", "iso", "--log", str(folder / "ports.log")),
        *("--project", str(folder / "unit" / "evtool.toml")),
    ]


def print_rate(rate: str, folder: Path, seconds: float) -> None:
    """One table."""
    say(f"{rate}:")
    seen = {
        name: measure(folder, tool, RATES[rate], seconds) for name, tool in tools(folder).items()
    }
    ours = seen["evtool"].core
    for name, each in seen.items():
        say(
            f"  {name:14} {each.core:6.2%} of a core  evtool/it {ours / max(each.core, 1e-9):5.2f}"
            f"  lost {each.lost}/{each.lines}  latency {each.latency_ms:.1f} ms"
        )


def say(text: str) -> None:
    """Print."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
