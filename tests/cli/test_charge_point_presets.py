# SPDX-License-Identifier: GPL-3.0-or-later
"""What a headless charge point's configuration starts with, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtool.cli.charge_point_presets import read_environment, read_presets
from evtool.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "configuration.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_as_change_configuration_writes_them(tmp_path: Path) -> None:
    path = write(tmp_path, 'A = true\nB = false\nC = -7\nD = "x,y"\nE = ""\n"F.g" = "1"\n')
    assert read_presets(path) == {
        "A": "true", "B": "false", "C": "-7", "D": "x,y", "E": "", "F.g": "1",
    }  # fmt: skip
    assert read_presets(None) == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A = 1.5", "A: the value"),
        ("[table]\nA = 1", "table: the value"),
        ("A = [1]", "A: the value"),
        ('A = "\u00e4"', "A: the value"),
        ('A = "' + "x" * 501 + '"', "A: the value"),
        ('"" = 1', "is no OCPP key"),
        (f"{'k' * 51} = 1", "is no OCPP key"),
        ('"a b" = 1', "is no OCPP key"),
        ("A = ", "configuration.toml"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_presets(write(tmp_path, text))


def test_a_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--key-file") as caught:
        read_presets(write(tmp_path, 'AuthorizationKey = "plain-key-of-20-char"'))
    assert "plain-key" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_presets(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY"])
def test_a_key_is_one_in_any_case(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--key-file"):
        read_environment({f"EVTOOL_OCPP_{name}": "00" * 20})
    with pytest.raises(ConfigError, match="--key-file"):
        read_presets(write(tmp_path, f'{name} = "{"00" * 20}"'))
