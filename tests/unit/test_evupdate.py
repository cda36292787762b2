# SPDX-License-Identifier: GPL-3.0-or-later
"""The updater: which images it takes, when, and that nothing else ever becomes active."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from once import Once

from evtool.resources import firmware_dir

LIBRARIES = firmware_dir() / "lib"
HOUR_MS = 3_600_000

Run = Callable[..., list[dict[str, str]]]


def image(size: int = 5000, *, project: bytes = b"ours", chip: int = 0) -> bytes:
    """What looks like an application image for an ESP32, by its header."""
    header = bytes([0xE9, 1, 2, 0]) + bytes(8) + chip.to_bytes(2, "little") + bytes(10) + bytes(8)
    descriptor = (0xABCD5432).to_bytes(4, "little") + bytes(12) + bytes(32)
    head = header + descriptor + project.ljust(32, b"\0")
    return head + bytes(i * 7 % 251 for i in range(size - len(head)))


@pytest.fixture(scope="module")
def program(session_gxx: str, once: Once) -> Path:
    return once("evupdate", lambda folder: _build(session_gxx, folder)) / "program"


def _build(gxx: str, folder: Path) -> None:
    sources = [
        Path(__file__).with_name("evupdate_main.cpp"),
        *(LIBRARIES / "evupdate" / "src").glob("*.cpp"),
        LIBRARIES / "evnet" / "src" / "http_url.cpp",
    ]
    includes = [f"-I{LIBRARIES / name / 'include'}" for name in ("evupdate", "evnet")]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread"]
    flags += ["-fsanitize=undefined,address"]
    command = [gxx, *flags, *includes, *map(str, sources)]
    subprocess.run([*command, "-o", folder / "program"], check=True, timeout=110)


def answers(program: Path, commands: tuple[str, ...]) -> list[str]:
    done = subprocess.run(
        [program], input="\n".join(commands) + "\n", capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.fixture
def run(program: Path) -> Run:
    def run(*commands: str) -> list[dict[str, str]]:
        found = answers(program, commands)
        return [dict(word.split("=", 1) for word in _fields(line)) for line in found]

    return run


def _fields(line: str) -> list[str]:
    """`said` comes last and may hold blanks."""
    front, said = line.split(" said=", 1)
    return [*front.split(" "), f"said={said}"]


@pytest.fixture
def served(tmp_path: Path) -> Callable[[bytes], tuple[str, str]]:
    def served(content: bytes) -> tuple[str, str]:
        path = tmp_path / "image.bin"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return f"file {path}", f"http://files.example/fw.bin#sha256={digest}"

    return served


Served = Callable[[bytes], tuple[str, str]]


@pytest.mark.parametrize("chunk", [1, 287, 288, 289, 1000, 4096])
def test_a_good_image_is_downloaded_then_installed(run: Run, served: Served, chunk: int) -> None:
    file, location = served(image())
    *_, downloaded, _, installed = run(
        file, f"chunk {chunk}", f"download {location}", "steps 6000 10", "install", "steps 1 10"
    )
    assert downloaded["download"] == "done"
    assert downloaded["active"] == "0", "downloaded is not installed"
    assert downloaded["asked"] == "http://files.example:80/fw.bin", "the fragment stays here"
    assert (installed["install"], installed["active"], installed["same"]) == ("done", "1", "1")


@pytest.mark.parametrize(
    ("size", "chunk"), [(288, 100), (289, 288), (1024, 1024), (1025, 1024), (99999, 1000)]
)
def test_sizes_at_the_edges(run: Run, served: Served, size: int, chunk: int) -> None:
    file, location = served(image(size))
    *_, last = run(
        file, f"chunk {chunk}", f"download {location}", "steps 3000 1", "install", "steps 1 1"
    )
    assert (last["active"], last["same"]) == ("1", "1")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"\x00" + image()[1:], "application_image"),
        (image()[:1] + b"\x00" + image()[2:], "application_image"),
        (image()[:1] + b"\x11" + image()[2:], "application_image"),
        (image()[:287], "application_image"),
        (b"", "application_image"),
        (image(chip=9), "for_this_chip"),
        (image()[:32] + b"\xff" + image()[33:], "has_a_descriptor"),
        (image(project=b"theirs"), "of_this_project"),
        (image(project=b"our"), "of_this_project"),
        (image(100001), "fits_the_slot"),
    ],
)
def test_what_is_no_image_of_ours_is_refused(
    run: Run, served: Served, content: bytes, rule: str
) -> None:
    file, location = served(content)
    *_, last = run(file, f"download {location}", "steps 300 10", "install", "steps 5 10")
    assert (last["download"], last["install"], last["active"]) == ("failed", "failed", "0")
    *_, failed, _, _ = run(file, f"download {location}", "steps 300 10", "install", "steps 5 10")
    assert failed["said"] == f"downloading,failed rule={rule}"
    assert failed["begun"] == ("1" if rule == "fits_the_slot" else "0"), "the slot is untouched"


@pytest.mark.parametrize("at", [0, 200, 288, 4999])
def test_one_other_bit_anywhere_is_another_image(run: Run, served: Served, at: int) -> None:
    content = image()
    _, location = served(content)
    file, _ = served(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    *_, last = run(file, f"download {location}", "steps 300 10", "install", "steps 5 10")
    assert (last["download"], last["active"]) == ("failed", "0")


def test_a_slot_that_holds_something_else_by_then_is_not_started(run: Run, served: Served) -> None:
    file, location = served(image())
    *_, last = run(
        file, f"download {location}", "steps 300 10", "flip 4321", "install", "steps 5 10"
    )
    assert (last["download"], last["install"], last["active"]) == ("done", "failed", "0")


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("http://files.example/fw.bin", "ends_in_#sha256="),
        ("http://files.example/fw.bin#sha256=", "ends_in_#sha256="),
        ("http://files.example/fw.bin#sha256=" + "0" * 63, "ends_in_#sha256="),
        ("http://files.example/fw.bin#sha256=" + "0" * 65, "ends_in_#sha256="),
        ("http://files.example/fw.bin#sha256=" + "g" * 64, "ends_in_#sha256="),
        ("http://files.example/fw.bin#md5=" + "0" * 64, "ends_in_#sha256="),
        ("ftp://files.example/fw.bin#sha256=" + "0" * 64, "http_or_https"),
        ("http://u:p@files.example/fw.bin#sha256=" + "0" * 64, "http_or_https"),
        ("http://files.example:0/#sha256=" + "0" * 64, "http_or_https"),
        ("http://#sha256=" + "0" * 64, "http_or_https"),
        ("fw.bin", "http_or_https"),
    ],
)
def test_a_location_without_a_digest_is_not_asked(run: Run, location: str, rule: str) -> None:
    *_, last = run(f"download {location}", "steps 300 10")
    assert (last["download"], last["asked"], last["said"]) == ("failed", "-", f"failed rule={rule}")


def test_an_order_that_anybody_could_have_given_is_refused(run: Run, served: Served) -> None:
    file, location = served(image())
    *_, last = run("not_authentic", file, f"download {location}", "steps 300 10")
    assert (last["download"], last["asked"]) == ("failed", "-")
    assert last["said"] == "failed rule=ordered_over_wss"


def test_a_download_waits_for_the_charge_to_end(run: Run, served: Served) -> None:
    file, location = served(image())
    *_, waiting, _, done = run(
        file, "charging 1", f"download {location}", "steps 500 1000", "charging 0", "steps 300 10"
    )
    assert (waiting["download"], waiting["asked"]) == ("busy", "-")
    assert done["download"] == "done"


def test_nothing_is_written_or_installed_while_charging(run: Run, served: Served) -> None:
    file, location = served(image())
    *_, stopped = run(file, f"download {location}", "steps 3 10", "charging 1", "steps 300 10")
    assert (stopped["download"], stopped["same"]) == ("failed", "0")
    *_, refused = run(
        file, f"download {location}", "steps 300 10", "charging 1", "install", "steps 5 10"
    )
    assert (refused["install"], refused["active"]) == ("failed", "0")


def test_nothing_is_downloaded_during_a_trial(run: Run, served: Served) -> None:
    file, location = served(image())
    *_, last = run(file, "on_trial", f"download {location}", "steps 300 10")
    assert (last["download"], last["begun"]) == ("failed", "0")


@pytest.mark.parametrize(
    ("trouble", "rule"),
    [
        ("mode unreachable", "server_reachable"),
        ("mode 404", "server_answers_200_with_the_whole_file"),
        ("stops_at 4000", "server_answers_200_with_the_whole_file"),
        ("mode silent", "server_answers"),
        ("breaks_at 4000", "slot_can_be_written"),
        ("invalid", "valid_image"),
    ],
)
def test_trouble_ends_the_attempt_and_the_next_one_is_new(
    run: Run, served: Served, trouble: str, rule: str
) -> None:
    file, location = served(image())
    *_, failed, _, _, _, again = run(
        file, trouble, f"download {location}", "steps 300 1000",
        "mode ok", f"stops_at {10**9}", f"download {location}", "steps 300 1000",
    )  # fmt: skip
    assert failed["download"] == "failed"
    assert failed["said"].endswith(f"failed rule={rule}")
    mended = trouble.startswith(("mode", "stops_at"))
    assert again["download"] == ("done" if mended else "failed")


def test_a_trickle_does_not_go_on_for_ever(run: Run, served: Served) -> None:
    file, location = served(image())
    *_, last = run(file, "chunk 1", f"download {location}", "steps 4000 1000")
    assert last["said"] == "downloading,failed rule=downloaded_in_time"


def test_an_upload_is_tried_as_often_as_was_asked(run: Run) -> None:
    *_, early, late, never = run(
        "mode 404", "upload http://files.example/d/diagnostics.log 3 10000 text", "steps 10 100",
        "steps 100 100", "steps 1000 100",
    )  # fmt: skip
    assert [each["puts"] for each in (early, late, never)] == ["1", "2", "3"]
    assert [each["upload"] for each in (early, late, never)] == ["busy", "busy", "failed"]
    *_, done = run("upload https://files.example/d/log 1 0 text", "steps 10 100")
    assert (done["upload"], done["got"]) == ("done", "text")
    assert done["asked"] == "https://files.example:443/d/log"


def test_a_silent_server_fails_an_upload(run: Run) -> None:
    *_, last = run("mode silent", "upload http://files.example/ 1 0 text", "steps 700 100")
    assert last["upload"] == "failed"


@pytest.mark.parametrize(
    ("on_trial", "now_ms", "registered", "charging", "action"),
    [
        (0, HOUR_MS, 0, 0, "none"),
        (1, 0, 1, 0, "keep"),
        (1, 599_999, 0, 0, "none"),
        (1, 600_000, 0, 0, "give_up"),
        (1, 600_000, 1, 0, "keep"),
        (1, HOUR_MS, 0, 1, "none"),
    ],
)
def test_a_new_image_is_kept_once_the_csms_has_accepted_it(
    program: Path, on_trial: int, now_ms: int, registered: int, charging: int, action: str
) -> None:
    [said] = answers(program, (f"trial {on_trial} {now_ms} {registered} {charging}",))
    assert said == action


def test_a_trial_ends_well_with_the_acceptance(run: Run) -> None:
    *_, kept, _, told = run("on_trial", "registered", "steps 1 10", "told", "steps 1 10")
    assert (kept["kept"], kept["given_up"], kept["outcome"]) == ("1", "0", "2")
    assert (kept["told"], told["told"], told["outcome"]) == ("0", "1", "0")


def test_a_trial_without_it_is_given_up_when_nothing_charges(run: Run) -> None:
    *_, charging, _, idle = run(
        "on_trial", "charging 1", "steps 700 1000", "charging 0", "steps 1 10"
    )
    assert (charging["given_up"], idle["given_up"], idle["kept"]) == ("0", "1", "0")


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 1000])
@pytest.mark.parametrize("piece", [1, 64, 1000])
def test_the_digest_is_sha_256(program: Path, tmp_path: Path, size: int, piece: int) -> None:
    content = bytes(i * 31 % 256 for i in range(size))
    (tmp_path / "bytes").write_bytes(content)
    *_, digest = answers(program, (f"file {tmp_path / 'bytes'}", f"sha256 {piece}"))
    assert digest == hashlib.sha256(content).hexdigest()
