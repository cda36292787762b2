# SPDX-License-Identifier: GPL-3.0-or-later
"""Small wrong changes to Python, on its syntax tree; each is a piece of text for another."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from mutation.mutant import Mutant, make

_COMPARE: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, ...]] = {
    ast.Add: ("-",),
    ast.Sub: ("+",),
    ast.Mult: ("+",),
    ast.FloorDiv: ("*",),
    ast.Mod: ("*",),
    ast.BitOr: ("&",),
    ast.BitAnd: ("|",),
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}

Source = Callable[[ast.AST], str]
Change = tuple[ast.expr | ast.stmt, str]


def mutants_of(file: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a Python file, each once."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: set[tuple[int, str, str]] = set()
    for node, new in _changes(ast.parse(text), text):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        old = text[start : starts[node.end_lineno - 1] + node.end_col_offset]
        if new != old and (start, old, new) not in seen:
            seen.add((start, old, new))
            yield make(file, text, start, old, new)


def _changes(tree: ast.Module, text: str) -> Iterator[Change]:
    def source(node: ast.AST) -> str:
        return ast.get_source_segment(text, node) or ""

    passed_over = _annotations_and_docstrings(tree)
    for node in ast.walk(tree):
        if id(node) in passed_over:
            continue
        if isinstance(node, ast.expr):
            yield from ((node, new) for new in _expression(node, source))
        elif isinstance(node, ast.stmt):
            yield from _statement(node, source)


def _annotations_and_docstrings(tree: ast.Module) -> set[int]:
    """What is no behaviour: types, decorators, and texts that stand alone."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            roots.append(node)
        if isinstance(node, ast.AnnAssign):
            roots.append(node.annotation)
        if isinstance(node, ast.FunctionDef):
            roots += [*node.decorator_list, *([node.returns] if node.returns else [])]
            roots += [each.annotation for each in node.args.args if each.annotation]
            roots += [each.annotation for each in node.args.kwonlyargs if each.annotation]
        if isinstance(node, ast.ClassDef):
            roots += [*node.decorator_list, *node.bases]
        if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)):
            roots.append(node)
    return {id(node) for root in roots for node in ast.walk(root)}


def _expression(node: ast.expr, source: Source) -> Iterator[str]:
    match node:
        case ast.Compare():
            yield from _comparison(node, source)
        case ast.BoolOp():
            word = " or " if isinstance(node.op, ast.And) else " and "
            yield word.join(f"({source(value)})" for value in node.values)
            yield from (source(value) for value in node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield source(node.operand)
        case ast.BinOp():
            for operator in _ARITHMETIC.get(type(node.op), ()):
                yield f"({source(node.left)}) {operator} ({source(node.right)})"
        case ast.Constant(value=bool(flag)):
            yield str(not flag)
        case ast.Constant(value=int(number)):
            yield f"{number + 1}"
            yield f"{number - 1}"
        case ast.IfExp():
            yield source(node.body)
            yield source(node.orelse)
        case ast.Name(id=name) if name in _NAMES:
            yield _NAMES[name]
        case ast.Call(func=ast.Name(id="bool"), args=[argument]):
            yield f"(not {source(argument)})"


def _comparison(node: ast.Compare, source: Source) -> Iterator[str]:
    values = [source(node.left), *(source(value) for value in node.comparators)]
    words = [_word(operator) for operator in node.ops]
    for index, operator in enumerate(node.ops):
        for new in _COMPARE.get(type(operator), ()):
            changed = [*words[:index], new, *words[index + 1 :]]
            yield values[0] + "".join(
                f" {word} {value}" for word, value in zip(changed, values[1:], strict=True)
            )


def _word(operator: ast.cmpop) -> str:
    words = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
    words |= {ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in"}
    return words.get(type(operator), "not in")


def _statement(node: ast.stmt, source: Source) -> Iterator[Change]:
    match node:
        case ast.If():
            yield node.test, f"(not ({source(node.test)}))"
            yield node.test, "True"
            yield node.test, "False"
        case ast.Return(value=ast.Compare() | ast.BoolOp() | ast.UnaryOp()) if node.value:
            yield node.value, f"(not ({source(node.value)}))"
            yield node.value, "True"
            yield node.value, "False"
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield node, "pass"
        case ast.Continue():
            yield node, "pass"
        case ast.FunctionDef(returns=ast.Constant(value=None), body=[first, *rest]) if rest:
            body = rest[0] if isinstance(first, ast.Expr) and rest else first
            yield body, f"return\n{' ' * body.col_offset}{source(body)}"
