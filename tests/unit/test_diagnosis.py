# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors with file and line, from what gcc, GNU ld, SCons and PlatformIO 6.2 really print."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtool.build.diagnosis import Diagnosis, Problem

FOLDER = Path("/home/me/p/firmware")


def diagnose(text: str) -> list[Problem]:
    told: list[Problem] = []
    diagnosis = Diagnosis(FOLDER, told.append)
    for line in text.splitlines():
        diagnosis.feed(line)
    diagnosis.finish()
    assert told == diagnosis.problems, "each is told once, when it is known"
    return told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("src/a.cpp:3:14: error: expected ';'", "src/a.cpp:3:14: error: expected ';'"),
        (
            "In file included from e.cpp:1:\nx.h:1:15: error: static assertion failed: no",
            "x.h:1:15: error: static assertion failed: no",
        ),
        (
            "/home/me/p/firmware/src/a.cpp:1:10: fatal error: b.h: No such file or directory",
            "src/a.cpp:1:10: fatal error: b.h: No such file or directory",
        ),
        ("a.cpp:7: internal compiler error: Killed", "a.cpp:7: internal compiler error: Killed"),
        ("d.cpp: Assembler messages:\nd.cpp:1: Error: no such instruction: `bogus'",
         "d.cpp:1: Error: no such instruction: `bogus'"),
        (
            "src/f.cpp:1:16: error: unused variable 'x' [-Werror=unused-variable]\n"
            "cc1plus: all warnings being treated as errors",
            "src/f.cpp:1:16: error: unused variable 'x' [-Werror=unused-variable]",
        ),
        ("cc1plus: fatal error: nosuch.cpp: No such file or directory",
         "cc1plus: fatal error: nosuch.cpp: No such file or directory"),
        ("/opt/x/bin/xtensa-esp32-elf-g++: error: unrecognized option '-q'",
         "xtensa-esp32-elf-g++: error: unrecognized option '-q'"),
    ],
)  # fmt: skip
def test_the_compiler(text: str, said: str) -> None:
    (problem,) = diagnose(text)
    assert problem.kind == "compiler"
    assert str(problem) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "/usr/bin/ld: /tmp/cc8kXXhk.o: in function `main':\n"
            "/home/me/p/firmware/src/a.cpp:2: undefined reference to `missing(int)'\n"
            "collect2: error: ld returned 1 exit status",
            "src/a.cpp:2: undefined reference to `missing(int)' (in main)",
        ),
        (
            "/usr/bin/ld: .pio/build/host/src/main.o: in function `start()':\n"
            "main.cpp:(.text+0xa): undefined reference to `missing(int)'",
            "main.cpp: undefined reference to `missing(int)' (in start())",
        ),
        (
            ".pio/build/esp32dev/src/main.cpp.o:(.literal._Z5setupv+0x0): "
            "undefined reference to `foo()'",
            ".pio/build/esp32dev/src/main.cpp.o: undefined reference to `foo()'",
        ),
        (
            "/usr/bin/ld: build/b.o:(.bss+0x0): multiple definition of `x'; "
            "build/c.o:(.bss+0x0): first defined here",
            "build/b.o: multiple definition of `x'; build/c.o:(.bss+0x0): first defined here",
        ),
        (
            "/usr/bin/ld: cannot find -lnosuch: No such file or directory",
            "cannot find -lnosuch: No such file or directory",
        ),
        (
            "/x/bin/../lib/gcc/xtensa-esp32-elf/8.4.0/../../../../xtensa-esp32-elf/bin/ld: "
            "region `dram0_0_seg' overflowed by 96 bytes",
            "region `dram0_0_seg' overflowed by 96 bytes",
        ),
        (
            "/usr/bin/ld: cannot open linker script file nosuch.ld: No such file or directory",
            "cannot open linker script file nosuch.ld: No such file or directory",
        ),
    ],
)
def test_the_linker(text: str, said: str) -> None:
    (problem,) = diagnose(text)
    assert problem.kind == "linker"
    assert str(problem) == said


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("Error: Unknown board ID 'nosuch'", "platformio", "Unknown board ID 'nosuch'"),
        (
            "InvalidProjectConfError: Invalid '/home/me/p/firmware/platformio.ini' (project "
            "configuration file): 'Source contains parsing errors: '/home/me/p/firmware/"
            "platformio.ini'\n\t[line 90]: 'foo(\\n''",
            "script",
            "platformio.ini:90: [line 90]: 'foo(\\n''",
        ),
        (
            "NameError: name 'nosuch' is not defined:\n"
            '  File "/usr/lib/python3/platformio/builder/main.py", line 167:\n'
            '  File "/home/me/p/firmware/build_defines.py", line 31:\n    nosuch()',
            "script",
            "build_defines.py:31: NameError: name 'nosuch' is not defined",
        ),
        (
            '  File "/home/me/p/firmware/build_defines.py", line 31\n    nosuch(\n'
            "SyntaxError: '(' was never closed",
            "script",
            "build_defines.py:31: SyntaxError: '(' was never closed",
        ),
        ("*** missing SConscript file 'nosuch.py'\n"
         'File "/usr/lib/python3/platformio/builder/main.py", line 167, in <module>',
         "platformio", "missing SConscript file 'nosuch.py'"),
        (
            "UnknownPackageError: Could not find the package with 'a/b @ 1' requirements for "
            "your system 'linux_x86_64'",
            "platformio",
            "UnknownPackageError: Could not find the package with 'a/b @ 1' requirements for "
            "your system 'linux_x86_64'",
        ),
    ],
)  # fmt: skip
def test_scripts_and_platformio(text: str, kind: str, said: str) -> None:
    (problem,) = diagnose(text)
    assert (problem.kind, str(problem)) == (kind, said)


@pytest.mark.parametrize(
    "line",
    [
        "src/a.cpp:3:9: warning: unused variable 'error: x'",
        "/usr/bin/ld: warning: a.o has a LOAD segment with RWX permissions",
        "*** [.pio/build/host/src/main.o] Error 1",
        "collect2: error: ld returned 1 exit status",
        "Compiling .pio/build/host/src/errors.o",
        "Building .pio/build/host/program",
        "src/a.cpp:3:9: note: candidate: 'void f()'",
    ],
)
def test_what_is_no_error(line: str) -> None:
    assert diagnose(line) == []
