"""Which refusals, limits and headers a route can give: read from its source and that of all it calls."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from hub.core.errors import HubError
from hub.web.cookies import forgotten, session_cookie
from hub.web.documents.source import (
    Function,
    Instance,
    Known,
    Scope,
    assignments,
    entered,
    owner_of,
    plain,
    tree,
)
from hub.web.v1.errors import CompletionFailedError
from hub.web.v1.telling import live

Error = type[HubError]

#: Headers of answers that are looked for as text in the web's own functions.
HEADERS = frozenset(
    {
        "Accept-Ranges",
        "Cache-Control",
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "Vary",
    }
)


class Found:
    """What a function can do, itself or by what it calls. ``limits`` names the actions that are counted."""

    def __init__(self) -> None:
        self.errors: set[Error] = set()
        #: Errors that the function itself makes, to be raised by its caller.
        self.made: set[Error] = set()
        self.limits: set[str] = set()
        self.headers: set[str] = set()
        #: It can answer with a stream in place of one value, and with a failed completion.
        self.streams = False
        self.fails = False

    def add(self, other: Found) -> None:
        """Add what another function can do."""
        self.errors |= other.errors
        self.limits |= other.limits
        self.headers |= other.headers
        self.streams |= other.streams
        self.fails |= other.fails


class Reader:
    """Reads functions, each once."""

    def __init__(self) -> None:
        #: What each error says to its reader, where that is the same always.
        self.details: dict[Error, str] = {}
        self._read: dict[tuple[Function, type | None], Found] = {}

    def read(self, called: Callable[..., Any]) -> Found:
        """Return what a function of the hub can do; nothing for what is not the hub's."""
        function = plain(called)
        if function is None or not function.__module__.startswith("hub."):
            return Found()
        owner = owner_of(called)
        found = self._read.get((function, owner))
        if found is None:
            found = self._read[function, owner] = Found()  # at once: a function may call itself
            body = tree(function)
            if body is not None:
                _Visitor(self, function, owner, found).generic_visit(body)
        return found


class _Visitor(ast.NodeVisitor):
    def __init__(self, reader: Reader, function: Function, owner: type | None, found: Found) -> None:
        self._reader = reader
        self._scope = Scope(function, owner)
        self._found = found
        self._is_web = function.__module__.startswith("hub.web.")

    def generic_visit(self, node: ast.AST) -> None:
        super().generic_visit(node)
        for target, value in assignments(node):
            self._scope.bind(target, self._scope.meaning(value))

    def visit_Constant(self, node: ast.Constant) -> None:
        if self._is_web and node.value in HEADERS:
            self._found.headers.add(str(node.value))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self._with(node)

    def visit_With(self, node: ast.With) -> None:
        self._with(node)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            meaning = entered(self._scope.meaning(item.context_expr), item.context_expr, self._scope)
            self._scope.bind(item.optional_vars, meaning)
        for statement in node.body:
            self.visit(statement)

    def visit_Try(self, node: ast.Try) -> None:
        """Take away what is caught, unless it is raised on."""
        outer, self._found = self._found, Found()
        for statement in node.body:
            self.visit(statement)
        caught = tuple(
            error for handler in node.handlers if not _raises_on(handler) for error in self._types(handler)
        )
        self._found.errors = {error for error in self._found.errors if not issubclass(error, caught)}
        outer.add(self._found)
        self._found = outer
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)

    def _types(self, handler: ast.ExceptHandler) -> Iterable[type]:
        parts = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        for part in parts:
            meaning = self._scope.meaning(part) if part is not None else Known(BaseException)
            if isinstance(meaning, Known):
                yield from (each for each in _as_tuple(meaning.value) if isinstance(each, type))

    def visit_Raise(self, node: ast.Raise) -> None:
        meaning = self._scope.meaning(node.exc) if node.exc is not None else None
        error = meaning.value if isinstance(meaning, Known) else None
        if isinstance(meaning, Instance):
            error = meaning.of
        if error is CompletionFailedError:
            self._found.fails = True
        if isinstance(error, type) and issubclass(error, HubError) and error is not HubError:
            self._found.errors.add(error)
        if error is HubError and node.exc is not None:  # one of those that the function chooses from
            self._found.errors |= self._made_by(node.exc)
        self.generic_visit(node)

    def _made_by(self, expression: ast.expr) -> set[Error]:
        while isinstance(expression, ast.Await):
            expression = expression.value
        called = self._scope.meaning(expression.func) if isinstance(expression, ast.Call) else None
        if isinstance(called, Known) and callable(called.value):
            return self._reader.read(called.value).made
        return set()

    def visit_Call(self, node: ast.Call) -> None:
        called = self._scope.meaning(node.func)
        if isinstance(called, Known):
            self._call(called.value, node)
        for argument in node.args:  # functions that are handed on to be called
            meaning = (
                self._scope.meaning(argument) if isinstance(argument, ast.Name | ast.Attribute) else None
            )
            if isinstance(meaning, Known) and callable(meaning.value):
                self._found.add(self._reader.read(meaning.value))
        self.generic_visit(node)

    def _call(self, called: Any, node: ast.Call) -> None:
        function = plain(called)
        if function is not None and function.__qualname__ == "Limits.take" and node.args:
            self._limit(node.args[0])
        if function is live:
            self._found.streams = True
        if function is not None and function in (session_cookie, forgotten):
            self._found.headers.add("Set-Cookie")
        if isinstance(called, type) and issubclass(called, HubError):
            self._found.made.add(called)
        if isinstance(called, type):
            self._note_detail(called, node)
            made = inspect.getattr_static(called, "__init__", None)
            if isinstance(made, Function):
                self._found.add(self._reader.read(made.__get__(None, called)))
        elif function is not None:
            self._found.add(self._reader.read(called))

    def _note_detail(self, called: type, node: ast.Call) -> None:
        """Keep the sentence that an error is made with."""
        sentence = node.args[0] if node.args and issubclass(called, HubError) else None
        if isinstance(sentence, ast.Constant) and isinstance(sentence.value, str) and " " in sentence.value:
            self._reader.details.setdefault(called, sentence.value)

    def _limit(self, action: ast.expr) -> None:
        if isinstance(action, ast.Attribute):
            self._found.limits.add(action.attr.lower())


def _raises_on(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(each, ast.Raise) and each.exc is None for each in ast.walk(handler))


def _as_tuple(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)
