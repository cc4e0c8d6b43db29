"""The stand-in for the Weights & Biases server on the wire, and what its clients need to find it."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tests.support.waiting import PATIENCE_S
from tests.support.wandb_state import OPERATION, WandbServer
from vidcls.tracking.limits import LIMITS_S

KEY = "0123456789abcdef" * 3


def client_environment(server: WandbServer, folder: Path) -> dict[str, str]:
    """An environment for a client in a process of its own, with nothing of one that an earlier test used."""
    clean = {name: value for name, value in os.environ.items() if "WANDB" not in name}
    folders = {f"WANDB_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA")}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    hasty = {"WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "1", "WANDB_ERROR_REPORTING": "false"}
    patient = dict.fromkeys(LIMITS_S, f"{PATIENCE_S:g}")
    return (
        clean | folders | hasty | patient | {"PATH": path, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: WandbServer

    def do_POST(self) -> None:
        """GraphQL, or the stream of a run."""
        request = json.loads(self._body() or b"{}")
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
        found = None if stream else OPERATION.search(request.get("query", ""))
        if self._refused("file_stream" if stream else found[1] if found else ""):
            return
        with self.state.changed:
            if stream:
                reply = self.state.stream(unquote(stream[1]), request)
            else:
                reply = self.state.answer(request["query"], request.get("variables") or {})
            self.state.changed.notify_all()
        self._reply(200, json.dumps(reply).encode())

    def do_PUT(self) -> None:
        """A file."""
        content = self._body()
        if self._refused("put"):
            return
        with self.state.changed:
            self.state.store(self.path.rsplit("/", 1)[1], content)
            self.state.changed.notify_all()
        self._reply(200, b"")

    def do_GET(self) -> None:
        """Nothing is served but a sign of life."""
        self._reply(200, b"{}")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refused(self, operation: str) -> bool:
        status = self.state.fault(operation)
        if status:
            self._reply(status, b"{}")
        elif status == 0:
            self.close_connection = True
        return status is not None

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the terminal quiet."""


@contextmanager
def serve() -> Iterator[WandbServer]:
    """A server that is there for the length of a `with` block."""
    state = WandbServer()
    handler = type("Handler", (_Handler,), {"state": state})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
