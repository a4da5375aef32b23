"""A small server that speaks the Hub's protocol over loopback, and breaks it where a test says so."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
STATUS_FAULTS = {
    "unauthorized": (401, None, "Invalid credentials in Authorization header"),
    "gated": (403, "GatedRepo", "Access to this repository is restricted"),
    "gated-anonymous": (401, "GatedRepo", "Access to this repository is restricted"),
    "forbidden": (403, None, "Forbidden"),
    "busy": (429, None, "Too many requests"),
    "failing": (503, None, "Service unavailable"),
}


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    first_byte: int


@dataclass
class Hub:
    """The state of the server: repositories, faults, and what was asked of it.

    ``faults`` maps a file's path to names of faults, each for one request of the method it concerns; the last one
    stays for good where ``endless`` has the path.
    """

    address: str = ""
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    endless: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)
    commit: str = COMMIT
    redirects: bool = False
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def add(self, repository: str, file: str, content: bytes) -> str:
        """Puts a file into a repository; returns its SHA-256."""
        self.files[repository, file] = content
        return hashlib.sha256(content).hexdigest()

    def break_down(self, file: str, *faults: str, endless: bool = False) -> None:
        """Breaks the next requests for a file, or all of them."""
        self.faults[file] = list(faults)
        if endless:
            self.endless.add(file)

    def downloads(self, file: str = "") -> list[Request]:
        """The downloads there were, of one file or of all."""
        return [
            request
            for request in self.requests
            if request.method == "GET" and not request.path.startswith("/api/") and request.path.endswith(file)
        ]

    def next_fault(self, file: str, method: str) -> str:
        """The fault of this request; "" for none."""
        left = self.faults.get(file, [])
        about_answers = [*STATUS_FAULTS, "deaf"]
        if not left or (method == "HEAD" and left[0] not in about_answers):
            return ""
        if len(left) == 1 and file in self.endless:
            return left[0]
        return left.pop(0)


_TIMEOUTS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        first = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        self.hub.requests.append(Request(self.command, path, first))
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            self._answer_api("/".join(parts[2:4]))
        elif parts[0] == "cdn":
            self._send_file("/".join(parts[1:3]), "/".join(parts[3:]), first)
        elif len(parts) > 4 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), first)
        else:
            self._refuse(404, "RepoNotFound", "Repository not found")

    def _answer_api(self, repository: str) -> None:
        files = [{"rfilename": file} for owner, file in self.hub.files if owner == repository]
        if not files:
            self._refuse(404, "RepoNotFound", "Repository not found")
            return
        body = json.dumps({"id": repository, "sha": self.hub.commit, "siblings": files}).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _resolve(self, repository: str, revision: str, file: str, first: int) -> None:
        if not any(owner == repository for owner, _ in self.hub.files):
            self._refuse(404, "RepoNotFound", "Repository not found")
        elif revision not in ("main", "v1", self.hub.commit):
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
        elif (repository, file) not in self.hub.files:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif self.hub.tokens.get(repository, "") not in self.headers.get("Authorization", ""):
            self._refuse(401, "GatedRepo", "Access to this repository is restricted")
        elif self.hub.redirects:
            self._head(302, {**self._facts(repository, file), "Location": f"/cdn/{repository}/{file}"})
        else:
            self._send_file(repository, file, first)

    def _facts(self, repository: str, file: str) -> dict[str, str]:
        content = self.hub.files[repository, file]
        digest = hashlib.sha256(content).hexdigest()
        return {
            "X-Repo-Commit": self.hub.commit,
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{digest}"',
            "ETag": f'"{digest}"',
        }

    def _send_file(self, repository: str, file: str, first: int) -> None:
        fault = self.hub.next_fault(file, self.command)
        if fault in STATUS_FAULTS:
            self._refuse(*STATUS_FAULTS[fault])
            return
        if fault == "deaf":
            self.hub.released.wait(PATIENCE)
            self.close_connection = True
            return
        content = self.hub.files[repository, file]
        body = content[first:]
        headers = {**self._facts(repository, file), "Content-Length": str(len(body)), "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if fault == "short":
            headers = {**headers, "Transfer-Encoding": "chunked"}
            del headers["Content-Length"]
        self._head(206 if first else 200, headers)
        if self.command == "HEAD":
            return
        self._send_body(body, fault)

    def _send_body(self, body: bytes, fault: str) -> None:
        half = len(body) // 2
        if fault == "wrong":
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault in ("cut", "reset", "stall"):
            self.wfile.write(body[:half])
            self.wfile.flush()
            self.close_connection = True
            if fault == "stall":
                self.hub.released.wait(PATIENCE)
            if fault == "reset":
                # Closing without lingering sends a reset instead of the end of the stream.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            return
        if fault == "short":
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (half, body[:half]))
            return
        self.wfile.write(body)

    def _refuse(self, status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message, "Content-Length": "0", "X-Repo-Commit": self.hub.commit}
        if code:
            headers["X-Error-Code"] = code
        self._head(status, headers)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away is what half of the tests are about


@contextmanager
def serve() -> Iterator[Hub]:
    """A server that runs while the context does."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def in_place_of_the_hub(hub: Hub, cache: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Points huggingface_hub, in this process, to the server and to an empty cache, and lets it wait less.

    It reads its settings from the environment once, when it is imported, which another test may have done.
    """
    import huggingface_hub
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache) + ".no-token")
    # It keeps a notebook of its own there, where this version of it does.
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(cache) + ".notes", raising=False)
    # What arrived of a block is lost with the connection: small files need small blocks to be resumed at all.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)
    # A machine that is busy with something else answers late.
    for name in _TIMEOUTS:
        monkeypatch.setattr(constants, name, PATIENCE)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for module in (file_download, _http):
        monkeypatch.setattr(module, "time", _Hasty())
    try:
        yield hub
    finally:
        getattr(huggingface_hub, "close_session", lambda: None)()


@contextmanager
def impatient() -> Iterator[None]:
    """Lets huggingface_hub give up soon, on a server that is silent for good."""
    import pytest
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        for name in _TIMEOUTS:
            patch.setattr(constants, name, 0.3)
        yield


class _Hasty:
    """The module ``time`` for one that should not wait."""

    def sleep(self, seconds: float) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        import time

        return getattr(time, name)
