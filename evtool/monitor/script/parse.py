# SPDX-License-Identifier: GPL-3.0-or-later
"""From a script's text to its steps. Every mistake is found before the first step is run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path

from evtool.errors import ConfigError
from evtool.monitor.script import steps
from evtool.monitor.script.conditions import RECORDS, parse_condition
from evtool.monitor.script.line_words import LineWords
from evtool.monitor.script.words import (
    Expression,
    Place,
    Text,
    Word,
    group_names,
    references,
    split_words,
)

MAX_STEPS = 10_000
_MAX_DEPTH = 16
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FIELD = re.compile(r"([a-z][a-z0-9_]*)=(.+)\Z")

USAGE = {
    "assert": "assert RECORD.FIELD CONDITION [for TIME] [within TIME]",
    "expect": "expect /RE/ [within TIME]",
    "expect-not": "expect-not /RE/ for TIME",
    "expect-panic": "expect-panic [within TIME]",
    "fail-on": "fail-on /RE/, or fail-on nothing",
    "include": 'include "FILE"',
    "port": 'port NUMBER, or port "NAME"',
    "print": 'print "TEXT"',
    "reset": "reset",
    "secret": "secret NAME VARIABLE",
    "send": 'send "TEXT"',
    "send-hex": "send-hex 01 02 FF",
    "set": 'set NAME "TEXT"',
    "sleep": "sleep TIME",
    "wait": "wait RECORD | event KIND [FIELD=VALUE ...] | RECORD.FIELD CONDITION [within TIME]",
    "within": "within TIME",
}


def parse_script(path: Path, read: Callable[[Path], str]) -> steps.Program:
    """The program in the file `path`.

    Args:
        read: the text of a script's file; raises ConfigError.

    Raises:
        ScriptError: a line is wrong, with file:line:column and what to write.
        ConfigError: a file cannot be read.
    """
    parser = _Parser(read)
    parser.file(path, read(path))
    if not parser.steps:
        raise Place(str(path), 1).error("the script has no step", "a script does something")
    return steps.Program(path.name, tuple(parser.steps), tuple(parser.ports))


class _Parser:
    def __init__(self, read: Callable[[Path], str]) -> None:
        self.steps: list[steps.Step] = []
        self.ports: dict[str, None] = {}
        self._read = read
        self._open: list[Path] = []
        self._variables: set[str] = set()
        self._within_ms = steps.DEFAULT_WITHIN_MS
        self._port = ""

    def file(self, path: Path, text: str) -> None:
        self._open.append(path.resolve())
        for number, line in enumerate(text.splitlines(), 1):
            place = Place(str(path), number)
            words = LineWords(split_words(line, place), place)
            if words.tokens:
                self._line(path, words, line.strip())
        self._open.pop()

    def _line(self, path: Path, words: LineWords, source: str) -> None:
        place = words.place
        port = self._port
        first = words.tokens[0]
        if isinstance(first, Word) and first.text.startswith("@"):
            port = words.word("a step behind the port").text[1:]
            self._name_port(port, place)
        verb = words.word("a step")
        if verb.text not in USAGE:
            if "." in verb.text and verb.text.partition(".")[0] in RECORDS:
                # `terminal.v between 60 and 84 for 5s` on its own is an assertion
                words.back()
                words.usage = USAGE["assert"]
                self._add(self._condition(steps.Assert, words, source, port))
                return
            near = difflib.get_close_matches(verb.text, USAGE, 1)
            fix = f"did you mean {USAGE[near[0]]}?" if near else f"the steps: {', '.join(USAGE)}"
            raise place.at(verb.column).error(f"unknown step {verb.text!r}", fix)
        words.usage = USAGE[verb.text]
        if verb.text == "include":
            self._include(path, words)
        elif verb.text == "within":
            self._within_ms = words.duration()
            words.end()
        elif verb.text == "port":
            self._port = self._port_name(words)
            self._name_port(self._port, place)
            words.end()
        else:
            self._add(self._step(verb.text, words, source, port))

    @staticmethod
    def _port_name(words: LineWords) -> str:
        if words.peek_word() is not None:
            return words.word("the port's name").text
        name = words.text("the port's name, or its number,")
        if references(name.pieces):
            raise words.place.at(name.column).error(
                "a variable in a port's name", "write the name itself"
            )
        return "".join(str(piece) for piece in name.pieces)

    def _name_port(self, port: str, place: Place) -> None:
        if not port:
            raise place.error("a port's name is missing", "write @NAME in front of the step")
        self.ports[port] = None

    def _add(self, step: steps.Step) -> None:
        self.steps.append(step)
        if len(self.steps) > MAX_STEPS:
            raise step.place.error(f"more than {MAX_STEPS} steps", "split the script")

    def _include(self, path: Path, words: LineWords) -> None:
        name = words.text("the file's name")
        words.end()
        where = words.place.at(name.column)
        if references(name.pieces):
            raise where.error("a variable in a file's name", "write the name itself")
        target = path.parent / "".join(str(piece) for piece in name.pieces)
        if target.resolve() in self._open:
            raise where.error(f"{target} includes itself", "take the include out")
        if len(self._open) >= _MAX_DEPTH:
            raise where.error(f"more than {_MAX_DEPTH} files deep", "include fewer files")
        try:
            text = self._read(target)
        except ConfigError as error:
            fix = "a file is looked for beside the one that includes it"
            raise where.error(error.message, fix) from error
        self.file(target, text)

    def _step(  # noqa: C901, PLR0911, PLR0912  one case a step
        self, verb: str, words: LineWords, source: str, port: str
    ) -> steps.Step:
        place = words.place
        match verb:
            case "send":
                text = self._known(words.text("a text"), place)
                words.end()
                return steps.Send(place, source, port, pieces=text.pieces)
            case "send-hex":
                return steps.Send(place, source, port, data=words.hex_bytes())
            case "expect":
                pattern = self._pattern(words)
                within_ms = words.option("within", self._within_ms)
                words.end()
                self._learn(pattern)
                return steps.Expect(place, source, port, pattern, within_ms)
            case "expect-not":
                pattern = self._pattern(words)
                during_ms = words.required_time("for")
                words.end()
                return steps.ExpectNot(place, source, port, pattern, during_ms)
            case "expect-panic":
                within_ms = words.option("within", self._within_ms)
                words.end()
                return steps.ExpectPanic(place, source, port, within_ms)
            case "fail-on":
                return self._fail_on(words, source, port)
            case "assert":
                if words.tokens[words.at :] and isinstance(words.tokens[words.at], Text):
                    return self._assert_text(words, source, port)
                return self._condition(steps.Assert, words, source, port)
            case "wait":
                return self._wait(words, source, port)
            case "set":
                return self._set(words, source, port)
            case "secret":
                return self._secret(words, source, port)
            case "print":
                text = self._known(words.text("a text"), place)
                words.end()
                return steps.Print(place, source, port, text)
            case "sleep":
                for_ms = words.duration()
                words.end()
                return steps.Sleep(place, source, port, for_ms)
            case _:
                words.end()
                return steps.Reset(place, source, port)

    def _pattern(self, words: LineWords) -> Expression | Text:
        pattern = words.pattern()
        if isinstance(pattern, Text) and not pattern.pieces:
            raise words.place.at(pattern.column).error(
                "an empty text stands everywhere", "write what the board must say"
            )
        self._check_variables(pattern, words.place)
        return pattern

    def _learn(self, pattern: Expression | Text) -> None:
        if isinstance(pattern, Expression):
            self._variables.update(group_names(pattern))

    def _known(self, text: Text, place: Place) -> Text:
        self._check_variables(text, place)
        return text

    def _check_variables(self, pattern: Expression | Text, place: Place) -> None:
        for reference in references(pattern.pieces):
            if reference.name not in self._variables:
                raise place.at(reference.column).error(
                    f"${{{reference.name}}} has no value here",
                    f'give it one before: set {reference.name} "TEXT", or a group '
                    f"(?P<{reference.name}>...) in an expect; a $ itself is \\$",
                )

    def _fail_on(self, words: LineWords, source: str, port: str) -> steps.Step:
        if words.take_word("nothing"):
            words.end()
            return steps.FailOn(words.place, source, port, None)
        pattern = self._pattern(words)
        words.end()
        return steps.FailOn(words.place, source, port, pattern)

    @staticmethod
    def _name(words: LineWords, what: str) -> str:
        name = words.word(what)
        if _NAME.match(name.text) is None:
            raise words.place.at(name.column).error(
                f"{name.text!r} is no name of a variable", "letters, digits and _, no digit first"
            )
        return name.text

    def _secret(self, words: LineWords, source: str, port: str) -> steps.Step:
        name = self._name(words, "the variable's name")
        variable = self._name(words, "an environment variable's name")
        words.end()
        self._variables.add(name)
        return steps.Secret(words.place, source, port, name, variable)

    def _set(self, words: LineWords, source: str, port: str) -> steps.Step:
        name = self._name(words, "the variable's name")
        value = self._known(words.text("its text"), words.place)
        words.end()
        self._variables.add(name)
        return steps.Set(words.place, source, port, name, value)

    def _assert_text(self, words: LineWords, source: str, port: str) -> steps.Step:
        left = self._known(words.text("a text"), words.place)
        operator = words.word("is, is not, or matches")
        negated = False
        if operator.text == "is":
            negated = words.take_word("not")
            right: Text | Expression = self._known(words.text("a text"), words.place)
        elif operator.text == "matches":
            right = words.expression()
            self._check_variables(right, words.place)
        else:
            raise words.place.at(operator.column).error(
                f"{operator.text!r} compares no texts", 'assert "TEXT" is "TEXT", or matches /RE/'
            )
        words.end()
        return steps.AssertText(words.place, source, port, left, right, negated)

    def _wait(self, words: LineWords, source: str, port: str) -> steps.Step:
        name = words.word("a record, `event KIND`, or RECORD.FIELD")
        if "." in name.text:
            words.back()
            return self._condition(steps.WaitFor, words, source, port)
        place = words.place
        kind = ""
        if name.text == "event":
            kind = words.word("what happened, such as boot").text
        elif name.text not in RECORDS:
            raise place.at(name.column).error(
                f"there is no record {name.text!r}",
                f"the records are {', '.join(RECORDS)}, and `event KIND`",
            )
        fields = []
        while (word := words.peek_word()) and (found := _FIELD.match(word.text)):
            if not kind:
                raise place.at(word.column).error(
                    "only an event is picked by its fields",
                    f"write wait {name.text}.{found[1]} is {found[2]}",
                )
            fields.append((found[1], found[2]))
            words.at += 1
        within_ms = words.option("within", self._within_ms)
        words.end()
        return steps.WaitRecord(place, source, port, name.text, kind, tuple(fields), within_ms)

    def _condition(
        self,
        kind: type[steps.Assert] | type[steps.WaitFor],
        words: LineWords,
        source: str,
        port: str,
    ) -> steps.Step:
        place = words.place
        tokens = words.until("for", "within")
        if not tokens:
            raise words.missing("a condition")
        condition = parse_condition(tokens, place)
        for_ms = words.option("for", 0)
        within_ms = words.option("within", self._within_ms)
        words.end()
        return kind(place, source, port, condition, for_ms, within_ms)
