"""Every code by which the hub tells a problem, read from its source.

A code is told where something has a parameter or a field ``code``. What is put there has to be understood:
a constant, a table, or something that was a code already. What is not is in :attr:`Told.unclear`.
"""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path

from hub.core.errors import HubError
from hub.providers.images.failures import FAILURES as IMAGE_FAILURES
from hub.providers.llm.failures import FAILURES as MODEL_FAILURES
from hub.web.problems import TITLES
from tests.services.hub import PROJECT

SOURCE = PROJECT / "src"
#: Their parameters of this name are invites, names of error classes' codes on their way, and examples.
_OTHERS = ("hub.domain.accounts", "hub.storage.codec", "hub.web.documents")
#: They take only what their table has.
_FROM_TABLES = ("failure",)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Told:
    """By code, the statuses and titles that go with it; where neither is known, the code alone."""

    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    titles: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unclear: list[str] = field(default_factory=list)

    def add(self, code: str, status: int | None = None, title: str | None = None) -> None:
        self.statuses[code] |= {status} if status is not None else set()
        self.titles[code] |= {title} if title is not None else set()

    @property
    def codes(self) -> set[str]:
        return set(self.statuses)


@cache
def told() -> Told:
    """Return all codes that can be told."""
    found = Told()
    modules = [
        Module(path) for path in sorted(SOURCE.rglob("*.py")) if "code" in path.read_text(encoding="utf-8")
    ]
    for module in modules:
        if any(module.error_classes()):
            importlib.import_module(module.name)
    for error in _errors(HubError):
        if error.__module__.startswith(("hub.", "actors.")):
            found.add(error.code, error.status, error.title)
    for status, (code, title) in TITLES.items():
        found.add(code, status, title)
    for code in (*MODEL_FAILURES, *IMAGE_FAILURES):
        found.add(code)
    takers = Takers(modules)
    for module in modules:
        if not module.name.startswith(_OTHERS):
            module.read(takers, found)
    return found


def _errors(root: type[HubError]) -> Iterator[type[HubError]]:
    yield root
    for each in root.__subclasses__():
        yield from _errors(each)


class Module:
    """A file of source."""

    def __init__(self, path: Path) -> None:
        self.name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        self.tree = ast.parse(path.read_text(encoding="utf-8"))

    def error_classes(self) -> Iterator[ast.ClassDef]:
        """Yield classes with a code of their own."""
        for each in ast.walk(self.tree):
            if isinstance(each, ast.ClassDef) and any(_assigned(line, "code") for line in each.body):
                yield each

    def read(self, takers: Takers, found: Told) -> None:
        """Add what is given to those who take a code."""
        for call, around in _calls(self.tree, ()):
            for value, status, title in takers.given(self, call):
                said_here = isinstance(value, ast.Constant)
                for code in self._codes(value, around, found):
                    found.add(code, status if said_here else None, title if said_here else None)

    def _codes(self, value: ast.expr, around: tuple[Function, ...], found: Told) -> Iterator[str]:
        """Yield the codes that an expression can be; none where it has been a code before."""
        ways = self._ways(value, around)
        for each in ways:
            yield from self._codes(each, around, found)
        if ways:
            return
        try:
            yield from self._plain(value, around)
        except LookupError:
            found.unclear.append(f"{self.name}:{value.lineno} {ast.unparse(value)}")

    def _ways(self, value: ast.expr, around: tuple[Function, ...]) -> list[ast.expr]:
        """Return what an expression is one of."""
        match value:
            case ast.IfExp():
                return [value.body, value.orelse]
            case ast.BoolOp():
                return value.values
            case ast.Call(func=ast.Attribute(value=ast.Name() as table, attr="get"), args=[_, otherwise]):
                return [ast.Subscript(table, value.args[0], lineno=value.lineno), otherwise]
            case ast.Name(id=name) if around and not any(name in _parameters(each) for each in around):
                return list(_values(around[-1], name))
        return []

    def _plain(self, value: ast.expr, around: tuple[Function, ...]) -> list[str]:
        """Return the codes of an expression that has no parts; raises ``LookupError`` if it is none."""
        match value:
            case ast.Constant(value=str(code)) | ast.Tuple(elts=[ast.Constant(value=str(code)), *_]):
                return [code]
            case ast.Constant(value=None) | ast.Attribute(attr="code" | "error_code"):
                return []
            case ast.Subscript(slice=ast.Constant(value="code" | "error_code")):
                return []
            case ast.Call(func=ast.Name(id="code_of")):
                return []
            case ast.Name(id="code") if any("code" in _parameters(each) for each in around):
                return []  # whoever calls it is looked at
            case ast.Subscript(value=ast.Name(id=table)) if codes := self._table(table):
                return codes
        raise LookupError

    def _table(self, name: str) -> list[str]:
        """Return the codes in a table of the module."""
        table = getattr(importlib.import_module(self.name), name, None)
        if not isinstance(table, Mapping):
            return []
        return [each if isinstance(each, str) else each[0] for each in table.values()]


