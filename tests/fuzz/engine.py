"""Run schemathesis against a hub, in a process of its own: a task on standard input, a report on the other.

Refusals have to be documented one by one: the `default` answers of the document are taken out first. What
would end the caller's own sign-in, or take the ground from under the others, somebody else asks.
"""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import requests
import schemathesis
from msgspec import Struct
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "use_after_free",
    "allow_header_conformance",
)
#: After one that succeeds its caller is signed out, or gone.
ENDING = ("logOut", "changePassword", "deleteMe", "deleteSignIn")
#: What would change or take away what all others need.
HARMFUL = ("wipeCompanion", "updateUser")
NOWHERE = "019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e5f"


class Task(Struct):
    """What to do; ``ids`` are of things that exist, by the names of parameters."""

    url: str
    document: dict[str, Any]
    token: str
    ids: dict[str, str]
    examples: int
    phases: list[str]
    only: list[str]


class Report(Struct):
    """What was done, and what was found: each failure once, with the call that shows it."""

    operations: int = 0
    calls: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    failures: list[str] = []
    errors: list[str] = []


def main() -> None:
    """Do the task."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    strict(task.document)
    report = Report()
    apart = [each for each in task.phases if each != "stateful"]
    for phases in (apart, [each for each in task.phases if each == "stateful"]):
        if phases:
            schemathesis.hooks.unregister_all()
            register_hooks(task, names_existing=phases is apart)  # what follows from another call has its id
            schema = schemathesis.openapi.from_dict(task.document, config=configuration(task, phases))
            run(schema.include(operation_id=task.only) if task.only else schema, report)
    sys.stdout.buffer.write(msgspec.json.encode(report))


def strict(document: dict[str, Any]) -> None:
    """Take out the answers that cover whatever else may come."""
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"].pop("default", None)


@schemathesis.serializer("application/x-ndjson", "application/jsonl")
def lines(context: Any, value: Any) -> bytes:
    """Send lines as they are."""
    del context
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def configuration(task: Task, chosen: list[str]) -> SchemathesisConfig:
    phases = {name: {"enabled": name in chosen} for name in ("examples", "coverage", "fuzzing", "stateful")}
    return SchemathesisConfig.from_dict(
        {
            "base-url": task.url,
            "seed": 20261123,
            "continue-on-failure": True,
            "request-timeout": 30,
            "workers": 1,
            "suppress-health-check": ["all"],
            "generation": {
                "max-examples": task.examples,
                "deterministic": True,
                "no-shrink": True,
                "with-security-parameters": False,
                "database": "none",
            },
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "phases": phases,
        }
    )


def register_hooks(task: Task, *, names_existing: bool) -> None:
    own = set(task.ids.values())

    @schemathesis.hook
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        """Name things that exist, three times of four."""
        if not names_existing or not path_parameters or zlib.crc32(repr(path_parameters).encode()) % 4 == 0:
            return path_parameters
        del context
        return {name: task.ids.get(name, value) for name, value in path_parameters.items()}

    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        """Sign in, and spare what the others need."""
        del context, kwargs
        name = case.operation.definition.raw["operationId"]
        token = task.token
        if name in ENDING:
            token = somebody(task.url)
        if name in HARMFUL or case.method == "DELETE":
            case.path_parameters = {
                key: NOWHERE if value in own else value for key, value in (case.path_parameters or {}).items()
            }
        case.headers["Authorization"] = f"Bearer {token}"


def somebody(url: str) -> str:
    """Register somebody new and return the token."""
    somebody.number += 1  # type: ignore[attr-defined]  # a count that only this function needs
    name = f"fuzz_{somebody.number}"  # type: ignore[attr-defined]
    body = {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}
    answer = requests.post(f"{url}/api/auth/register", json=body, timeout=30)
    return str(answer.json()["access_token"])


somebody.number = 0  # type: ignore[attr-defined]


def run(schema: Any, report: Report) -> None:
    """Run the engine and add what comes of it to the report."""
    failures: dict[str, str] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for interaction in event.recorder.interactions.values():
                report.calls[event.phase.value] += 1
                if interaction.response is not None:
                    report.statuses[str(interaction.response.status_code)] += 1
            for label, failure, shown in failed(event.recorder):
                title = f"{label} {type(failure).__name__} {failure.message[:80]}"
                failures.setdefault(title, f"{title}\n{shown}")
        elif isinstance(event, events.NonFatalError):
            report.errors.append(f"{event.label}: {event.info.format()[:2000]}")
        elif isinstance(event, events.FatalError):
            report.errors.append(repr(event.exception)[:2000])
    report.operations = schema.statistic.operations.selected
    report.failures.extend(failures.values())


def failed(recorder: Any) -> Iterator[tuple[str, Failure, str]]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            case = recorder.cases[case_id].value
            interaction = recorder.interactions.get(case_id)
            answer = interaction.response if interaction is not None else None
            told = f"{answer.status_code} {answer.text[:600]}" if answer is not None else "no answer"
            info = check.failure_info
            shown = f"{info.failure.message[:1500]}\n{info.code_sample[:1500]}\n-> {told}"
            yield case.operation.label, info.failure, shown


if __name__ == "__main__":
    main()
