# SPDX-License-Identifier: GPL-3.0-or-later
"""What codegen renders for C++ compiles without a warning and means what Python means."""

from __future__ import annotations

import enum
import inspect
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cantools.database
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.codegen.controller_config import render_controller_config
from evtool.codegen.secrets import SecretsInput, render_secrets
from evtool.project import Can, ChargePoint, Limits, Secret
from evtool.protocol import can_tables
from evtool.protocol.can_signal import Kind, Signal
from evtool.resources import can_database, firmware_dir

GXX = shutil.which("g++") or "g++"
pytestmark = pytest.mark.usefixtures("gxx")  # skips where there is none

INCLUDE = firmware_dir() / "lib" / "evcore" / "include"
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "codegen"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{INCLUDE}"]
MESSAGES: dict[str, Any] = {
    name: item
    for name, item in vars(can_tables).items()
    if inspect.isclass(item) and hasattr(item, "ID") and item.__module__ == can_tables.__name__
}


def compile_and_run(folder: Path, source: str, *options: str) -> bytes:
    (folder / "main.cpp").write_text(source)
    compiled = subprocess.run(
        [GXX, "-std=c++17", *STRICT, *options, "main.cpp", "-o", "main"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert compiled.returncode == 0, compiled.stderr
    return subprocess.run([folder / "main"], capture_output=True, check=True, timeout=60).stdout


def pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def assertions() -> list[str]:
    """Everything in the Python tables as C++ assertions about the C++ tables."""
    lines = []
    for name, message in MESSAGES.items():
        for key in ("ID", "LENGTH", "MIN_LENGTH", "PERIOD_MS"):
            lines.append(f"{name}::k{pascal(key)} == {getattr(message, key)}U")
        lines.append(f"{name}::kExtended == {str(message.EXTENDED).lower()}")
        for key, item in vars(message).items():
            if isinstance(item, Signal):
                signal = f"{name}::k{pascal(key)}"
                lines.append(f"{signal}.start_bit == {item.start_bit}")
                lines.append(f"{signal}.length == {item.length}")
                lines.append(f"{signal}.byte_order == evcore::ByteOrder::{item.byte_order.value}")
                lines.append(f"{signal}.kind == evcore::SignalKind::{item.kind.value}")
            elif inspect.isclass(item) and issubclass(item, enum.IntEnum):
                for member in item:
                    word = f"{name}::{key}::{member.name.lower()}"
                    lines.append(f"static_cast<int>({word}) == {member.value}")
            elif key.endswith("_START"):
                lines.append(f"{name}::k{pascal(key)} == {item}")
    for place, can_id in enumerate(can_tables.RECEIVED_IDS):
        lines.append(f"kReceivedIds[{place}] == {can_id}U")
    lines.append(f"kReceivedIds.size() == {len(can_tables.RECEIVED_IDS)}")
    lines.append(f"kReceivedFromBms.size() == {len(can_tables.RECEIVED_FROM_BMS)}")
    return lines


def test_both_tables_say_the_same(tmp_path: Path) -> None:
    lines = assertions()
    assert len(lines) > 150
    checks = "\n".join(f'static_assert({line}, "{line}");' for line in lines)
    compile_and_run(
        tmp_path,
        f'#include "evcore/can_tables.hpp"\nusing namespace evcore::can_tables;\n{checks}\n'
        "constexpr evcore::CanData made() {\n"
        "  evcore::CanData data{};\n"
        "  ChargeRequest::kVoltage.insert(data, 720);\n"
        "  return data;\n"
        "}\n"
        'static_assert(made()[0] == 0x02 && made()[1] == 0xD0, "usable at compile time");\n'
        "int main() {}\n",
    )


def test_the_golden_tables_compile(tmp_path: Path) -> None:
    (tmp_path / "tables.hpp").write_text((GOLDEN / "can_tables.hpp.golden").read_text())
    compile_and_run(tmp_path, '#include "tables.hpp"\nint main() {}\n')


@given(data=st.binary(min_size=8, max_size=8))
def test_python_tables_decode_as_cantools_does(data: bytes) -> None:
    database = cantools.database.load_file(can_database(), strict=True)
    for message in database.messages:  # type: ignore[union-attr]  # it is no diagnostics database
        ours = MESSAGES[pascal(message.name)]
        try:
            decoded: Any = message.decode(data, decode_choices=False, scaling=False)
        except cantools.database.DecodeError:
            continue  # a function byte that the multiplexer does not know
        for name, value in decoded.items():
            signal = getattr(ours, name.upper())
            if signal.kind is not Kind.FLOAT:
                assert signal.extract(data) == value


def test_controller_config_compiles_and_fills_the_config(tmp_path: Path) -> None:
    can = Can(500_000, 2, "charged_minus_discharged", 60_000, "1/10", "deci")
    limits = Limits(50_000, 90_000, 200_000, 84_000, 50_001)
    (tmp_path / "controller_config.hpp").write_text(render_controller_config(can, limits))
    output = compile_and_run(
        tmp_path,
        '#include <cstdio>\n#include "controller_config.hpp"\n'
        "static_assert(controller_config::kCanBitrate == 500000);\n"
        "int main() {\n"
        "  const evcore::Config c = controller_config::make_config();\n"
        '  std::printf("%d %d %d %d %d %d %d %d %d %d", c.buses, static_cast<int>(c.capacity_source'
        "),\n  c.battery_capacity_mah, static_cast<int>(c.module_current_scale),\n"
        "  static_cast<int>(c.module_temperature_scale), c.request_min_mv, c.request_max_mv,\n"
        "  c.request_max_ma, c.max_voltage_mv, c.max_current_ma);\n}\n",
    )
    assert output == b"2 1 60000 1 1 50000 90000 200000 84000 50001"


HOSTILE = [
    'quote " and \\ backslash',
    "??/ ??= ??' ??( ??) ??! ??< ??> ??- ????/",
    "ends in a backslash \\",
    "ends in ??/",
    "\u00e91f \u20ac7 \U0001f6000",
    "\x01" + "23 \x1b[31m \x7f8",
    "line\nline\r\nline\ttab\v\f\a\b",
    '"); #error "x',
    "*/ /* // %s %n {{ 7 * 7 }} {% raw %}",
    '" R"(x)" u8"y"',
    "\\x41\\101\\u0041\\n",
    "'",
    "",
    " ",
    "\u2028\u2029\ufeff",
    "a" * 3000,
]
BASE = SecretsInput(
    charge_point=ChargePoint("CP-1", "v", "m", "s", "t"),
    wifi_ssid="",
    wifi_passphrase=Secret(""),
    csms_url="wss://[2001:db8::1]:8443/a/b",
    authorization_key=Secret("00" * 20),
    security_profile=2,
    ca_certificate="",
)
MACROS = (
    "SECRET_WIFI_SSID",
    "SECRET_WIFI_PASS",
    "SECRET_CHARGER_VENDOR",
    "SECRET_CHARGER_MODEL",
    "SECRET_CHARGER_SERIAL",
    "SECRET_LOCAL_ID_TAG",
    "SECRET_AUTHORIZATION_KEY",
    "SECRET_CA_CERTIFICATE",
    "SECRET_CLIENT_CERTIFICATE",
    "SECRET_CLIENT_KEY",
)


def headers(texts: list[str]) -> list[tuple[str, list[str]]]:
    """As many secrets.h as it takes to put each text into one macro, and what each must give."""
    made = []
    padded = texts + [""] * (-len(texts) % len(MACROS))
    for at in range(0, len(padded), len(MACROS)):
        part = padded[at : at + len(MACROS)]
        point = replace(
            BASE.charge_point,
            vendor=part[2],
            model=part[3],
            serial_number=part[4],
            local_id_tag=part[5],
        )
        values = replace(
            BASE,
            wifi_ssid=part[0],
            wifi_passphrase=Secret(part[1]),
            charge_point=point,
            authorization_key=Secret(part[6]),
            ca_certificate=part[7],
            client_certificate=part[8],
            client_key=Secret(part[9]),
        )
        made.append((render_secrets(values), part))
    return made


def read_back(folder: Path, made: list[tuple[str, list[str]]], *options: str) -> bytes:
    """Every macro of every header as length, colon, bytes."""
    source = ["#include <cstdio>", "static void put(const char* s, unsigned long n) {"]
    source += ['  std::printf("%lu:", n - 1); std::fwrite(s, 1, n - 1, stdout);', "}"]
    calls = []
    for number, (text, _) in enumerate(made):
        (folder / f"secrets_{number}.h").write_text(f"// {number}\n{text}")
        source.append(f'#include "secrets_{number}.h"')
        source.append(f"static void put_{number}() {{")
        source += [f"  put({macro}, sizeof {macro});" for macro in MACROS]
        source.append("}")
        defined = [line.split()[1] for line in text.splitlines() if line.startswith("#define")]
        source += [f"#undef {macro}" for macro in defined]
        calls.append(f"  put_{number}();")
    source += ["int main() {", *calls, "}", ""]
    return compile_and_run(folder, "\n".join(source), *options)


def expected(made: list[tuple[str, list[str]]]) -> bytes:
    parts = [text.encode() for _, texts in made for text in texts]
    return b"".join(b"%d:%s" % (len(part), part) for part in parts)


@pytest.mark.parametrize("options", [(), ("-trigraphs",), ("-std=c++11",), ("-std=c++20",)])
def test_hostile_texts_come_back_byte_for_byte(tmp_path: Path, options: tuple[str, ...]) -> None:
    made = headers(HOSTILE)
    assert read_back(tmp_path, made, *options) == expected(made)


@settings(
    max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"))
        | st.text("?\"\\/='()!<>-01af\n", max_size=12),
        min_size=64,
        max_size=128,
    )
)
def test_any_text_comes_back_byte_for_byte(tmp_path: Path, texts: list[str]) -> None:
    made = headers(texts)
    assert read_back(tmp_path, made, "-trigraphs") == expected(made)


def test_the_other_macros(tmp_path: Path) -> None:
    (tmp_path / "secrets.h").write_text(render_secrets(BASE))
    output = compile_and_run(
        tmp_path,
        '#include <cstdio>\n#include "secrets.h"\nint main() {\n'
        '  std::printf("%s|%d|%s|%d|%s|%s|%d|%s", SECRET_CSMS_HOST, SECRET_CSMS_PORT,\n'
        "  SECRET_CSMS_PATH, SECRET_CSMS_TLS, SECRET_CSMS_URL, SECRET_CSMS_FULL_URL,\n"
        "  SECRET_SECURITY_PROFILE, SECRET_CHARGER_ID);\n}\n",
    )
    url = "wss://[2001:db8::1]:8443/a/b"
    assert output.decode() == f"2001:db8::1|8443|/a/b|1|{url}|{url}/CP-1|2|CP-1"
