# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test shares: the opt-in for hardware, and projects to work on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from once import Once

pytest_plugins = ["evtool.pytest_plugin", "ledger_rig"]

REPOSITORY = Path(__file__).resolve().parent.parent

# How long an example takes says how busy the machine is. A run tells what a change has broken, so
# its examples are always the same; `--hypothesis-profile=explore` looks for others.
settings.register_profile(
    "evtool",
    settings(),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("evtool"), derandomize=False)
settings.load_profile("evtool")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--serial-port", help="a real board, for tests marked hardware")
    parser.addoption("--can-channel", help="a real CAN bus, for tests marked hardware")


def pytest_configure() -> None:
    # What a shell starts with `&` ignores Ctrl-C, and what nohup starts the end of its terminal;
    # so would every program that a test starts. One with a handler has none when it starts.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor: half of the time a test waits for a program of its own."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return processors + min(processors, 8)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--serial-port") or config.getoption("--can-channel"):
        return
    skip = pytest.mark.skip(reason="needs a real board: give --serial-port or --can-channel")
    for item in items:
        if "hardware" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Makes what costs much in one of pytest's processes for all of them."""
    base = tmp_path_factory.getbasetemp()
    return Once(base if worker_id == "master" else base.parent)


@pytest.fixture(scope="session")
def session_gxx() -> str:
    """The C++ compiler; skips where there is none."""
    found = shutil.which("g++")
    if found is None:
        pytest.skip("needs g++ (Debian: apt-get install g++)")
    return found


@pytest.fixture
def gxx(session_gxx: str) -> str:
    """The same for a single test."""
    return session_gxx


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback on which nobody listens; it is held, so that nobody else gets it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(autouse=True)
def _own_signal_handlers() -> Iterator[None]:
    """A program that is called in a test's own process and stopped gives the next Ctrl-C to the
    system; whichever test comes next would end all that run in this process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_leaked_processes() -> Iterator[None]:
    """Fails a test that leaves a child process running."""
    yield
    try:
        child, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    if child == 0:
        leaked = _children()
        if leaked:
            pytest.fail("left running: " + "; ".join(leaked))


def _children() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if (
            int(stat.rsplit(")", 1)[1].split()[1]) == os.getpid()
            and "multiprocessing" not in command
        ):
            found.append(command or stat)
    return found
