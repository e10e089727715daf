"""Types of expressions, read from the source without running it: enough to follow who calls whom."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

Function = types.FunctionType


class Instance:
    """Some value of a class."""

    def __init__(self, of: type) -> None:
        self.of = of


class Known:
    """A value that stands there already: a module, a class, a function, a constant."""

    def __init__(self, value: object) -> None:
        self.value = value


Meaning = Instance | Known | None


@cache
def tree(function: Function) -> ast.AST | None:
    """Return the syntax of a function, None where its source is not to be had."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None


@cache
def hints(thing: Any) -> Mapping[str, Any]:
    """Return the annotations of a function or class, none where they cannot be read."""
    try:
        return typing.get_type_hints(thing)
    except (NameError, TypeError, AttributeError):
        return {}


def plain(value: object) -> Function | None:
    """Return the function behind a value that can be called."""
    while not isinstance(value, Function):
        if isinstance(value, staticmethod | classmethod | types.MethodType):
            value = value.__func__
        elif isinstance(value, partial):
            value = value.func
        else:
            return None
    return typing.cast("Function", inspect.unwrap(value))


class Scope:
    """What the names in a function mean."""

    def __init__(self, function: Function, owner: type | None) -> None:
        self._globals = function.__globals__
        self._locals: dict[str, Meaning] = {
            name: meaning_of(hint) for name, hint in hints(function).items() if name != "return"
        }
        first = next(iter(inspect.signature(function).parameters), None)
        if owner is not None and first == "self":
            self._locals["self"] = Instance(owner)
        elif owner is not None and first == "cls":
            self._locals["cls"] = Known(owner)

    def bind(self, target: ast.expr | None, meaning: Meaning) -> None:
        """Note an assignment to a name."""
        if isinstance(target, ast.Name):
            self._locals[target.id] = meaning

    def meaning(self, expression: ast.expr) -> Meaning:
        """Return what an expression is, None when that cannot be told."""
        match expression:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Await(value=value) | ast.IfExp(body=value) | ast.BoolOp(values=[value, *_]):
                return self.meaning(value)
            case ast.Attribute(value=value, attr=name):
                return _attribute(self.meaning(value), name)
            case ast.Call(func=called):
                return _result(self.meaning(called))
        return None

    def _name(self, name: str) -> Meaning:
        if name in self._locals:
            return self._locals[name]
        return Known(self._globals[name]) if name in self._globals else None


def meaning_of(hint: Any) -> Meaning:
    """Return what a value with this annotation is; of a union the first part that is a class."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = (meaning_of(part) for part in typing.get_args(hint) if part is not type(None))
        return next((part for part in parts if part is not None), None)
    hint = typing.get_origin(hint) or hint
    return Instance(hint) if isinstance(hint, type) else None


def _attribute(meaning: Meaning, name: str) -> Meaning:
    if isinstance(meaning, Known) and isinstance(meaning.value, types.ModuleType | type):
        return _member(meaning.value, name)
    if isinstance(meaning, Known):
        meaning = Instance(type(meaning.value))
    if not isinstance(meaning, Instance):
        return None
    found = inspect.getattr_static(meaning.of, name, None)
    if isinstance(found, property) and found.fget is not None:
        return meaning_of(hints(found.fget).get("return"))
    if plain(found) is not None:
        return Known(types.MethodType(found, meaning.of) if isinstance(found, Function) else found)
    return meaning_of(hints(meaning.of).get(name)) or _own(meaning.of, name)


def _member(holder: types.ModuleType | type, name: str) -> Meaning:
    try:
        return Known(inspect.getattr_static(holder, name))
    except AttributeError:
        return None


@cache
def _own(owner: type, name: str) -> Meaning:
    """Find ``self.name = ...`` in the constructor."""
    made = plain(inspect.getattr_static(owner, "__init__", None))
    body = tree(made) if made is not None else None
    if made is None or body is None:
        return None
    scope = Scope(made, owner)
    for each in ast.walk(body):
        for target, value in assignments(each):
            if isinstance(target, ast.Name):
                scope.bind(target, scope.meaning(value))
            if isinstance(target, ast.Attribute) and target.attr == name:
                return scope.meaning(value)
    return None


def assignments(node: ast.AST) -> Iterator[tuple[ast.expr | None, ast.expr]]:
    """Yield what a node gives names to, and the values."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(target.elts, node.value.elts, strict=False)
            else:
                yield target, node.value
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield node.target, node.value


def _result(called: Meaning) -> Meaning:
    if not isinstance(called, Known):
        return None
    if isinstance(called.value, type):
        return Instance(called.value)
    function = plain(called.value)
    return meaning_of(hints(function).get("return")) if function is not None else None


def entered(meaning: Meaning, call: ast.expr, scope: Scope) -> Meaning:
    """Return what ``async with`` binds: what the context's function yields, else itself."""
    if isinstance(call, ast.Call):
        called = scope.meaning(call.func)
        function = plain(called.value) if isinstance(called, Known) else None
        yielded = typing.get_args(hints(function).get("return")) if function is not None else ()
        if yielded:
            return meaning_of(yielded[0])
    return meaning


def owner_of(callable_: object) -> type | None:
    """Return the class whose method this is, where it is bound to one or to an instance of one."""
    bound: Callable[..., Any] | type | None = getattr(callable_, "__self__", None)
    if bound is None:
        return None
    return bound if isinstance(bound, type) else type(bound)
