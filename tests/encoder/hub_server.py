"""A hub of our own on loopback, which speaks as much of the Hugging Face hub's HTTP protocol as its client needs to
create a repository, commit to it (large files by Git LFS), and fetch revisions of it again.

    with HubServer() as hub: ... HF_ENDPOINT=hub.url, HF_TOKEN=hub.token
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_LARGE = (".onnx", ".safetensors")


@dataclass
class Commit:
    """What a repository holds at one revision."""

    files: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)

    @property
    def sha(self) -> str:
        return hashlib.sha1(
            repr(sorted((n, hashlib.sha1(c).digest()) for n, c in self.files.items())).encode()
        ).hexdigest()


class HubServer:
    """The server, and all that was ever pushed to it. `requests` are the lines that came in."""

    token = "hf_ours"

    def __init__(self) -> None:
        self.repos: dict[str, list[Commit]] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def commit(self, repo: str, revision: str) -> Commit | None:
        """The newest for main, else the one with this digest."""
        commits = self.repos.get(repo, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((commit for commit in commits if commit.sha == revision), None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        hub = self.server_hub
        hub.requests.append(f"{self.command} {self.path}")
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/?]+))?(?:\?.*)?", self.path):
            if (commit := hub.commit(found[1], found[2] or "main")) is None:
                return self._missing(found[1])
            listed = [{"rfilename": name, "size": len(content)} for name, content in commit.files.items()]
            return self._json({"id": found[1], "modelId": found[1], "sha": commit.sha, "siblings": listed})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/?]+)(?:\?.*)?", self.path):
            if (commit := hub.commit(found[1], found[2])) is None:
                return self._missing(found[1])
            return self._json([_entry(name, content) for name, content in commit.files.items()])
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
            commit = hub.commit(found[1], found[2])
            if commit is None:
                return self._missing(found[1])
            if found[3] not in commit.files:
                return self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit.sha})
            content = commit.files[found[3]]
            etag = hashlib.sha256(content).hexdigest()
            return self._answer(200, content, {"X-Repo-Commit": commit.sha, "ETag": f'"{etag}"'})
        return self._answer(404, b"{}", {})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        content = self._body()
        self.server_hub.objects[hashlib.sha256(content).hexdigest()] = content
        self._answer(200, b"", {})

    def do_POST(self) -> None:
        hub, body = self.server_hub, self._body()
        hub.requests.append(f"{self.command} {self.path}")
        if self.headers.get("Authorization") != f"Bearer {hub.token}" and "/info/lfs/" not in self.path:
            return self._answer(401, b'{"error": "Invalid username or password."}', {})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            hub.repos.setdefault(name, [])
            return self._json({"url": f"{hub.url}/{name}", "name": name})
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/([^/?]+).*", self.path):
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if f["path"].endswith(_LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for f in files
            ]
            return self._json({"files": modes})
        if re.fullmatch(r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", self.path):
            objects = [
                {**o, "actions": {"upload": {"href": f"{hub.url}/lfs/{o['oid']}"}}} for o in json.loads(body)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/([^/?]+).*", self.path):
            before = hub.commit(found[1], "main") or Commit()
            commit = Commit(dict(before.files), set(before.large))
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    commit.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    commit.files[value["path"]] = hub.objects[value["oid"]]
                    commit.large.add(value["path"])
            hub.repos[found[1]].append(commit)
            url = f"{hub.url}/{found[1]}/commit/{commit.sha}"
            return self._json({"success": True, "commitOid": commit.sha, "commitUrl": url, "pullRequestUrl": None})
        return self._answer(404, b"{}", {})

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _missing(self, repo: str) -> None:
        known = repo in self.server_hub.repos
        self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, text in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": name,
        "size": len(content),
        "oid": hashlib.sha1(content).hexdigest(),
    }
    if name.endswith(_LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