class Takers:
    """Functions and classes that take a code, by their names; those with ``_`` only within their module."""

    def __init__(self, modules: list[Module]) -> None:
        self._takers: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
        classes = {
            each.name: (module, each)
            for module in modules
            for each in ast.walk(module.tree)
            if isinstance(each, ast.ClassDef)
        }
        for module in modules:
            for each in ast.walk(module.tree):
                if isinstance(each, Function) and _takes_code(_annotations(each)) and each.name != "__init__":
                    self._takers[each.name].append((module.name, _positional(each)))
        for name, (module, _) in classes.items():
            fields = self._fields(name, classes)
            if _takes_code(fields):
                self._takers[name].append((module.name, [each for each in fields if each != "self"]))

    def _fields(self, name: str, classes: dict[str, tuple[Module, ast.ClassDef]]) -> dict[str, str]:
        """Return what a class is made of: its initialiser's parameters, else its annotated names."""
        if name not in classes:
            return {}
        own = classes[name][1]
        for line in own.body:
            if isinstance(line, Function) and line.name == "__init__":
                return _annotations(line)
        fields: dict[str, str] = {}
        for base in own.bases:
            fields |= self._fields(_name(base), classes)
        for line in own.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                fields[line.target.id] = ast.unparse(line.annotation)
        return fields

    def given(self, module: Module, call: ast.Call) -> Iterator[tuple[ast.expr, int | None, str | None]]:
        """Yield the code that a call gives, with the status and the title beside it."""
        name = _name(call.func)
        for home, names in self._takers.get(name, ()):
            if name in _FROM_TABLES or (name.startswith("_") and home != module.name):
                continue
            given = dict(zip(names, call.args, strict=False)) | {
                each.arg or "": each.value for each in call.keywords
            }
            if "code" in given:
                status, title = _constant(given.get("status")), _constant(given.get("title"))
                yield (
                    given["code"],
                    status if isinstance(status, int) else None,
                    title if isinstance(title, str) else None,
                )
                return


def _calls(node: ast.AST, around: tuple[Function, ...]) -> Iterator[tuple[ast.Call, tuple[Function, ...]]]:
    """Yield every call, with the functions that it stands in."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.Call):
            yield each, around
        yield from _calls(each, (*around, each) if isinstance(each, Function) else around)


def _annotations(function: Function) -> dict[str, str]:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {each.arg: ast.unparse(each.annotation) if each.annotation else "" for each in arguments}


def _positional(function: Function) -> list[str]:
    arguments = [*function.args.posonlyargs, *function.args.args]
    return [each.arg for each in arguments if each.arg != "self"]


def _parameters(function: Function) -> list[str]:
    return list(_annotations(function))


def _takes_code(annotations: Mapping[str, str]) -> bool:
    return annotations.get("code") in ("str", "str | None")


def _values(function: Function, name: str) -> Iterator[ast.expr]:
    """Yield what a name is set to within a function."""
    for each in ast.walk(function):
        if isinstance(each, ast.Assign):
            for target in each.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield each.value
                elif isinstance(target, ast.Tuple) and isinstance(each.value, ast.Tuple):
                    yield from (
                        v for t, v in zip(target.elts, each.value.elts, strict=True) if ast.unparse(t) == name
                    )
                elif isinstance(target, ast.Tuple) and ast.unparse(target.elts[0]) == name:
                    yield each.value


def _assigned(line: ast.stmt, name: str) -> bool:
    targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
    return any(isinstance(each, ast.Name) and each.id == name for each in targets) and bool(line.value)  # type: ignore[attr-defined]


def _constant(value: ast.expr | None) -> object:
    match value:
        case ast.Constant():
            return value.value
        case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
            return HTTPStatus[name].value
    return None


def _name(value: ast.expr) -> str:
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
