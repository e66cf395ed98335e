"""A server on loopback that takes what the client of Weights & Biases sends, as far as these tests need it."""

import contextlib
import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

KEY = "fake" * 10
PROJECT = {"id": "p", "name": "sslmed", "entityName": "team", "entity": {"id": "e", "name": "team"}}


@dataclass
class StoredRun:
    """What the server knows of a run; history and events are lines at offsets, as in the real protocol."""

    upserted: dict = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    finished: list[int] = field(default_factory=list)

    def of(self, name: str) -> list[str]:
        return [line for _, line in sorted(self.lines.get(name, {}).items())]

    @property
    def history(self) -> list[dict]:
        return [json.loads(line) for line in self.of("wandb-history.jsonl")]

    @property
    def summary(self) -> dict:
        lines = self.of("wandb-summary.json")
        return json.loads(lines[-1]) if lines else {}

    @property
    def config(self) -> dict:
        return {key: value["value"] for key, value in json.loads(self.upserted["config"]).items() if key != "_wandb"}


class FakeWandb(ThreadingHTTPServer):
    """Remembers runs by id, saved views, and every GraphQL operation; while `down`, answers nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, StoredRun] = {}
        self.views: list[dict] = []
        self.operations: list[str] = []
        self.headers: set[str] = set()
        self.down = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def run(self, name: str) -> StoredRun:
        return self.runs.setdefault(name, StoredRun())

    def answer(self, operation: str, query: str, variables: dict) -> dict:
        self.operations.append(operation)
        if "upsertView" in query:
            self.views.append(variables)
            view = {"id": "view1", "name": variables["name"], "displayName": variables["displayName"]}
            view |= {"description": "", "project": PROJECT, "spec": variables["spec"], "updatedAt": None}
            return {"upsertView": {"view": view | {"type": "runs", "createdAt": None}, "inserted": True}}
        if "upsertBucket" in query:
            run = self.run(variables["name"])
            inserted = not run.upserted
            run.upserted |= {key: value for key, value in variables.items() if value is not None}
            bucket = {"id": variables["name"], "name": variables["name"], "displayName": variables.get("displayName")}
            bucket |= {"description": None, "config": "{}", "sweepName": None, "project": PROJECT}
            return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": inserted}}
        if "internalId" in query:
            return {"project": PROJECT | {"internalId": "p"}}
        if operation == "RunResumeStatus":
            return {"model": PROJECT | {"bucket": self._resume_status(variables["name"])}}
        if "createRunFiles" in query:
            places = [{"name": name, "uploadUrl": f"{self.url}/storage/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": places}}
        if "createArtifact(" in query:
            artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": None}}
            return {"createArtifact": {"artifact": artifact}}
        if "serverInfo" in query:
            return {"serverInfo": {"features": []}}
        if "viewer" in query:
            teams = {"edges": [{"node": {"id": "e", "name": "team"}}]}
            return {"viewer": {"id": "u", "entity": "team", "username": "me", "flags": "{}", "teams": teams}}
        if "models(" in query:
            page = {"endCursor": None, "hasNextPage": False}
            return {
                "models": {
                    "edges": [{"node": PROJECT | {"createdAt": "", "isBenchmark": False, "user": None}}],
                    "pageInfo": page,
                }
            }
        return {"project": None}  # there is no artifact yet

    def _resume_status(self, name: str) -> dict | None:
        if name not in self.runs:
            return None
        run = self.runs[name]
        history, events = run.of("wandb-history.jsonl"), run.of("wandb-events.jsonl")
        status = {"id": name, "name": name, "displayName": None, "logLineCount": 0, "tags": [], "notes": None}
        status |= {"historyLineCount": len(history), "historyTail": json.dumps(history[-1:])}
        status |= {"eventsLineCount": len(events), "eventsTail": json.dumps(events[-1:])}
        config = run.upserted.get("config", "{}")
        return status | {"summaryMetrics": json.dumps(run.summary), "config": config, "wandbConfig": '{"t": 1}'}


class _Handler(BaseHTTPRequestHandler):
    server: FakeWandb
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(503 if self.server.down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._reply({})

    def do_PUT(self) -> None:
        self._body()
        self._reply({})

    def do_POST(self) -> None:
        content = self._body()
        if self.server.down or not (self.path == "/graphql" or self.path.endswith("/file_stream")):
            self._reply({})
            return
        body = json.loads(content)
        if self.path == "/graphql":
            found = re.search(r"(?:query|mutation)\s+(\w+)", body["query"])
            operation = found.group(1) if found else ""
            self._reply({"data": self.server.answer(operation, body["query"], body.get("variables") or {})})
        else:
            run = self.server.run(self.path.split("/")[-2])
            for name, chunk in body.get("files", {}).items():
                lines = run.lines.setdefault(name, {})
                lines |= {chunk["offset"] + number: line for number, line in enumerate(chunk["content"])}
            run.files |= set(body.get("uploaded", []))
            if body.get("complete"):
                run.finished.append(body["exitcode"])
            self._reply({"exitcode": None, "limits": {}})


@contextlib.contextmanager
def fake_wandb(home: Path, patch: pytest.MonkeyPatch) -> Iterator[FakeWandb]:
    """Serve until the context ends: with an account there, and a home where nothing may be written."""
    with FakeWandb() as server:
        for name, value in {"HOME": str(home), "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}.items():
            patch.setenv(name, value)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            if "wandb" in sys.modules:
                _end_client()
            server.shutdown()
            thread.join()


def _end_client() -> None:
    """End W&B's client, which keeps the server's address and the key. Its service, which may hang, is killed then."""
    killer = threading.Timer(60, _kill_service)
    killer.start()
    try:
        with contextlib.suppress(SystemExit):  # of a service that was killed
            sys.modules["wandb"].teardown()
    finally:
        killer.cancel()


def _kill_service() -> None:
    for child in psutil.Process().children():
        if "wandb-core" in child.name():
            child.kill()
