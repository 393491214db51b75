"""Conditions as text: a small safe grammar, never evaluated as Python.

The grammar has names, numbers, texts, comparisons (also chained), ``'word' in name``,
``and``, ``or``, ``not``, parentheses and a minus sign.  The caller gives the value of
each name: a column of a table, or a number.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from heliostat.errors import RequestError

_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Condition:
    """Comparisons joined by ``and``, ``or`` and ``not``.

    Args:
        text: the condition.
        option: name of the option; error messages begin with it.
        example: a valid condition for this option, for error messages.

    Raises:
        RequestError: if the text is not a condition.

    Example:
        >>> Condition("0 < x <= 2 and not y == 1", "where").names
        ['x', 'y']
    """

    def __init__(self, text: str, option: str, example: str = "x > 1") -> None:
        words = text.split() if isinstance(text, str) else [repr(text)]
        self.text, self.option, self.example = " ".join(words), option, example
        self.names: list[str] = []
        self.texts: list[str] = []
        try:
            self._tree = ast.parse(self.text, mode="eval").body
            self._check(self._tree)
        except SyntaxError as error:
            raise self.error(f"not a condition ({error.msg})") from error
        except (ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, RequestError):
                raise
            raise self.error("not a condition (it is too long)") from error

    def error(self, reason: str) -> RequestError:
        """Return the error to raise for this condition."""
        return RequestError(f"{self.option} '{self.text}': {reason}")

    def evaluate(self, look_up: Callable[[str], Any], true: Any = True) -> Any:
        """Evaluate the condition for the values of its names.

        Args:
            look_up: returns the value of a name: a number, or a column of numbers or
                texts. Comparisons with what is missing are false; ``not in`` is true.
            true: the value of a true condition: True, or a column of True.

        Example:
            >>> Condition("x < 2", "where").evaluate({"x": 1.0}.__getitem__)
            True
        """
        try:
            return self._truth(self._tree, look_up, true)
        except TypeError as error:
            raise self.error(str(error)) from error

    def _truth(self, node: ast.expr, look_up: Callable[[str], Any], true: Any) -> Any:
        match node:
            case ast.BoolOp(op=op, values=values):
                join = operator.and_ if isinstance(op, ast.And) else operator.or_
                joined, *parts = [self._truth(v, look_up, true) for v in values]
                for part in parts:
                    joined = join(joined, part)
                return joined
            case ast.UnaryOp(operand=operand):
                return true ^ self._truth(operand, look_up, true)
            case ast.Compare(ops=[ast.In() | ast.NotIn() as op]):
                word, column = (
                    self._value(v, look_up) for v in (node.left, *node.comparators)
                )
                contains = true & column.map(lambda entry: _has_word(entry, word))
                return contains if isinstance(op, ast.In) else true ^ contains
            case ast.Compare(left=left, ops=ops, comparators=rest):
                values = [self._value(v, look_up) for v in (left, *rest)]
                result = true
                for op, a, b in zip(ops, values, values[1:], strict=False):
                    result = result & _compare(_OPERATORS[type(op)], a, b)
                return result
        raise AssertionError(node)

    def _value(self, node: ast.expr, look_up: Callable[[str], Any]) -> Any:
        match node:
            case ast.Name(id=name):
                return look_up(name)
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(operand=operand):
                return -self._value(operand, look_up)
        raise AssertionError(node)

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=parts):
                for part in parts:
                    self._check(part)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._check(operand)
            case ast.Compare(
                left=ast.Constant(value=str()),
                ops=[ast.In() | ast.NotIn()],
                comparators=[ast.Name()],
            ):
                for value in (node.left, *node.comparators):
                    self._check_value(value)
            case ast.Compare(left=left, ops=ops, comparators=rest) if all(
                type(op) in _OPERATORS for op in ops
            ):
                for value in (left, *rest):
                    self._check_value(value)
            case _:
                raise self.error(
                    "expected comparisons joined by and, or, not, such as "
                    f'"{self.example}"'
                )

    def _check_value(self, node: ast.expr) -> None:
        match node:
            case ast.Name(id=name):
                self.names += [name] * (name not in self.names)
            case ast.Constant(value=str(text)):
                self.texts.append(text)
            case ast.Constant(value=int() | float()):
                pass
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self._check_value(operand)
            case _:
                raise self.error(
                    f"'{ast.unparse(node)}' is not allowed; use names, numbers, texts"
                )


def _has_word(entry: object, word: str) -> bool:
    return isinstance(entry, str) and word in entry.split()


def _compare(compare: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if any(isinstance(v, float) and math.isnan(v) for v in (left, right)):
        return False
    result = compare(left, right)
    for column in (v for v in (left, right) if hasattr(v, "notna")):
        result = result.where(column.notna(), False)
    return result
