"""A stand-in for the Hugging Face hub on loopback: the requests that huggingface_hub makes to publish a data set.

It was written after huggingface_hub 2.4.0, and was never compared with the real hub. It has LFS uploads and no Xet, which
the client uses where the hub has it: `HF_HUB_DISABLE_XET=1`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, unquote

TOKEN = "hf_not-to-be-shown"
LOST = 0
"""A fault: the request is carried out, and its answer is lost."""
LFS_SUFFIXES = (".m4a", ".wav", ".gz")


@dataclass
class HubFile:
    """A file of a branch."""

    content: bytes
    is_lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass
class Repo:
    """A dataset repository."""

    private: bool
    name: str = "lab/corpus"
    branches: dict[str, dict[str, HubFile]] = field(default_factory=lambda: {"main": {}})
    commits: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def head(self, branch: str) -> str:
        commits = self.commits[branch]
        return str(commits[0]["id"]) if commits else "0" * 40

    def add_commit(self, branch: str, title: str, at: datetime | None = None) -> str:
        number = sum(map(len, self.commits.values())) + 1
        commit_id = hashlib.sha1(f"{number} {title}".encode()).hexdigest()
        date = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        commit = {"id": commit_id, "title": title, "message": "", "date": date, "authors": [{"user": "somebody"}]}
        self.commits[branch].insert(0, commit)
        return commit_id


class Hub:
    """The state of the stand-in. `faults` has HTTP statuses, or LOST, by a part of a path; each is used once."""

    def __init__(self) -> None:
        self.url = ""
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.uploads: list[str] = []
        self.faults: dict[str, list[int]] = {}
        self.retry_after = ""
        self.blocked, self.unblocked = threading.Event(), threading.Event()
        self.block_path = ""
        """Requests for such a path are not answered before `unblocked`, and then without effect."""
        self.lock = threading.Lock()

    def fault_of(self, path: str) -> int | None:
        with self.lock:
            queue = next((statuses for part, statuses in self.faults.items() if part in path and statuses), None)
            return queue.pop(0) if queue else None

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        return {path: file.content for path, file in self.repos[repo].branches[branch].items()}


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Run the stand-in."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.unblocked.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(status)
        self.status, self.body, self.code = status, {"error": message, "url": "/datasets/it"}, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(self.path.partition("?")[0])
        body = self._body()
        if self.hub.block_path and self.hub.block_path in path:
            self.hub.blocked.set()
            self.hub.unblocked.wait(60)  # until its client is killed
            self.close_connection = True
            return
        fault = self.hub.fault_of(path)
        if fault:
            headers = {"Retry-After": self.hub.retry_after} if self.hub.retry_after else {}
            self._send(fault, {"error": "a fault"}, headers)
            return
        try:
            with self.hub.lock:
                self.hub.requests.append(f"{self.command} {path}")
                answer = self._route(path, body)
            status, headers = 200, {}
        except _Answer as other:
            status, answer, headers = other.status, other.body, {"X-Error-Code": other.code}
        if fault == LOST:
            self.close_connection = True
            self.connection.close()
            return
        self._send(status, answer, headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", f"{len(content)}")
        self.end_headers()
        self.wfile.write(content)

    def _route(self, path: str, body: bytes) -> Any:
        if path.startswith("/lfs/"):
            self._upload(path, body)
            return {}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Answer(401, "Invalid credentials")
        if path == "/api/whoami-v2":
            return {"type": "user", "name": "somebody"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        return self._route_repo(path, body)

    def _upload(self, path: str, body: bytes) -> None:
        oid = path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self.hub.uploads.append(oid)

    def _create(self, wanted: dict[str, Any]) -> Any:
        name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
        if name in self.hub.repos:
            raise _Answer(409, "You already created this dataset repo")
        self.hub.repos[name] = Repo(private=wanted.get("visibility") == "private", name=name)
        return {"url": f"{self.hub.url}/datasets/{name}", "name": name, "id": "1"}

    def _route_repo(self, path: str, body: bytes) -> Any:
        match = re.fullmatch(r"(?:/api)?/datasets/([^/]+/[^/]+?)(?:\.git)?(?:/(.+))?", path)
        if not match or match[1] not in self.hub.repos:
            raise _Answer(404, "Repository not found", "RepoNotFound")
        repo = self.hub.repos[match[1]]
        action, _, rest = (match[2] or "info").partition("/")
        if action in ("revision", "preupload", "paths-info", "commits", "commit") and rest not in repo.branches:
            raise _Answer(404, "Invalid rev id", "RevisionNotFound")
        if action in ("info", "revision") and rest.startswith("lfs/") is False:
            return {"id": match[1], "sha": repo.head(rest or "main"), "private": repo.private}
        return getattr(self, f"_{action.replace('-', '_')}")(repo, rest, body)

    def _settings(self, repo: Repo, _: str, body: bytes) -> Any:
        repo.private = json.loads(body)["visibility"] == "private"
        return {}

    def _branch(self, repo: Repo, name: str, _: bytes) -> Any:
        if name in repo.branches:
            raise _Answer(409, "exists")
        repo.branches[name] = dict(repo.branches["main"])
        return {}

    def _preupload(self, repo: Repo, branch: str, body: bytes) -> Any:
        return {"files": [self._mode(repo, branch, file["path"]) for file in json.loads(body)["files"]]}

    def _mode(self, repo: Repo, branch: str, path: str) -> dict[str, Any]:
        there = repo.branches[branch].get(path)
        mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
        oid = there and (there.sha256 if there.is_lfs else there.git_oid)
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _info(self, _: Repo, __: str, body: bytes) -> Any:
        wanted = json.loads(body)["objects"]
        return {"transfer": "basic", "objects": [self._lfs_object(each["oid"], each["size"]) for each in wanted]}

    def _lfs_object(self, oid: str, size: int) -> dict[str, Any]:
        known = {"oid": oid, "size": size}
        href = f"{self.hub.url}/lfs/{oid}"
        return known if oid in self.hub.objects else {**known, "actions": {"upload": {"href": href}}}

    def _paths_info(self, repo: Repo, branch: str, body: bytes) -> Any:
        files = repo.branches[branch]
        return [self._entry(path, files[path]) for path in parse_qs(body.decode())["paths"] if path in files]

    def _entry(self, path: str, file: HubFile) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(file.content), "oid": file.git_oid}
        if file.is_lfs:
            entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": 130}
        return entry

    def _commits(self, repo: Repo, branch: str, _: bytes) -> Any:
        return repo.commits[branch]

    def _commit(self, repo: Repo, branch: str, body: bytes) -> Any:
        lines = [cast(dict[str, Any], json.loads(line)) for line in body.splitlines()]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repo.head(branch)):
            raise _Answer(412, "A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            value = line["value"]
            is_lfs = line["key"] == "lfsFile"
            content = self.hub.objects[value["oid"]] if is_lfs else base64.b64decode(value["content"])
            repo.branches[branch][value["path"]] = HubFile(content, is_lfs)
        commit_id = repo.add_commit(branch, header["summary"])
        url = f"{self.hub.url}/datasets/{repo.name}/commit/{commit_id}"
        return {
            "success": True,
            "commitOid": commit_id,
            "commitUrl": url,
            "hookOutput": "",
        }
