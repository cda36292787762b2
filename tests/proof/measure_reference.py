# SPDX-License-Identifier: GPL-3.0-or-later
"""What of some files of the reference runs: `python -m proof.measure_reference REPORT FILE...`.

A process of its own, because only what is imported after the start is measured.
"""

from __future__ import annotations

import sys

import coverage


def main(report: str, files: list[str]) -> None:
    """Ask the reference everything, and write coverage.py's JSON report."""
    measured = coverage.Coverage(branch=True, data_file=None, config_file=False, include=files)
    measured.start()
    # Imported here, because what is imported before is not measured.
    from proof.corpus import coverage_lines, expected_answers  # noqa: PLC0415
    from proof.direct import direct_lines  # noqa: PLC0415
    from proof.gate_table import table_lines  # noqa: PLC0415

    list(table_lines())
    list(direct_lines())
    expected_answers(coverage_lines())
    measured.stop()
    measured.json_report(outfile=report)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
