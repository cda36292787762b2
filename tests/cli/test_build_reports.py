# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool build` tells: progress, errors, log, sizes, provenance; and the same image twice."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from build_projects import environment, evtool_build, make_project

from evtool.resources import firmware_dir

pytestmark = pytest.mark.usefixtures("gxx")

ROOM_S = 100


def evtool(root: Path, variables: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "evtool", *arguments],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        timeout=ROOM_S,
        check=True,
    )
    return done.stdout


def on_a_terminal(root: Path, variables: dict[str, str], *arguments: str) -> str:
    """`evtool build` with a terminal of 80 columns as its stderr; what it wrote there."""
    ours, theirs = pty.openpty()
    written = b""
    with subprocess.Popen(
        [sys.executable, "-m", "evtool", "build", *arguments],
        cwd=root,
        env=variables | {"COLUMNS": "80"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:  # Linux's end of a pseudo-terminal
            pass
        process.wait(timeout=ROOM_S)
    os.close(ours)
    return written.decode()


def test_a_bar_that_never_goes_back(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    for number in range(4):
        more = f"int more{number}() {{ return {number}; }}\n"
        (root / f"firmware/host/more{number}.cpp").write_text(more)
    first = on_a_terminal(root, variables)
    assert "%" not in first, "nobody knows yet how many there are"
    assert "   1 compiling" in first

    again = on_a_terminal(root, variables, "--clean")
    shares = [int(text) for text in re.findall(r" (\d+) % \d+/\d+ ", again)]
    assert shares == sorted(shares)
    assert len(shares) >= 5
    assert shares[-1] == 99
    assert max(len(line) for line in re.split(r"[\r\n]", again)) < 80 + len("\x1b[K")
    assert again.rstrip("\r\n").endswith("\r\x1b[K"), "the line is taken away at the end"

    (root / "firmware/host/more3.cpp").write_text("int more3() { return 33; }\n")
    one = on_a_terminal(root, variables)
    shares = [int(text) for text in re.findall(r" (\d+) % \d+/\d+ ", one)]
    assert shares == sorted(shares)
    assert shares[-1] == 99


def test_errors_come_with_file_and_line_and_the_log_has_all_of_it(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    main = root / "firmware/host/main.cpp"
    good = main.read_text()
    main.write_text(good + "int one = ;\nint two = ;\n")
    done = evtool_build(root, variables, "--json")
    assert done.returncode == 4
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    problems = [line for line in lines if line.get("event") == "problem"]
    assert [(p["file"], p["line"], p["kind"]) for p in problems] == [
        ("host/main.cpp", 3, "compiler"),
        ("host/main.cpp", 4, "compiler"),
    ]
    log = root / "firmware/.pio/host.log"
    assert lines[-1]["log"] == str(log)
    assert "int two = ;" in log.read_text()
    assert "secret" not in log.read_text().lower()

    main.write_text(good.replace("int main", "int gone();\nint main").replace("{ ", "{ gone(); "))
    done = evtool_build(root, variables)
    assert done.returncode == 4
    assert "does not link: main.cpp: undefined reference to `gone()' (in main)" in done.stderr
    assert f"log: {log}" in done.stderr
    assert "int two" not in log.read_text(), "a log of its own for each build"

    main.write_text(good)
    defines = root / "firmware/build_defines.py"
    script = defines.read_text()
    defines.write_text(script + "nosuch()\n")
    done = evtool_build(root, variables)
    place = f"build_defines.py:{len(script.splitlines()) + 1}"
    assert f"could not build host: {place}: NameError: name 'nosuch'" in done.stderr
    assert f"log: {log}" in done.stderr
    defines.write_text(script)
    ini = root / "firmware/platformio.ini"
    text = ini.read_text()
    ini.write_text(text.replace("custom_src_dir", "board = nosuch\ncustom_src_dir", 1))
    done = evtool_build(root, variables)
    assert done.returncode == 4
    assert "could not build host: Unknown board ID 'nosuch'" in done.stderr
    ini.write_text(text)
    assert evtool_build(root, variables).returncode == 0


def test_sizes_against_the_last_build_and_by_module(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    library = root / "firmware/lib/thing/src"
    library.mkdir(parents=True)
    (library / "thing.h").write_text("int thing();\n")
    (library / "thing.cpp").write_text("static int kept[500]; int thing() { return ++kept[7]; }\n")
    main = root / "firmware/host/main.cpp"
    main.write_text("#include <thing.h>\n" + main.read_text().replace("{ ", "{ thing(); "))
    done = json.loads(evtool_build(root, variables, "--json").stdout.splitlines()[-1])
    assert done["sizes"]["partition"] == "app0"
    assert done["sizes"]["flash"] == (root / "build/host/firmware.bin").stat().st_size
    assert done["sizes"]["flash_change"] is None
    rows = {m["name"]: m for m in json.loads(evtool(root, variables, "size", "--json"))["modules"]}
    assert rows["thing"]["ram"] >= 2000
    assert rows["thing"]["flash"] < 2000, "what is zero at the start is not stored"
    table = evtool(root, variables, "size")
    assert re.search(r"^thing +\d+ +2,0\d\d$", table, re.MULTILINE)

    main.write_text(main.read_text() + "int more[1000] = {1};\n")
    after = json.loads(evtool_build(root, variables, "--json").stdout.splitlines()[-1])["sizes"]
    assert after["ram_change"] == after["ram"] - done["sizes"]["ram"]
    assert 4000 <= after["ram_change"] < 4200
    text = evtool_build(root, variables).stdout
    assert "as before" in text
    assert "% of app0 (1,835,008)" in text
    shutil.rmtree(root / "build")
    failed = subprocess.run(
        [sys.executable, "-m", "evtool", "size"],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2
    assert "evtool build --env host" in failed.stderr


def test_the_build_manifest_says_which_source_and_which_tools(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    output = root / "build/host"

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", "-C", root, *who, *arguments],  # noqa: S607 - the user's git, as evtool runs it
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def built() -> dict[str, object]:
        assert evtool_build(root, variables).returncode == 0
        text = (output / "provenance.json").read_text()
        assert str(tmp_path) not in text
        document: dict[str, object] = json.loads(text)
        return document

    assert built()["source"] is None
    (root / ".gitignore").write_text("build/\n.pio/\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    first = built()
    manifest = (output / "manifest.json").read_bytes()
    assert first["source"] == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    programs = first["programs"]
    assert isinstance(programs, dict)
    assert set(programs) == {"evtool", "python", "platformio", "g++"}
    assert all(programs.values())
    images = first["images"]
    assert images == json.loads(manifest)["images"]

    (root / "README").write_text("x")
    git("add", ".")
    git("commit", "--quiet", "-m", "two")
    second = built()
    assert second["source"] == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert second | {"source": None} == first | {"source": None}
    assert (output / "manifest.json").read_bytes() == manifest, "the same source, the same manifest"
    (root / "firmware/host/new.cpp").write_text("// a file that git does not know\n")
    assert built()["source"] == {"commit": git("rev-parse", "HEAD"), "dirty": True}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_builds_in_two_folders_give_the_same_image(tmp_path: Path) -> None:
    """The real firmware. What would differ: paths, times, the order of objects and links."""
    images: list[dict[str, bytes]] = []
    for name in ("one", "a folder with a longer name"):
        root = make_project(tmp_path / name)
        shutil.rmtree(root / "firmware")
        ignore = shutil.ignore_patterns(".pio", "secrets.h", "__pycache__")
        shutil.copytree(firmware_dir(), root / "firmware", ignore=ignore)
        core = tmp_path / f"core of {name}"
        variables = environment(tmp_path, EVTOOL_CORE_DIR=str(core), TZ=f"X{len(images)}")
        done = evtool_build(root, variables, room_s=280)
        assert done.returncode == 0, done.stderr
        names = sorted(path.name for path in (root / "build/host").iterdir())
        images.append({file: (root / "build/host" / file).read_bytes() for file in names})
        assert str(tmp_path).encode() not in b"".join(images[-1].values())
    assert images[0].keys() == images[1].keys()
    for file in images[0]:
        assert images[0][file] == images[1][file], file
