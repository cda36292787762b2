# SPDX-License-Identifier: GPL-3.0-or-later
"""The files around a central system: its lists, profiles, firmware, certificates and keys."""

from __future__ import annotations

import json
import secrets
import tomllib
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from evtool.errors import ConfigError
from evtool.link.clock import unix_ms
from evtool.link.file_server import find
from evtool.link.files import make_private_folder, write_atomically
from evtool.link.workspace import Workspace
from evtool.virtual.csms.authorization import IdTags, parse_id_tags
from evtool.virtual.csms.certificates import Authority, Issued, make_authority

_DAY_MS = 86_400_000
_SERVER_NAMES = ("localhost", "127.0.0.1", "::1")


class NamedFiles:
    """`ports.Files`: profiles and certificates of one folder by name, firmware of another.

    Args:
        profiles, firmware: the folders; None where there is none.
        paths: whether a command may also name any file of this computer; one that came over
            the network may not.

    Attributes:
        base_url: of the file server; None while nothing is served.
        takes_uploads: whether it takes any.
    """

    def __init__(self, profiles: Path | None, firmware: Path | None, *, paths: bool) -> None:
        self._profiles = profiles
        self._firmware = firmware
        self._paths = paths
        self.base_url: str | None = None
        self.takes_uploads = False

    def read(self, name: str) -> bytes:
        """A profile or certificate by its name, with or without `.json`; or a file."""
        found = None
        if self._profiles is not None:
            found = find(self._profiles, name) or find(self._profiles, name + ".json")
        if found is None and self._paths:
            found = Path(name)
        if found is None:
            raise ValueError(f"{name}: no file of that name (--profiles DIR)")
        return _read(found)

    def firmware(self, name: str) -> bytes:
        """A firmware image."""
        found = None if self._firmware is None else find(self._firmware, name)
        if found is None:
            raise ValueError(f"{name}: no firmware of that name (--firmware DIR)")
        return _read(found)

    def firmware_url(self, name: str) -> str:
        """Where a station fetches it."""
        self.firmware(name)
        if self.base_url is None:
            raise ValueError("no firmware is served (--firmware DIR)")
        return f"{self.base_url}/firmware/{quote(name)}"

    def upload_url(self, station: str) -> str:
        """Where a station uploads to: a name of its own each time."""
        if self.base_url is None or not self.takes_uploads:
            raise ValueError("no uploads are taken: give a URL, or --uploads DIR")
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in station)[:40]
        return f"{self.base_url}/uploads/{name}-{secrets.token_hex(4)}.log"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error


def read_id_tags(path: Path | None, unknown: str | None) -> IdTags:
    """The authorisation list of a file; unknown id_tags are Invalid where there is one.

    Raises:
        ConfigError: the file cannot be read, or an entry is wrong.
    """
    if path is None:
        return IdTags(unknown or "Accepted")
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a BOM
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        table = document.get("id_tags") if isinstance(document, dict) else None
        return parse_id_tags(table, unknown or "Invalid")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text", fix="save the file as UTF-8 in your editor"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: {error}", fix='write [id_tags] and lines such as "TAG-1" = "Accepted"'
        ) from error


class Lab:
    """A folder with a certificate authority and a server certificate, made where missing.

    What runs out is made anew, and so is what another authority has issued, what does not belong
    together, or a server's certificate without one of the names; the authority lasts ten years.

    Attributes:
        ca, server, server_key: PEM files.
        authority: signs charge points' requests.
    """

    def __init__(self, folder: Path, cpo: str | None, names: tuple[str, ...] = ()) -> None:
        make_private_folder(folder)
        self.folder = folder
        self.ca, key = folder / "ca.pem", folder / "ca.key"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        with self._alone():
            if self.ca.exists() and not key.exists():  # what we make has its key first
                raise ConfigError(
                    f"{self.ca}: an authority without its key, {key.name}",
                    fix="name another folder, or put the key there",
                )
            if not self.ca.exists():
                self._write(self.ca, key, make_authority("evtool lab CA", cpo, unix_ms()))
            self.authority = read_authority(self.ca, key, cpo)
            every = tuple(dict.fromkeys((*_SERVER_NAMES, *names)))
            if not self._is_good(self.server, self.server_key, every):
                issued = self.authority.issue_server(every, unix_ms())
                self._write(self.server, self.server_key, issued)

    def _alone(self) -> AbstractContextManager[int]:
        """Two processes with one folder must not mix their keys and certificates."""
        return Workspace(lambda: None).lock(self.folder / ".lock")

    def issue_client(self, identity: str, common_name: str) -> None:
        """Certificate and key of a charge point, as clients/IDENTITY.pem and .key."""
        name = quote(identity, safe="")
        certificate = self.folder / "clients" / f"{name}.pem"
        key = certificate.with_suffix(".key")
        with self._alone():
            if not self._is_good(certificate, key):
                self._write(certificate, key, self.authority.issue_client(common_name, unix_ms()))

    def _is_good(self, certificate: Path, key: Path, names: tuple[str, ...] = ()) -> bool:
        """Whether both are there, and hold for another day."""
        try:
            issued = Issued(certificate.read_bytes(), key.read_bytes())
        except OSError:
            return False
        return self.authority.stands_for(issued, names, unix_ms() + _DAY_MS)

    @staticmethod
    def _write(certificate: Path, key: Path, issued: Issued) -> None:
        write_atomically(key, issued.key, 0o600)
        write_atomically(certificate, issued.certificate)


def read_authority(certificate: Path, key: Path, cpo: str | None) -> Authority:
    """A certificate authority from its PEM files.

    Raises:
        ConfigError: they cannot be read, or do not belong together.
    """
    try:
        return Authority(Issued(certificate.read_bytes(), key.read_bytes()), cpo)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{certificate}, {key}: no certificate authority: {error}",
            fix="name PEM files with --ca-certificate and --ca-key, or a folder with --lab-ca",
        ) from error
