"""A stand-in for the Hugging Face Hub: the few addresses that strategies are shared through."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"
CHUNK = 64_000
Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Repositories in memory: by name, their commits, oldest first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, list[Files]] = {}
        self.private: set[str] = set()
        self.messages: list[str] = []
        self.asked: list[str] = []
        self.sent = 0  # Bytes of all answers.
        self.lies: dict[str, int] = {}  # Sizes that a listing tells instead of the real ones.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def sha(number: int) -> str:
    return hashlib.sha1(str(number).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def answer(self, code: int, body: Any = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(data), CHUNK):
            try:
                self.wfile.write(data[start : start + CHUNK])
            except OSError:  # The client has seen enough.
                self.close_connection = True
                return
            self.server.sent += len(data[start : start + CHUNK])

    def missing(self, what: str) -> None:
        self.answer(404, {"error": what}, X_Error_Code=what, X_Error_Message=what)

    def found(self, repo: str, revision: str) -> tuple[int, Files] | None:
        """The commit that a revision names, or nothing, which has been answered."""
        commits = self.server.repos.get(repo)
        hidden = repo in self.server.private and not self.known()
        if commits is None or hidden:
            self.missing("RepoNotFound")
            return None
        names = {sha(number): number for number in range(len(commits))}
        number = len(commits) - 1 if revision in ("main", "") else names.get(revision)
        if number is None:
            self.missing("RevisionNotFound")
            return None
        return number, commits[number]

    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        self.server.asked.append("/".join(parts))
        if parts[:2] == ["api", "models"]:
            repo, rest = "/".join(parts[2:4]), parts[4:]
            commit = self.found(repo, rest[1] if len(rest) > 1 else "")
            if commit is None:
                return None
            if rest[:1] == ["tree"]:
                return self.answer(200, [self.entry(*item) for item in commit[1].items()])
            return self.answer(200, {"id": repo, "sha": sha(commit[0]), "siblings": []})
        repo, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        commit = self.found(repo, revision)
        if commit is None:
            return None
        if name not in commit[1]:
            return self.missing("EntryNotFound")
        data = commit[1][name]
        tag = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X_Repo_Commit": sha(commit[0])}
        return self.answer(200, data, **tag)

    do_HEAD = do_GET  # noqa: N815

    def entry(self, name: str, data: bytes) -> dict[str, Any]:
        size = self.server.lies.get(name, len(data))
        return {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(data).hexdigest()}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path).path.strip("/").split("/")
        self.server.asked.append("/".join(parts))
        if not self.known():
            return self.answer(401, {"error": "Invalid username or password."})
        if parts == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        if parts == ["api", "validate-yaml"]:  # Of the model card.
            return self.answer(200, {"errors": [], "warnings": []})
        repo = "/".join(parts[2:4])
        if parts[4] == "preupload":
            asked = json.loads(body)["files"]
            told = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
            ]
            return self.answer(200, {"files": told})
        lines = [json.loads(line) for line in body.splitlines()]
        files = dict(self.server.repos[repo][-1])
        for line in lines:
            if line["key"] == "header":
                self.server.messages.append(line["value"]["summary"])
            else:
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.server.repos[repo].append(files)
        oid = sha(len(self.server.repos[repo]) - 1)
        url = f"{self.server.url}/{repo}/commit/{oid}"
        return self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url})

    def create(self, asked: dict[str, Any]) -> None:
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if repo.startswith("others/"):
            return self.answer(403, {"error": "no right to write to others"})
        url = {"url": f"{self.server.url}/{repo}", "name": repo, "id": repo}
        if repo in self.server.repos:
            return self.answer(409, url | {"error": "You already created this model repo"})
        self.server.repos[repo] = [{".gitattributes": b""}]
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add(repo)
        return self.answer(200, url)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers until the end."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
