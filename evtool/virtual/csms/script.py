# SPDX-License-Identifier: GPL-3.0-or-later
"""A script: commands, waits with deadlines, expectations; it passes or fails at a line.

::

    # anything that stdin takes, and
    wait SECONDS connected STATION
    wait SECONDS received STATION ACTION [FIELD=VALUE ...]
    wait SECONDS sent STATION ACTION [FIELD=VALUE ...]
    wait SECONDS EVENT STATION [FIELD=VALUE ...]
    never SECONDS ...                  the same must not come
    expect FIELD=VALUE ...             in the answer to the command before
    expect refused [TEXT]              the command before had to fail
    pause SECONDS

A wait looks at what happened since the event that the wait before it took; `never` takes
nothing: the wait after it looks at all that came meanwhile. `${FIELD}` in a line is a field of
the latest event or answer that was taken, as one word or part of one, whatever a station put
into it; within the JSON of `call` it is escaped as JSON wants it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from evtool.errors import CheckFailed, DeviceError
from evtool.protocol import ocpp16
from evtool.virtual.csms.control import NAMES, Control
from evtool.virtual.csms.ports import Event
from evtool.virtual.csms.waiting import Feed, sleep, within

_UNREAD = 10_000
_LONGEST_S = 86_400.0
_FIELD = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*)\}")
_PLAIN = ("wait", "never", "expect", "pause")
EVENTS = (
    "connected", "credentials", "csr_refused", "disconnected", "fault", "flood", "gave_up",
    "guessing", "message", "rejected", "transaction", "violation",
)  # fmt: skip
"""The events that name a station: what a wait may wait for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a wait waits for; `event` is an event's name, or a message's direction."""

    event: str
    station: str
    action: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def fits(self, event: Event) -> bool:
        """Whether it is this."""
        if event.get("station") != self.station:
            return False
        if self.action is not None:
            if event.get("event") != "message" or event.get("direction") != self.event:
                return False
            if event.get("type") != "call" or event.get("action") != self.action:
                return False
        elif event.get("event") != self.event:
            return False
        return not _differences(self.fields, event)


class Script:
    """One run of a script.

    Args:
        name: for the messages.
        text: its lines.

    Raises:
        ValueError: a line is wrong; checked before anything is done.
    """

    def __init__(self, name: str, text: str, control: Control) -> None:
        self._name = name
        self._control = control
        self._events: Feed[Event] = Feed(_UNREAD)
        self._again: deque[Event] = deque(maxlen=_UNREAD)  # what a `never` has seen
        self._taken: Event = {}
        self._lines = [
            (number, line.strip())
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        if not self._lines:
            raise ValueError(f"{name}: no line to run")
        for number, line in self._lines:
            try:
                _check(line)
            except ValueError as error:
                raise ValueError(f"{name}:{number}: {error}") from error

    def on_event(self, event: Event) -> None:
        """Everything that happens; waits look at it."""
        self._events.put(event)

    async def run(self) -> int:
        """Run it; returns how many lines there were.

        Raises:
            CheckFailed: a line failed; the message names it, and what came instead.
        """
        failure: str | None = None
        for at, (number, line) in enumerate(self._lines):
            name = line.partition(" ")[0]
            follows = self._lines[at + 1][1] if at + 1 < len(self._lines) else ""
            try:
                line = fill(line, self._taken)  # noqa: PLW2901 - the line as it is run
                if name in _PLAIN:
                    await self._carry_out(name, line.partition(" ")[2], failure)
                    failure = None
                    continue
                failure = None
                self._taken = await self._control.obey(line)
            except (ValueError, DeviceError) as error:
                reason = getattr(error, "message", str(error))
                if name in _PLAIN or not follows.startswith("expect refused"):
                    raise CheckFailed(f"{self._name}:{number}: {_shown(line)}: {reason}") from error
                failure = str(reason)
        return len(self._lines)

    async def _carry_out(self, name: str, rest: str, failure: str | None) -> None:
        words = shlex.split(rest)
        if name == "expect":
            self._expect(words, failure)
        elif name == "pause":
            await sleep(_seconds(words[0]))
        elif name == "wait":
            await self._wait(_seconds(words[0]), _wanted(words[1:]))
        else:
            await self._never(_seconds(words[0]), _wanted(words[1:]))

    def _expect(self, words: list[str], failure: str | None) -> None:
        if words[0] == "refused":
            text = " ".join(words[1:])
            if failure is None:
                raise ValueError("the command before was not refused")
            if text not in failure:
                raise ValueError(f"it was refused, but: {failure}")
            return
        differences = _differences(_fields(words), self._taken)
        if differences:
            raise ValueError("; ".join(differences))

    async def _wait(self, seconds: float, wanted: Wanted) -> None:
        last: str = "nothing of that station"

        async def look() -> Event:
            nonlocal last
            while True:
                event = await self._next()
                if wanted.fits(event):
                    return event
                if event.get("station") == wanted.station:
                    what = event.get("action") or ""
                    last = f"{event.get('direction') or event.get('event')} {what}".strip()

        try:
            self._taken = await within(seconds, look())
        except TimeoutError as error:
            reason = f"it did not come within {seconds:g} s; the last was: {last}"
            raise ValueError(reason) from error

    async def _never(self, seconds: float, wanted: Wanted) -> None:
        seen: list[Event] = []

        async def look() -> None:
            while True:
                seen.append(await self._next())
                if wanted.fits(seen[-1]):
                    return

        try:
            await within(seconds, look())
        except TimeoutError:
            self._again.extendleft(reversed(seen))
            return
        raise ValueError("it came")

    async def _next(self) -> Event:
        return self._again.popleft() if self._again else await self._events.get(_LONGEST_S)


def fill(line: str, taken: Event) -> str:
    """A line with its fields; a field that was not there stays as it is written.

    Raises:
        ValueError: quotes do not match, or a word of `call` would become several.
    """
    if _FIELD.search(line) is None:
        return line
    words = line.split(None, 3)
    if words[0] != "call":
        filled = [_FIELD.sub(lambda m: _inserted(m, taken), word) for word in shlex.split(line)]
        return shlex.join(filled)
    for at in (1, 2):
        if at < len(words):
            words[at] = _FIELD.sub(lambda m: _inserted(m, taken), words[at])
            if len(words[at].split()) != 1:
                raise ValueError(f"call: {words[at]!a} is no station or action")
    if len(words) > 3:
        words[3] = _filled_json(words[3], taken)
    return " ".join(words)


def _inserted(match: re.Match[str], taken: Event) -> str:
    found = _find(taken, match.group(1))
    return match.group(0) if found is None else _text(found)


def _filled_json(text: str, taken: Event) -> str:
    parts: list[str] = []
    end = 0
    for match in _FIELD.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        found = _find(taken, match.group(1))
        if found is None:
            parts.append(match.group(0))
        elif _is_within_string(text[: match.start()]):
            parts.append(json.dumps(_text(found))[1:-1])
        else:
            parts.append(json.dumps(found))
    return "".join((*parts, text[end:]))


def _is_within_string(before: str) -> bool:
    """Whether a JSON text that begins so is in the middle of a string."""
    return re.sub(r"\\.", "", before).count('"') % 2 == 1


def _shown(line: str) -> str:
    """A line as a message may show it: without a key that it may hold."""
    return line.partition(" ")[0] + " ..." if "authorizationkey" in line.lower() else line


def _check(line: str) -> None:
    name, _, rest = line.partition(" ")
    if name not in _PLAIN and name not in NAMES and "${" not in name:
        raise ValueError(f"{name!a}: the commands are: {', '.join((*_PLAIN, *NAMES))}")
    words = shlex.split(rest) if name in _PLAIN else []
    if name in ("wait", "never"):
        _seconds(words[0] if words else "")
        _wanted(words[1:])
    elif name == "pause":
        _seconds(words[0] if len(words) == 1 else "")
    elif name == "expect":
        if not words:
            raise ValueError("expect FIELD=VALUE ..., or expect refused [TEXT]")
        if words[0] != "refused":
            _fields(words)


def _wanted(words: list[str]) -> Wanted:
    if len(words) < 2:
        raise ValueError("wait SECONDS received|sent STATION ACTION [FIELD=VALUE ...], or EVENT")
    if words[0] in ("received", "sent"):
        if len(words) < 3 or "=" in words[2]:
            raise ValueError(f"{words[0]} STATION ACTION [FIELD=VALUE ...]")
        if words[2] not in ocpp16.ACTIONS and "${" not in words[2]:
            raise ValueError(f"{words[2]!a} is no action of OCPP 1.6, so that it never comes")
        return Wanted(words[0], words[1], words[2], _fields(words[3:]))
    if words[0] not in EVENTS and "${" not in words[0]:
        raise ValueError(f"{words[0]!a}: the events are: received, sent, {', '.join(EVENTS)}")
    return Wanted(words[0], words[1], None, _fields(words[2:]))


def _fields(words: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise ValueError(f"{word!a}: expected FIELD=VALUE")
        fields[name] = value
    return fields


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise ValueError(f"{word!a}: expected seconds")
    return seconds


def _differences(fields: Mapping[str, str], event: Event) -> list[str]:
    found = {name: _find(event, name) for name in fields}
    return [
        f"{name} is {_text(found[name])}, not {value}"
        for name, value in fields.items()
        if _text(found[name]) != value
    ]


def _find(event: Event, name: str) -> object:
    """A field of the payload, or of the event itself; dots lead into objects and lists."""
    for root in (event.get("payload"), event):
        value: object = root
        for part in name.split("."):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                value = None
        if value is not None:
            return value
    return None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "missing" if value is None else str(value)
