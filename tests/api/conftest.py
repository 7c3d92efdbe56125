"""A small corpus of rendered scenes, and a run on it."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from caption_tx.data.scenes.corpus import write_scenes

_SMALL = {
    "language": "zh",
    "backbone": {"alpha": 0.25, "weights": "scenes", "image_size": 96},
    "min_frequency": 1,
    "hidden_dim": 16,
    "intermediate_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "epochs": 2,
    "precision": "float32",
    "tensorboard": False,
    "sample_count": 0,
}
"""Settings with which training takes a few seconds."""


@pytest.fixture(scope="session")
def small():
    """Settings with which training takes a few seconds."""
    return _SMALL


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """24 rendered scenes: (captions as a DataFrame, folder of the images)."""
    files = write_scenes(tmp_path_factory.mktemp("scenes"), {"train": 14, "val": 5, "test": 5}, "zh")
    return pd.read_csv(files.captions, sep="\t"), files.images


@pytest.fixture(scope="session")
def run(scenes, share_backbones, tmp_path_factory):
    """A finished run."""
    import caption_tx

    (frame, images), workdir = scenes, tmp_path_factory.mktemp("run") / "mine"
    lines = []
    with share_backbones():
        run = caption_tx.train(frame, images, workdir=workdir, log=lines.append, **_SMALL)
    assert any("parameters" in line for line in lines) and not any("Layer (type)" in line for line in lines)
    return run


class FakeHub:
    """The repositories of a server: name -> list of versions, each a dictionary of files. Large files arrive by LFS."""

    def __init__(self):
        self.repositories, self.large, self.requests, self.sizes = {}, {}, [], {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, body=b"", status=200, **headers):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def read_body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def missing(self, code):
                self.answer({"error": "Not found"}, 404, X_Error_Code=code)

            def handle_request(self):
                data = self.read_body()
                path = unquote(urlsplit(self.path).path)
                fake.requests.append(f"{self.command} {path}")
                fake.reply(self, path, data)

        for command in ("GET", "HEAD", "POST", "PUT"):
            setattr(Handler, f"do_{command}", Handler.handle_request)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def commit_of(files):
        digest = hashlib.sha1()
        for name in sorted(files):
            digest.update(name.encode() + files[name])
        return digest.hexdigest()

    def reply(self, request, path, data):
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            values = json.loads(data)
            name = f"{values.get('organization') or 'user'}/{values['name']}"
            if name in self.repositories:
                return request.answer({"error": "exists", "url": f"{self.address}/{name}"}, 409)
            self.repositories[name] = [{}]
            return request.answer({"url": f"{self.address}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return request.answer({"errors": [], "warnings": []})
        if path.startswith("/objects/"):
            self.large[parts[1]] = data
            return request.answer()
        if path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(data)["objects"]
            actions = [
                item | {"actions": {"upload": {"href": f"{self.address}/objects/{item['oid']}"}}} for item in objects
            ]
            return request.answer({"transfer": "basic", "objects": actions})
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if name not in self.repositories:
            return request.missing("RepoNotFound")
        versions = {self.commit_of(files): files for files in self.repositories[name]}
        rest = parts[4:] if parts[0] == "api" else parts[2:]
        commit = list(versions)[-1]
        if len(rest) > 1 and rest[1] != "main":
            commit = rest[1]
        if commit not in versions:
            return request.missing("RevisionNotFound")
        return self.reply_about(request, name, rest, (commit, versions[commit]), data)

    def reply_about(self, request, name, rest, version, data):
        commit, files = version
        if rest[:1] == ["preupload"]:
            asked = json.loads(data)["files"]
            modes = [
                {
                    "path": item["path"],
                    "uploadMode": "lfs" if item["path"].endswith(".h5") else "regular",
                    "shouldIgnore": False,
                }
                for item in asked
            ]
            return request.answer({"files": modes})
        if rest[:1] == ["commit"]:
            new = dict(files)
            for line in data.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    new[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
                elif item["key"] == "lfsFile":
                    new[item["value"]["path"]] = self.large[item["value"]["oid"]]
            self.repositories[name].append(new)
            oid = self.commit_of(new)
            return request.answer(
                {"commitUrl": f"{self.address}/{name}/commit/{oid}", "commitOid": oid, "success": True}
            )
        if rest[:1] in ([], ["revision"]):
            siblings = [{"rfilename": key, "size": self.sizes.get(key, len(value))} for key, value in files.items()]
            return request.answer({"id": name, "modelId": name, "sha": commit, "siblings": siblings})
        if rest[0] == "resolve":
            file = "/".join(rest[2:])
            if file not in files:
                return request.missing("EntryNotFound")
            etag = hashlib.sha1(files[file]).hexdigest()
            return request.answer(files[file], ETag=f'"{etag}"', X_Repo_Commit=commit)
        return request.missing("EntryNotFound")


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    fake = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", fake.address)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("CAPTION_TX_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # else large files need another server
    yield fake
    fake.close()
