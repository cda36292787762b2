# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference charge point's file through a power cut at every step of its writing.

`charge_point.json` holds the transaction that runs, the configuration and the AuthorizationKey that
the CSMS has set, and availability. A child process writes the new content and is killed at a call
of the operating system, at each in turn. What is read afterwards is the old content or the new.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

OLD = {"transaction": '{"transaction_id": 1}', "AuthorizationKey": "old", "availability.0": "x"}
NEW = {"transaction": "", "AuthorizationKey": "new", "availability.0": "y" * 70_000}

# Forks for each number of calls; the child counts calls into C and dies at that one.
WRITER = """
import os, sys
from pathlib import Path
from evtool.link.files import write_atomically

path, content, number = Path(sys.argv[1]), sys.stdin.read(), 0
old = path.read_text()
while True:
    path.write_text(old)
    child = os.fork()
    if child == 0:
        left = [number]
        def count(frame, event, argument):
            if event == "c_call":
                if not left[0]:
                    os._exit(1)
                left[0] -= 1
        sys.setprofile(count)
        write_atomically(path, content, 0o600)
        sys.setprofile(None)
        os._exit(0)
    done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print("new" if path.read_text() == content else "old" if path.read_text() == old else "torn",
          "done" if done else "cut")
    if done:
        break
    number += 1
"""


def test_a_power_cut_at_any_step_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "charge_point.json"
    path.write_text(json.dumps(OLD))
    run = subprocess.run(
        [sys.executable, "-c", WRITER, path],
        input=json.dumps(NEW),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    left = run.stdout.splitlines()
    assert set(left) == {"old cut", "new cut", "new done"}, "never torn, and cut on both sides"
    assert left == sorted(left, key="old cut,new cut,new done".split(",").index)
    assert len(left) > 20
