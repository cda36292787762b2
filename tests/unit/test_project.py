# SPDX-License-Identifier: GPL-3.0-or-later
"""evtool.toml: every problem at once, with file and line; secrets hide themselves."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest

from evtool.errors import ConfigError
from evtool.project import FILE_NAME, Secret, SecretRef, find_project, load_project

GOOD = """\
[charge_point]
identity = "CP-1"
vendor = "V"
model = "M"
serial_number = "S"

[wifi]
ssid = "bench"
passphrase = { env = "WIFI" }

[csms]
url = "ws://127.0.0.1:9000"
authorization_key = { generate = true }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text)
    return path


def test_defaults_and_absolute_paths(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, GOOD))
    assert project.wifi.passphrase == SecretRef("env", "WIFI")
    assert project.csms.authorization_key == SecretRef("generate")
    assert project.build.firmware == tmp_path / "firmware"
    assert project.codegen.secrets_header == tmp_path / "firmware/include/secrets.h"
    assert (project.limits.request_min_mv, project.limits.request_max_mv) == (56_000, 85_500)


def test_every_problem_is_named_at_once_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace('vendor = "V"', 'vendro = "V"').replace('"bench"', "7") + (
        '[can]\nbitrate = 1\nbuses = true\nmodule_current_scale = "1/11"\n[nonsense]\n'
    )
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_project(path)
    message = str(caught.value)
    for expected in (
        f"{path}:1: [charge_point] vendor: missing",
        f"{path}:3: [charge_point] vendro: unknown key; did you mean",
        f"{path}:8: [wifi] ssid: must be a string, not an integer",
        f"{path}:15: [can] bitrate: 1 is not in 25000..1000000",
        f"{path}:16: [can] buses: must be an integer, not true/false",
        f'{path}:17: [can] module_current_scale: "1/11" is none of: 1/1024, 1/10',
        f"{path}:18: [nonsense]: unknown",
    ):
        assert expected in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "value", ['"hunter22"', "{ env = 1 }", '{ env = "A B" }', "{ generate = false }", "{}", "[1]"]
)
def test_a_secret_in_clear_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, GOOD.replace('{ env = "WIFI" }', value))
    with pytest.raises(ConfigError, match="must be a reference") as caught:
        load_project(path)
    assert "hunter22" not in str(caught.value)


def test_a_bit_rate_that_the_can_controller_does_not_have(tmp_path: Path) -> None:
    assert load_project(write(tmp_path, GOOD + "[can]\nbitrate = 500000\n")).can.bitrate == 500_000
    two_buses = "[can]\nbuses = 2\nbitrate = {}\n"
    assert load_project(write(tmp_path, GOOD + two_buses.format(500000))).can.buses == 2
    path = write(tmp_path, GOOD + two_buses.format(800000))
    with pytest.raises(ConfigError, match=r":16: \[can\] bitrate: 800000 is too fast for the sec"):
        load_project(path)
    path = write(tmp_path, GOOD + "[can]\nbitrate = 333333\n")
    with pytest.raises(ConfigError, match=r":15: \[can\] bitrate: 333333 is none of: 25000, 50000"):
        load_project(path)


def test_limits_that_contradict_each_other(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "[limits]\nrequest_min_mv = 90000\n")
    with pytest.raises(ConfigError, match="must be below request_max_mv"):
        load_project(path)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="evtool init"):
        load_project(tmp_path / FILE_NAME)
    with pytest.raises(ConfigError, match=r"not valid TOML: .*line 1"):
        load_project(write(tmp_path, "[charge_point\n"))
    (tmp_path / FILE_NAME).write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_project(tmp_path / FILE_NAME)


def test_the_nearest_project_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == path
    with pytest.raises(ConfigError, match=r"in .* or any folder above"):
        find_project(Path("/proc/self"))


def test_a_secret_hides_itself() -> None:
    secret = Secret("hunter22")
    shown = f"{secret} {secret!r} {secret:>9}" + str([secret]) + "%s" % secret  # noqa: UP031
    shown += "".join(traceback.format_exception(ValueError(secret)))
    assert "hunter22" not in shown
    assert secret.reveal() == "hunter22"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_bom_and_crlf_are_no_error(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_project(path).charge_point.identity == "CP-1"


def test_a_value_in_place_of_a_table(tmp_path: Path) -> None:
    path = write(tmp_path, 'can = "fast"\n' + GOOD)
    with pytest.raises(ConfigError, match=r":1: \[can\]: must be a table, not a string"):
        load_project(path)


@pytest.mark.parametrize("content", [b"[wifi\n", b"x = bare word\n", b"\xff\xfe"])
def test_what_is_no_toml_comes_with_a_fix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_project(path)
    assert str(path) in caught.value.message
    assert caught.value.fix
