# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run as a JSON document, and what the next run takes from it.

It is written again after every board, with the boards to come as `unfinished`: whatever ends the
run, a report of what was done is there, and `--retry-failed` takes up from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evtool.errors import ConfigError, EvtoolError
from evtool.flash.station.board_run import facts_document
from evtool.flash.station.order import Order
from evtool.flash.station.verdict import BoardResult, Verdict

SCHEMA = 1
_FIX = "name the file that --report has written"


class Word(Protocol):
    """A verdict, of a run of any kind."""

    @property
    def good(self) -> bool:
        """Whether the board needs nothing more."""


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """What is left of an earlier run.

    Attributes:
        fingerprint: of its order.
        ports: where a board still needs something.
        done: the MACs of the boards that need nothing more.
        kept: the documents of those, for the next report.
    """

    fingerprint: str
    ports: tuple[str, ...]
    done: tuple[str, ...]
    kept: tuple[Mapping[str, object], ...]


def board_document(result: BoardResult) -> dict[str, object]:
    """One board's result."""
    facts: dict[str, object] = {} if result.facts is None else facts_document(result.facts)
    head: dict[str, object] = {"serial_port": result.port, "verdict": result.verdict.value}
    is_error = result.verdict is not Verdict.REPEATED
    return head | facts | outcome_document(result, result.error if is_error else None)


class Outcome(Protocol):
    """What became of a board, in a run of any kind; as `BoardResult`."""

    @property
    def exit_code(self) -> int: ...
    @property
    def error(self) -> EvtoolError | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def failed(self) -> Sequence[Try]: ...
    @property
    def bytes_written(self) -> int: ...
    @property
    def times_ms(self) -> Mapping[str, int]: ...
    @property
    def boot(self) -> Mapping[str, str] | None: ...


class Try(Protocol):
    """A try that did not succeed; as `FailedAttempt`."""

    @property
    def number(self) -> int: ...
    @property
    def baudrate(self) -> int: ...
    @property
    def reason(self) -> str: ...


def outcome_document(result: Outcome, error: EvtoolError | None) -> dict[str, object]:
    """How it went; `error` is what counts as one."""
    return {
        "exit_code": result.exit_code,
        "error": None if error is None else type(error).__name__,
        "message": None if result.error is None else result.error.message,
        "fix": None if result.error is None else result.error.fix,
        "attempts": result.attempts,
        "failed_attempts": [
            {"number": each.number, "baudrate": each.baudrate, "reason": each.reason}
            for each in result.failed
        ],
        "bytes_written": result.bytes_written,
        "times_ms": dict(result.times_ms),
        "boot": None if result.boot is None else dict(result.boot),
    }


def run_document(
    order: Order,
    results: Sequence[BoardResult],
    unfinished: Iterable[str] = (),
    kept: Sequence[Mapping[str, object]] = (),
) -> dict[str, object]:
    """The whole run.

    Args:
        order: what was written.
        results: of the boards that are done with, in the order in which they ended.
        unfinished: the ports that still work, or wait.
        kept: boards of the run that this one takes up.
    """
    head = {
        "chip": order.chip,
        "build_id": order.build_id,
        "title": order.title,
        "fingerprint": order.fingerprint,
        "images": [
            {
                "name": part.name,
                "offset": part.offset,
                "size": len(part.data),
                # A guess at what is in an image of secrets can be checked by its hash.
                "sha256": None if part.secret else part.sha256,
            }
            for part in order.parts
        ],
    }
    return station_document(head, [*kept, *map(board_document, results)], unfinished)


def station_document(
    head: Mapping[str, object],
    boards: Sequence[Mapping[str, object]],
    unfinished: Iterable[str],
) -> dict[str, object]:
    """A run of any kind.

    Args:
        head: what is said of it as a whole.
        boards: the documents of those that are done with.
        unfinished: the ports that still work, or wait.
    """
    waiting = [
        {
            "serial_port": port,
            "verdict": Verdict.UNFINISHED.value,
            "exit_code": EvtoolError.exit_code,
            "message": "the run ended before this board was done",
        }
        for port in sorted(unfinished)
    ]
    listed = [*boards, *waiting]
    counts: dict[str, int] = {}
    for board in listed:
        word = str(board["verdict"])
        counts[word] = counts.get(word, 0) + 1
    code = max((_code(board) for board in listed), default=0)
    tail = {"boards": listed, "counts": counts, "exit_code": code}
    return {"schema": SCHEMA} | dict(head) | tail


def parse_report(text: str, path: Path, words: Callable[[object], Word] = Verdict) -> PreviousRun:
    """What `station_document` made.

    Args:
        words: the verdicts of such a run; each says whether it is `good`.

    Raises:
        ConfigError: it is not such a report.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}", fix=_FIX) from error
    boards = document.get("boards") if isinstance(document, dict) else None
    if not isinstance(boards, list) or document.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: not a report of schema {SCHEMA}", fix=_FIX)
    kept, ports = [], []
    for number, board in enumerate(boards):
        port = board.get("serial_port") if isinstance(board, dict) else None
        try:
            verdict = words(board.get("verdict") if isinstance(board, dict) else None)
        except ValueError as error:
            raise ConfigError(f"{path}: boards[{number}]: no verdict", fix=_FIX) from error
        if not isinstance(port, str) or not isinstance(board, dict):
            raise ConfigError(f"{path}: boards[{number}]: no serial_port", fix=_FIX)
        if verdict.good:
            kept.append(board)
        else:
            ports.append(port)
    done = tuple(str(board["mac"]) for board in kept if board.get("mac"))
    fingerprint = str(document.get("fingerprint", ""))
    # In a jig several boards may have failed at one port.
    return PreviousRun(fingerprint, tuple(dict.fromkeys(ports)), done, tuple(kept))


def check_same_order(previous: PreviousRun, fingerprint: str, path: Path) -> None:
    """See that a run is taken up with what it was begun with.

    Raises:
        ConfigError: the images, or the units, are others.
    """
    if previous.fingerprint != fingerprint:
        raise ConfigError(
            f"{path}: that run wrote other images than this one would",
            fix="flash all boards anew, without --retry-failed",
        )


def _code(board: Mapping[str, object]) -> int:
    code = board.get("exit_code")
    return code if isinstance(code, int) else EvtoolError.exit_code
