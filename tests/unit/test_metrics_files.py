"""Alert rules, dashboard and docs name what the hub tells, all of it, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from prometheus_client import Counter, Gauge, Histogram
from ruamel.yaml import YAML

from hub.core import metrics
from tests.services.fixtures import require_or_skip
from tests.services.hub import PROJECT

RULES = PROJECT / "deploy/prometheus/alerts.yml"
CASES = PROJECT / "deploy/prometheus/alerts.test.yml"
SCRAPING = PROJECT / "deploy/prometheus/prometheus.yml"
DASHBOARD = PROJECT / "deploy/grafana/companion-hub.json"
DOCS = PROJECT / "docs/metrics.md"

#: What Prometheus adds to every series that it scrapes, and by itself.
SCRAPED = {"job", "instance"}
PROMETHEUS = {"up"}


def families() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Return the hub's own families by name: type, labels and text."""
    found = {}
    for family in vars(metrics).values():
        if isinstance(family, Counter | Gauge | Histogram):
            (told,) = family.collect()
            name = told.name + ("_total" if told.type == "counter" else "")
            found[name] = told.type, tuple(family._labelnames), told.documentation
    return found


def samples() -> dict[str, set[str]]:
    """Return the labels of every sample that there is, by its name."""
    found = {name: set[str]() for told in metrics.REGISTRY.collect() for name in [told.name]}
    found |= {f"{told.name}_total": set() for told in metrics.REGISTRY.collect() if told.type == "counter"}
    for name, (kind, labels, _) in families().items():
        if kind == "histogram":
            found |= {f"{name}_{end}": {*labels} for end in ("sum", "count")}
            found[f"{name}_bucket"] = {*labels, "le"}
        else:
            found[name] = {*labels}
    return found


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield every selector of an expression; fails where it is not well-formed."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def alerts() -> list[dict[str, Any]]:
    """Return the alert rules."""
    groups = YAML(typ="safe").load(RULES)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels that show something."""
    found = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def filled(expression: str) -> str:
    """Put values for Grafana's variables."""
    return expression.replace("$__rate_interval", "1m").replace("$job", "a").replace("$instance", "b")


EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in alerts()},
    **{
        f"{panel['title']} {target['refId']}": filled(target["expr"])
        for panel in panels()
        for target in panel["targets"]
    },
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_what_there_is(name: str) -> None:
    known, expression = samples(), EXPRESSIONS[name]
    found = list(selectors(expression))
    assert found
    for each in found:
        if each.name not in PROMETHEUS:
            assert each.name in known, each.name
        labels = known.get(str(each.name), set()) | SCRAPED
        assert {matcher.name for matcher in each.matchers.matchers} <= labels, each.name
    for by in re.findall(r"by \(([^)]*)\)", expression):
        wanted = {label.strip() for label in by.split(",")}
        assert all(wanted <= known[str(each.name)] | SCRAPED for each in found), by


def test_the_dashboard_shows_every_family() -> None:
    asked = [filled(target["expr"]) for panel in panels() for target in panel["targets"]]
    shown = {str(each.name) for expression in asked for each in selectors(expression)}
    shown |= {name.removesuffix("_bucket") for name in shown}
    assert set(families()) <= shown


def test_the_dashboard_can_be_imported_anywhere() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert {"uid", "title", "schemaVersion", "templating", "panels", "time"} <= set(board)
    names = {variable["name"] for variable in board["templating"]["list"]}
    assert names == {"datasource", "job", "instance"}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(places) == len(set(places))
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert set(re.findall(r"\$\{?(\w+)", json.dumps(panel))) <= {*names, "__rate_interval"}


def test_every_alert_says_what_is_wrong_and_where_to_look() -> None:
    told = DOCS.read_text(encoding="utf-8")
    for rule in alerts():
        assert set(rule["annotations"]) == {"summary", "look"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert f"| `{rule['alert']}` | " in told
    assert len(alerts()) == len({rule["alert"] for rule in alerts()}) == told.count("\n| `Hub")


def test_the_docs_have_every_family() -> None:
    told = DOCS.read_text(encoding="utf-8")
    for name, (kind, labels, text) in families().items():
        named = ", ".join(f"`{label}`" for label in labels)
        assert f"| `{name}` | {kind} | {named} | {text} |" in told
    assert told.count("\n| `hub_") == len(families())


def test_the_sample_asks_where_the_hub_tells() -> None:
    sample = YAML(typ="safe").load(SCRAPING)
    assert sample["rule_files"] == [RULES.name]
    (own,) = sample["scrape_configs"]
    assert own["static_configs"] == [{"targets": ["127.0.0.1:8000"]}]
    assert "metrics_path" not in own  # it is Prometheus's own default


def test_the_rules_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        require_or_skip("promtool", "promtool is not installed; install it with: apt-get install prometheus")
    assert promtool is not None
    for command in (["check", "config", str(SCRAPING)], ["test", "rules", str(CASES)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
