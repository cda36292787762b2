# SPDX-License-Identifier: GPL-3.0-or-later
"""An NVS image from a CSV file: the bytes, or one error that names every bad row."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from evtool.errors import ConfigError
from evtool.protocol.nvs import NvsEntry, render_image
from evtool.protocol.nvs_encryption import NvsKeys, encrypt_image
from evtool.protocol.nvs_page import PAGE_SIZE
from evtool.provision.nvs_csv import CsvContent, CsvFault, read_nvs_csv
from evtool.provision.nvs_size import LARGEST

_SHOWN = 40  # lines on a screen


class CsvFaults(ConfigError):
    """What is wrong with a CSV file, all of it."""

    def __init__(self, path: str, faults: Sequence[CsvFault]) -> None:
        lines = [describe_fault(path, fault) for fault in faults[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"... and {len(faults) - _SHOWN:,} more; --json has all")
        super().__init__("\n  ".join(lines), fix="mend these lines; nothing was written")
        self.path = path
        self.faults = tuple(faults)

    def as_dict(self) -> dict[str, object]:
        faults = [{"file": self.path} | asdict(fault) for fault in self.faults]
        return super().as_dict() | {"faults": faults}


def describe_fault(path: str, fault: CsvFault) -> str:
    """`FILE:LINE: COLUMN: RULE (first in line N)`."""
    column = f"{fault.column}: " if fault.column else ""
    previous = f" (line {fault.previous})" if fault.previous is not None else ""
    return f"{path}:{fault.line}: {column}{fault.rule}{previous}"


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image, and what is in it.

    Attributes:
        image: the partition's bytes, encrypted where keys were given.
        entries: what it holds, in its order.
    """

    image: bytes = field(repr=False)
    entries: tuple[NvsEntry, ...]


def build_from_csv(
    path: str,
    data: bytes,
    size: int,
    *,
    read_file: Callable[[str], bytes],
    keys: NvsKeys | None = None,
    read_only: bool = False,
) -> BuiltImage:
    """The partition that a CSV file describes.

    Args:
        path: the file's name, for messages.
        data: its bytes.
        size: the partition's, in bytes.
        read_file: as `read_nvs_csv` has it.
        keys: encrypt with these.
        read_only: the partition is flagged read-only: no page is kept blank.

    Raises:
        CsvFaults: something is wrong with a row, or the partition is too small.
    """
    content = read_nvs_csv(data, read_file)
    if content.faults:
        raise CsvFaults(path, content.faults)
    try:
        image = render_image(content.entries, size, read_only=read_only)
    except ValueError:
        raise CsvFaults(path, [_too_much(content, size, read_only)]) from None
    if keys is not None:
        image = encrypt_image(image, keys)
    return BuiltImage(image, content.entries)


def _fits(entries: Sequence[NvsEntry], size: int, read_only: bool) -> bool:
    try:
        render_image(entries, size, read_only=read_only)
    except ValueError:
        return False
    return True


def _too_much(content: CsvContent, size: int, read_only: bool) -> CsvFault:
    """The first row that does not fit, and how large the partition would have to be."""
    entries = content.entries
    counts = range(1, len(entries) + 1)
    at = bisect_left(counts, True, key=lambda n: not _fits(entries[:n], size, read_only))
    sizes = range(size + PAGE_SIZE, LARGEST + 1, PAGE_SIZE)
    found = bisect_left(sizes, True, key=lambda each: _fits(entries, each, read_only))
    need = f"all of them need {sizes[found]:#x}" if found < len(sizes) else "nor into any flash"
    return CsvFault(
        content.lines[min(at, len(entries) - 1)],
        "value",
        f"does not fit any more into {size:#x} bytes of NVS; {need}",
    )
