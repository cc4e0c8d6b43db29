"""What the stand-in for the Weights & Biases server remembers of runs and sweeps, and the points it hands out."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import exp, log
from typing import Any

ENTITY = "team"
Json = dict[str, Any]


@dataclass
class ServerRun:
    """What the server knows of a run."""

    id: str
    project: str
    name: str = ""
    group: str | None = None
    sweep: str | None = None
    state: str = "running"
    exit_code: int | None = None
    preempting: bool = False
    config: Json = field(default_factory=dict)
    summary: Json = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    notes: str = ""
    lines: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def rows(self) -> list[Json]:
        """The history, in the order of the server's file."""
        return [json.loads(line) for line in self.lines]

    def values(self, key: str) -> list[float]:
        """What was logged of a metric."""
        return [row[key] for row in self.rows if key in row]

    def config_value(self, key: str) -> Any:
        """A setting, by the name that the sweep's file or the spec's top level gives it."""
        return self.config[key]["value"]

    def node(self) -> Json:
        """What any query may ask of a run; clients take what they know."""
        entity = {"id": "1", "name": ENTITY}
        texts = {"description": "", "createdAt": "2026-01-01T00:00:00", "heartbeatAt": "2026-01-01T00:00:00"}
        return {
            **texts,
            "id": self.id,
            "name": self.id,
            "displayName": self.name,
            "state": self.state,
            "group": self.group,
            "sweepName": self.sweep,
            "tags": self.tags,
            "notes": self.notes,
            "config": json.dumps(self.config),
            "summaryMetrics": json.dumps(self.summary),
            "systemMetrics": "{}",
            "wandbConfig": '{"t": 1}',  # a run without it never started
            "historyKeys": {"lastStep": len(self.lines) - 1, "keys": {}},
            "historyTail": json.dumps(self.lines[-1:]),
            "eventsTail": "[]",
            "historyLineCount": len(self.lines),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "history": self.lines,
            "sampledHistory": [self.rows],
            "readOnly": False,
            "jobType": None,
            "commit": None,
            "projectId": "1",
            "user": {"id": "1", "name": ENTITY, "username": ENTITY},
            "project": {"id": "1", "name": self.project, "entity": entity},
        }


@dataclass
class ServerSweep:
    """A sweep: its file as it was sent, and the points that are still to be handed out."""

    id: str
    project: str
    config: Json
    text: str
    points: Iterator[Json] = field(default_factory=lambda: iter(()))
    preempted: list[str] = field(default_factory=list)
    handed_out: list[tuple[str, str, Json]] = field(default_factory=list)
    """Type of the command, run id, point."""


def points(config: Json) -> Iterator[Json]:
    """The points of a sweep, in a grid's order or by a seeded generator, without an end but `run_cap`."""
    draw, parameters = random.Random(0), config["parameters"]
    if config["method"] == "grid":
        axes = [p.get("values", [p.get("value")]) for p in parameters.values()]
        yield from (dict(zip(parameters, point, strict=True)) for point in product(*axes))
        return
    for _ in range(config.get("run_cap", 1000)):
        yield {name: _draw(draw, parameter) for name, parameter in parameters.items()}


def _draw(draw: random.Random, parameter: Json) -> Any:
    if "min" not in parameter:
        return draw.choice(parameter.get("values", [parameter.get("value")]))
    low, high = parameter["min"], parameter["max"]
    if "log" in parameter.get("distribution", ""):
        return exp(draw.uniform(log(low), log(high)))
    return draw.randint(low, high) if isinstance(low, int) else draw.uniform(low, high)
