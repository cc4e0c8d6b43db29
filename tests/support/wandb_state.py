"""A stand-in for the Weights & Biases server, enough for its real clients; `wandb_server` puts it on the wire.

It takes what `wandb sweep`, `wandb agent`, runs, artifacts, `wandb sync` and `wandb.Api` send, keeps it in memory
for a test to look at, and plays the server's part in a sweep: it hands out points, asks runs to stop, and hands
out a preempted run again.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable

import yaml

from tests.support.waiting import PATIENCE_S
from tests.support.wandb_records import ENTITY, Json, ServerRun, ServerSweep, points

OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")
_CONTENT = ("artifactCollectionName", "digest")


class WandbServer:
    """The server's state, and what a test may ask of it."""

    def __init__(self) -> None:
        self.url = ""
        self.runs: dict[str, ServerRun] = {}
        self.sweeps: dict[str, ServerSweep] = {}
        self.artifacts: dict[str, Json] = {}
        self.operations: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self.stop_when: Callable[[ServerRun], bool] = lambda run: False
        self.stop_by = ("heartbeat", "file_stream")
        self.fault: Callable[[str], int | None] = lambda operation: None
        """Given an operation: None to serve it, a status to refuse it with, 0 to drop the connection."""
        self.changed = threading.Condition(threading.RLock())
        self._agents: dict[str, tuple[str, set[str]]] = {}
        self._uploads: dict[str, tuple[dict[str, bytes], str]] = {}

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until something is true of the server."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), "the server waited in vain"

    def answer(self, query: str, variables: Json) -> Json:
        """The reply to a GraphQL request."""
        found = OPERATION.search(query)
        operation = found[1] if found else query.split("{")[0].strip() or "anonymous"
        self.operations[operation] += 1
        handler = getattr(self, f"_{operation}", None)
        if handler is None:
            self.unknown.add(operation)
            return {"errors": [{"message": f"the stand-in does not know {operation}"}]}
        return {"data": handler(variables)}

    def stream(self, run_id: str, body: Json) -> Json:
        """What a run's client sends while it runs; lines go where their offset says."""
        run = self.runs[run_id]
        for name, content in body.get("files", {}).items():
            if name == "wandb-history.jsonl":
                offset = content["offset"]
                assert offset <= len(run.lines), f"a hole: {offset} after {len(run.lines)}"
                run.lines[offset:] = content["content"]
            elif name == "wandb-summary.json":
                run.summary = json.loads(content["content"][-1])
        run.preempting = run.preempting or bool(body.get("preempting"))
        if body.get("complete"):
            run.exit_code = body["exitcode"]
            failed = "preempted" if run.preempting else "failed"
            run.state = failed if run.exit_code else "finished"
            if run.state == "preempted" and run.sweep in self.sweeps:
                self.sweeps[run.sweep].preempted.append(run.id)
        return {"stopped": True} if "file_stream" in self.stop_by and self.stop_when(run) else {}

    def store(self, token: str, content: bytes) -> None:
        """A file that was put to a place that `_place` named."""
        files, name = self._uploads[token]
        files[name] = content

    def _place(self, files: dict[str, bytes], name: str) -> str:
        token = f"{len(self._uploads)}"
        self._uploads[token] = (files, name)
        return f"{self.url}/storage/{token}"

    # One method an operation of the clients, by its name; each takes the variables and gives the data.

    def _Viewer(self, _: Json) -> Json:  # noqa: N802
        viewer = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}"}
        return {"viewer": {**viewer, "admin": False, "name": ENTITY, "teams": {"edges": []}}}

    _GetViewer = _GetDefaultEntity = _Viewer

    def _ServerFeaturesQuery(self, _: Json) -> Json:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def _OrganizationCoreWeaveOrganizationID(self, _: Json) -> Json:  # noqa: N802
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def _UpsertSweep(self, v: Json) -> Json:  # noqa: N802
        config = yaml.safe_load(v["config"])
        project = v["projectName"] or "uncategorized"
        sweep = ServerSweep(f"sweep{len(self.sweeps)}", project, config, v["config"])
        sweep.points = points(config)
        self.sweeps[sweep.id] = sweep
        project_node = {"id": "1", "name": project, "entity": {"id": "1", "name": ENTITY}}
        return {
            "upsertSweep": {
                "sweep": {"name": sweep.id, "project": project_node},
                "configValidationWarnings": [],
            }
        }

    def _SweepWithRuns(self, v: Json) -> Json:  # noqa: N802
        sweep = self.sweeps.get(v["sweep"])
        if sweep is None:
            return {"project": {"sweep": None}}
        edges = [{"node": run.node()} for run in self.runs.values() if run.sweep == sweep.id]
        node = {"id": sweep.id, "name": sweep.id, "state": "RUNNING", "config": sweep.text}
        return {"project": {"sweep": {**node, "runs": {"edges": edges}}}}

    def _CreateAgent(self, v: Json) -> Json:  # noqa: N802
        name = f"agent{len(self._agents)}"
        self._agents[name] = (v["sweep"], set())
        return {"createAgent": {"agent": {"id": name}}}

    def _Heartbeat(self, v: Json) -> Json:  # noqa: N802
        sweep = self.sweeps[self._agents[v["id"]][0]]
        running = json.loads(v["runState"])
        commands = json.dumps(self._stops(running) if running else [self._next(sweep)])
        return {"agentHeartbeat": {"agent": {"id": v["id"]}, "commands": commands}}

    def _stops(self, running: Json) -> list[Json]:
        known = [self.runs[name] for name in running if name in self.runs]
        asked = [run for run in known if "heartbeat" in self.stop_by and self.stop_when(run)]
        return [{"type": "stop", "run_id": run.id} for run in asked]

    def _next(self, sweep: ServerSweep) -> Json:
        if sweep.preempted:
            kind, run_id = "resume", sweep.preempted.pop(0)
            point = next(p for _, name, p in sweep.handed_out if name == run_id)
        else:
            kind, run_id, point = "run", f"{sweep.id}-{len(sweep.handed_out)}", next(sweep.points, {})
        if not point:
            return {"type": "exit"}
        sweep.handed_out.append((kind, run_id, point))
        args = {name: {"value": value} for name, value in point.items()}
        return {"type": kind, "run_id": run_id, "program": "", "args": args}

    def _UpsertBucket(self, v: Json) -> Json:  # noqa: N802
        by_id = {run.id: run for run in self.runs.values()}
        run_id = v.get("name") or v["id"]
        run, inserted = by_id.get(run_id), run_id not in by_id
        if run is None:
            run = self.runs[run_id] = ServerRun(run_id, v.get("project") or "uncategorized")
        if run.state != "running":  # it goes on, or begins anew
            run.state, run.preempting, run.exit_code = "running", False, None
        run.name, run.group = v.get("displayName") or run.name, v.get("groupName") or run.group
        run.sweep, run.tags = v.get("sweep") or run.sweep, v.get("tags") or run.tags
        run.notes = v.get("notes") or run.notes
        run.config = json.loads(v["config"]) if v.get("config") else run.config
        if v.get("summaryMetrics"):
            run.summary = json.loads(v["summaryMetrics"])
        return {"upsertBucket": {"bucket": run.node(), "inserted": inserted}}

    def _RunResumeStatus(self, v: Json) -> Json:  # noqa: N802
        run = self.runs.get(v["name"])
        entity = {"id": "1", "name": ENTITY}
        return {"model": {"id": "1", "name": v["project"], "entity": entity, "bucket": run and run.node()}}

    def _Run(self, v: Json) -> Json:  # noqa: N802
        run = self.runs.get(v["name"])
        return {"project": {"id": "1", "internalId": "1", "run": run and run.node()}}

    _RunHistoryKeys = _Run

    def _Runs(self, v: Json) -> Json:  # noqa: N802
        edges = [{"node": r.node(), "cursor": r.id} for r in self.runs.values() if r.project == v["project"]]
        page = {"endCursor": None, "hasNextPage": False}
        runs = {"edges": edges, "pageInfo": page}
        return {
            "project": {"id": "1", "internalId": "1", "runCount": len(edges), "readOnly": False, "runs": runs}
        }

    def _CreateRunFiles(self, v: Json) -> Json:  # noqa: N802
        files = self.runs[v["run"]].files
        nodes = [{"name": name, "uploadUrl": self._place(files, name)} for name in v["files"]]
        return {"createRunFiles": {"runID": v["run"], "uploadHeaders": [], "files": nodes}}

    def _ArtifactType(self, _: Json) -> Json:  # noqa: N802
        return {"project": {"artifact": None}}

    def _ArtifactByID(self, v: Json) -> Json:  # noqa: N802
        artifact, when = self.artifacts[v["id"]], "2026-01-01T00:00:00Z"
        entity = {"id": "1", "name": ENTITY}
        project = {"id": "1", "internalId": "1", "name": artifact["projectName"], "entity": entity}
        name = artifact["artifactCollectionName"]
        sequence = {"__typename": "ArtifactSequence", "id": "1", "name": name, "project": project}
        node = dict.fromkeys(("description", "historyStep", "digestAlgorithm", "commitHash"))
        node |= {"id": v["id"], "artifactSequence": sequence, "versionIndex": 0, "metadata": "{}", "tags": []}
        node |= {"ttlDurationSeconds": -1, "ttlIsInherited": False, "state": artifact["state"], "size": 1}
        node |= {"digest": artifact["digest"], "fileCount": 1, "createdAt": when, "updatedAt": when}
        kind = {"name": artifact["artifactTypeName"]}
        return {"artifact": {**node, "__typename": "Artifact", "artifactType": kind, "aliases": []}}

    def _CreateArtifact(self, v: Json) -> Json:  # noqa: N802
        # As on the real server, equal content of one name is one artifact.
        same = [k for k, a in self.artifacts.items() if all(a[key] == v["input"][key] for key in _CONTENT)]
        name = same[0] if same else f"artifact{len(self.artifacts)}"
        artifact = self.artifacts.setdefault(name, {**v["input"], "state": "PENDING", "files": {}})
        sequence = {"id": "1", "latestArtifact": None}
        node = {"id": name, "state": artifact["state"], "artifactSequence": sequence}
        return {"createArtifact": {"artifact": node}}

    def _CreateArtifactManifest(self, v: Json) -> Json:  # noqa: N802
        files = self.artifacts[v["artifactID"]]["files"]
        file = {"id": "1", "uploadUrl": self._place(files, v["name"]), "uploadHeaders": []}
        manifest = {"id": v["artifactID"], "file": file if v["includeUpload"] else {"id": "1"}}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def _UpdateArtifactManifest(self, v: Json) -> Json:  # noqa: N802
        v = {"artifactID": v["artifactManifestID"], "name": "wandb_manifest.json", **v}
        return {"updateArtifactManifest": self._CreateArtifactManifest(v)["createArtifactManifest"]}

    def _CreateArtifactFiles(self, v: Json) -> Json:  # noqa: N802
        edges = []
        for spec in v["input"]["artifactFiles"]:
            url = self._place(self.artifacts[spec["artifactID"]]["files"], spec["name"])
            node = {"name": spec["name"], "displayName": spec["name"], "storagePath": spec["name"]}
            node |= {"uploadUrl": url, "uploadHeaders": [], "artifact": {"id": spec["artifactID"]}}
            edges.append({"node": {**node, "uploadMultipartUrls": None}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, v: Json) -> Json:  # noqa: N802
        self.artifacts[v["artifactID"]]["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": v["artifactID"], "digest": "0"}}}
