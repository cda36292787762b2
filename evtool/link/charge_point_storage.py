# SPDX-License-Identifier: GPL-3.0-or-later
"""What a headless charge point keeps between two lives: its register, its files, its vehicle.

Every write is whole or has not happened, because a kill at any moment is a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from evtool.errors import ConfigError, DeviceError
from evtool.link.files import make_private_folder, write_atomically

_REGISTER = "energy_mwh"
_VEHICLE = "vehicle.json"
_FILES = "files"
_CONNECTORS = "connectors.json"
_TEXTS = "ocpp.json"
_LOCK = ".lock"
_HIGHEST = (1 << 64) - 1
_REMAINS = (
    *(f".{name}.*" for name in (_REGISTER, _VEHICLE, _CONNECTORS, _TEXTS)),
    *(f"{_FILES}/.{name}*" for name in ("client.pem", "firmware.bin.", "installed_firmware.bin.")),
)
"""What a kill in the middle of a write leaves; some of it holds keys."""


class ChargePointStorage:
    """A folder that one process uses at a time; close it in the end.

    Args:
        folder: made if it is missing, mode 0700.

    Raises:
        DeviceError: another charge point uses it.
        EvtoolError: it cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self._folder = folder
        try:
            self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DeviceError(
                f"cannot open {folder / _LOCK}: {error.strerror or error}",
                fix="check the permissions of the --storage folder",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise DeviceError(
                f"{folder}: another charge point uses this storage",
                fix="stop that one, or give this one a folder of its own with --storage",
            ) from error
        for pattern in _REMAINS:
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)

    @property
    def files_folder(self) -> Path:
        """Where MicroOcpp's files are."""
        return (self._folder / _FILES).absolute()

    def is_configured(self) -> bool:
        """Whether a charge point has run on it, so that it has a configuration of its own."""
        return (self._folder / _FILES).exists()

    def register_mwh(self) -> int:
        """The stored energy register, 0 for a new unit.

        Raises:
            ConfigError: what stands there is none.
        """
        path = self._folder / _REGISTER
        if not path.exists():
            return 0
        try:
            value = int(path.read_text("ascii"))
        except (OSError, ValueError) as error:
            raise _spoiled(path, "the energy register in mWh") from error
        if not 0 <= value <= _HIGHEST:
            raise _spoiled(path, "the energy register in mWh")
        return value

    def store_register(self, value_mwh: int) -> None:
        """Store it; when this returns, it survives a kill and a power cut."""
        write_atomically(self._folder / _REGISTER, f"{value_mwh}\n", 0o600)

    def vehicle(self) -> dict[str, int]:
        """How the vehicle was left; empty for a new unit.

        Raises:
            ConfigError: what stands there is no such thing.
        """
        path = self._folder / _VEHICLE
        if not path.exists():
            return {}
        try:
            document = json.loads(path.read_text("ascii"))
            return {str(name): int(value) for name, value in document.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise _spoiled(path, "how the vehicle was left") from error

    def store_vehicle(self, vehicle: dict[str, int]) -> None:
        """Keep how the vehicle is now."""
        write_atomically(self._folder / _VEHICLE, json.dumps(vehicle) + "\n", 0o600)

    def connectors(self) -> dict[str, dict[str, int]]:
        """How plain connectors were left, by number; empty for a new unit.

        Raises:
            ConfigError: what stands there is no such thing.
        """
        path = self._folder / _CONNECTORS
        try:
            document = json.loads(path.read_text("ascii"))
            return {
                str(number): {str(name): int(value) for name, value in kept.items()}
                for number, kept in document.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise _spoiled(path, "how the connectors were left") from error

    def store_connectors(self, connectors: dict[str, dict[str, int]]) -> None:
        """Keep how the connectors are now; when this returns, it survives a kill."""
        write_atomically(self._folder / _CONNECTORS, json.dumps(connectors) + "\n", 0o600)

    def texts(self) -> dict[str, str]:
        """What a charge point asked to keep, by key; empty for a new unit.

        Raises:
            ConfigError: what stands there is no such thing.
        """
        path = self._folder / _TEXTS
        try:
            document = json.loads(path.read_text("ascii"))
            return {str(key): str(value) for key, value in document.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise _spoiled(path, "what the charge point keeps") from error

    def store_texts(self, texts: dict[str, str]) -> None:
        """Keep them all; when this returns, they survive a kill. One may be a key."""
        write_atomically(self._folder / _TEXTS, json.dumps(texts, indent=0) + "\n", 0o600)

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)


def _spoiled(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"{path}: this should hold {what}",
        fix="delete the file, or name another folder with --storage",
    )
