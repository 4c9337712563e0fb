"""Weights from the hub: fetched from a server of our own here, pinned, cached, and refused where they differ."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from medvision.errors import PipelineError, UsageError
from medvision.transfer import Hub, read_weights
from medvision.transfer.hub import HubReference

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BYTES = save({"conv1.weight": torch.arange(4.0)})
SHA256 = hashlib.sha256(BYTES).hexdigest()


class Server:
    """A hub with one repository, whose answers a test can change."""

    def __init__(self) -> None:
        lfs = {"sha256": SHA256, "size": len(BYTES), "pointerSize": 134}
        self.listing: Any = {
            "id": "org/net",
            "sha": COMMIT,
            "cardData": {"license": "mit"},
            "siblings": [
                {"rfilename": "README.md", "size": 3},
                {"rfilename": "model.safetensors", "size": len(BYTES), "lfs": lfs},
            ],
        }
        self.files: dict[str, Any] = {"model.safetensors": BYTES}
        self.asked: list[str] = []
        self.length: int | None = None
        self.raw: bytes | None = None
        handler = self._handler()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def _handler(self) -> Any:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.path.startswith("/api/models/org/net/revision/"):
                    self.answer(200, server.raw or json.dumps(server.listing).encode())
                    return
                content = server.files.get(
                    self.path.removeprefix(f"/org/net/resolve/{COMMIT}/").removeprefix("/store/")
                )
                if isinstance(content, str):
                    self.send_response(302)
                    self.send_header("Location", content)
                    self.end_headers()
                elif isinstance(content, bytes):
                    self.answer(200, content)
                else:
                    self.answer(content or 404, b"")

            def answer(self, code: int, content: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(content) if server.length is None else server.length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    hub = Server()
    thread = threading.Thread(target=hub.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hub
    hub.http.shutdown()
    thread.join()
    hub.http.server_close()


@pytest.fixture
def hub(server: Server, tmp_path: Path) -> Hub:
    return Hub(server.url, tmp_path / "cache", timeout_s=5)


def refused(code: str, words: str, source: str, hub: Hub, **given: Any) -> PipelineError:
    with pytest.raises(PipelineError, match=words) as caught:
        read_weights(source, hub=hub, **given)
    assert caught.value.code == code
    assert not list((hub.cache or Path()).rglob("*.part*"))
    return caught.value


def test_a_file_comes_with_its_commit_hash_and_licence(hub: Hub, server: Server) -> None:
    found = read_weights("hf:org/net", hub=hub)
    assert found.tensors["conv1.weight"].tolist() == [0, 1, 2, 3]
    assert found.origin.source == f"hf:org/net@{COMMIT}:model.safetensors"
    assert (found.origin.kind, found.origin.sha256, found.origin.licence) == ("safetensors", SHA256, "mit")
    assert server.asked[0] == "/api/models/org/net/revision/main?blobs=true"


def test_a_file_in_the_cache_is_not_fetched_again_and_a_pinned_one_needs_no_network(hub: Hub, server: Server) -> None:
    read_weights("hf:org/net@v1", hub=hub)
    assert server.asked[0] == "/api/models/org/net/revision/v1?blobs=true"
    server.asked.clear()
    read_weights("hf:org/net@v1:model.safetensors", hub=hub)
    assert len(server.asked) == 1
    away = Hub("http://127.0.0.1:1", hub.cache, timeout_s=1)
    found = read_weights(f"hf:org/net@v1#sha256={SHA256}", hub=away)
    assert found.origin.licence == "mit"
    (first,) = (hub.cache or Path()).rglob("*.origin.json")
    before = first.parent.parent / ("0" * 40)  # an older commit with the same bytes
    shutil.copytree(first.parent, before)
    note = before / first.name
    note.write_text(note.read_text().replace(COMMIT, "0" * 40))
    for commit in (COMMIT, "0" * 40):
        named = f"hf:org/net@{commit}:model.safetensors"
        assert read_weights(f"{named}#sha256={SHA256}", hub=away).origin.source == named
    error = refused("weights-unreachable", "cannot be reached", "hf:org/net", away)
    assert "Download the file" in str(error.finding.cure)


def test_a_file_in_the_cache_that_has_changed_is_fetched_again(hub: Hub, server: Server) -> None:
    read_weights("hf:org/net", hub=hub)
    (path,) = (hub.cache or Path()).rglob("*.safetensors")
    path.write_bytes(b"changed")
    assert read_weights("hf:org/net", hub=hub).origin.sha256 == SHA256
    note = path.with_name(path.name + ".origin.json")
    note.write_text("[")
    assert read_weights("hf:org/net", hub=hub).origin.sha256 == SHA256
    assert path.read_bytes() == BYTES


def test_another_hash_than_asked_for_or_stated_is_refused_and_nothing_kept(hub: Hub, server: Server) -> None:
    refused("weights-mismatch", f"SHA-256 {SHA256}, not the one asked for", f"hf:org/net#sha256={'0' * 64}", hub)
    server.files["model.safetensors"] = save({"w": torch.zeros(9)})
    refused("weights-mismatch", "not the one stated by the hub", "hf:org/net", hub)
    assert not [path for path in (hub.cache or Path()).rglob("*") if path.is_file()]


def test_a_redirect_to_where_files_are_stored_is_followed_but_not_to_a_file(hub: Hub, server: Server) -> None:
    server.files["stored"] = BYTES
    server.files["model.safetensors"] = f"{server.url}/store/stored"
    assert read_weights("hf:org/net", hub=hub).origin.sha256 == SHA256
    server.files["model.safetensors"] = "ftp://127.0.0.1/x"
    other = Hub(hub.url, (hub.cache or Path()) / "other", timeout_s=5)
    refused("weights-unreachable", "cannot be reached", "hf:org/net", other)


@pytest.mark.parametrize(
    ("names", "wanted", "taken"),
    [
        (["a.bin", "b.safetensors"], "", "b.safetensors"),
        (["models/model.pt", "x.pt"], "", "models/model.pt"),
        (["pytorch_model.bin", "z.safetensors"], "", "pytorch_model.bin"),
        (["a.pt", "b.pt"], ":b.pt", "b.pt"),
        (["a.pt", "sub/b.pt"], ":sub/b.pt", "sub/b.pt"),
    ],
)
def test_the_file_that_is_meant_is_chosen_by_rule(
    hub: Hub, server: Server, names: list[str], wanted: str, taken: str
) -> None:
    server.listing["siblings"] = [{"rfilename": name} for name in names]
    server.files = dict.fromkeys(names, BYTES)
    assert read_weights(f"hf:org/net{wanted}", hub=hub).origin.source.endswith(f":{taken}")


@pytest.mark.parametrize(
    ("names", "wanted"), [(["a.pt", "b.pt"], ""), (["README.md"], ""), ([], ""), (["a.pt"], ":c.pt")]
)
def test_without_one_file_that_is_meant_what_there_is_is_named(
    hub: Hub, server: Server, names: list[str], wanted: str
) -> None:
    server.listing["siblings"] = [{"rfilename": name} for name in names]
    refused("weights-layout", f"there are {', '.join(names) or 'nothing'}", f"hf:org/net{wanted}", hub)


@pytest.mark.parametrize(
    ("card", "licence"),
    [(None, None), ({}, None), ({"license": "other", "license_name": "nc"}, "other, nc"), ({"license": ["x"]}, None)],
)
def test_the_licence_is_what_the_card_states_or_unknown(hub: Hub, server: Server, card: Any, licence: Any) -> None:
    server.listing["cardData"] = card
    assert read_weights("hf:org/net", hub=hub).origin.licence == licence


def test_what_is_not_there_or_wants_an_account_is_told(hub: Hub, server: Server) -> None:
    refused("weights-unreachable", "404: api/models/org/none/revision/main is not there", "hf:org/none", hub)
    server.files["model.safetensors"] = 403
    refused("weights-unreachable", "403.*wants an account with access", "hf:org/net", hub)
    server.files["model.safetensors"] = 500
    refused("weights-unreachable", "500.*cannot be had now", "hf:org/net", hub)


@pytest.mark.parametrize("raw", [b"<html>", b"[1]", b'{"sha": "main"}', b'{"sha": 3}'])
def test_an_answer_that_is_no_hub_s_is_refused(hub: Hub, server: Server, raw: bytes) -> None:
    server.raw = raw
    refused("weights-unreachable", "does not answer as a hub|states no commit", "hf:org/net", hub)


def test_a_file_that_is_too_large_or_stops_in_the_middle_is_refused(hub: Hub, server: Server) -> None:
    refused("weights-unreadable", "more than 10 bytes", "hf:org/net", hub, limit_bytes=10)
    server.raw = json.dumps(server.listing).encode()
    server.raw += b" " * (5000 - len(server.raw))
    server.length = 5000
    refused("weights-unreachable", "of 5000 bytes came|IncompleteRead|cannot be reached", "hf:org/net", hub)


@pytest.mark.parametrize(
    "text",
    ["hf:net", "hf:org/net@../x", "hf:org/../net", "hf:org/net:a/../b", "hf:org/net#sha256=12", "hf:/etc/passwd"],
)
def test_what_names_no_file_on_the_hub_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="hf:ORG/REPO"):
        HubReference.of(text)


def test_the_cache_is_the_user_s(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    read_weights("hf:org/net", hub=Hub(hub.url))
    assert list((tmp_path / "user" / "medvision" / "hub" / "org--net").iterdir())
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    read_weights("hf:org/net", hub=Hub(hub.url))
    assert list((tmp_path / "home" / ".cache" / "medvision" / "hub").iterdir())
