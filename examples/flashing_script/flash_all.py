# SPDX-License-Identifier: Apache-2.0
"""A flashing script as many have one: esptool, three files, an exit code.

It knows nothing of evtool; the tests beside it run it against a virtual board.
"""

from __future__ import annotations

import subprocess
import sys

LAYOUT = {"0x1000": "bootloader.bin", "0x8000": "partitions.bin", "0x10000": "firmware.bin"}


def main(port: str, folder: str) -> int:
    """Write the three files in `folder` to the board at `port` and verify them."""
    esptool = [sys.executable, "-m", "esptool", "--chip", "esp32", "--port", port]
    files = [word for offset, name in LAYOUT.items() for word in (offset, f"{folder}/{name}")]
    if subprocess.run(
        [*esptool, "--baud", "921600", "write-flash", *files], check=False
    ).returncode:
        print("flash_all: writing failed", file=sys.stderr)
        return 1
    if subprocess.run([*esptool, "verify-flash", *files], check=False).returncode:
        print("flash_all: the board does not hold what was written", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
