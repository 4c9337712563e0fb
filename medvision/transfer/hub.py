"""Fetches a file of weights from the Hugging Face hub: one public API over HTTPS, no account, no package of its own."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from medvision.errors import PipelineError, UsageError
from medvision.files import replacing, sha256_of, write_json

_WANTED = ("model.safetensors", "models/model.pt", "pytorch_model.bin")
_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
_ANSWER_LIMIT = 32 << 20  # bytes of a listing
_CHUNK = 1 << 20
_SYNTAX = re.compile(
    r"hf:(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>[^#:]+))?"
    r"(?:#sha256=(?P<sha256>[0-9a-fA-F]{64}))?"
)


@dataclass(frozen=True)
class HubReference:
    """A file of a repository on the hub.

    Parameters
    ----------
    repository
        ``ORG/REPO``.
    revision
        A branch, tag or commit; None for the main branch as it is today.
    file
        A file of the repository; None for the one that is named as weights are.
    sha256
        What the file must be; None takes what comes, and records it.
    """

    repository: str
    revision: str | None = None
    file: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, text: str) -> HubReference:
        """Read ``hf:ORG/REPO[@REVISION][:FILE][#sha256=...]``.

        >>> HubReference.of("hf:org/net@v1:model.safetensors").revision
        'v1'

        Raises
        ------
        UsageError
            It does not look so.
        """
        found = _SYNTAX.fullmatch(text)
        if found is None or ".." in text:
            wanted = "hf:ORG/REPO[@REVISION][:FILE][#sha256=64 hex digits]"
            raise UsageError("usage", f"{text!r} names no weights on the hub", cure=f"Write {wanted}.")
        sha256 = found["sha256"]
        return cls(found["repository"], found["revision"], found["file"], sha256.lower() if sha256 else None)


@dataclass(frozen=True)
class Fetched:
    """A file that lies in the cache.

    Parameters
    ----------
    path
        The file.
    reference
        ``hf:ORG/REPO@COMMIT:FILE``.
    sha256
        Of the file, as it came.
    licence
        What the model card states; None where it states nothing.
    """

    path: Path
    reference: str
    sha256: str
    licence: str | None


@dataclass(frozen=True)
class Hub:
    """The hub and the folder that keeps what came from it.

    Parameters
    ----------
    url
        Where it is.
    cache
        Folder for files; None for ``medvision/hub`` in the user's cache folder.
    timeout_s
        How long to wait for an answer.
    """

    url: str = "https://huggingface.co"
    cache: Path | None = None
    timeout_s: float = 30.0

    def fetch(self, wanted: HubReference, *, limit_bytes: int) -> Fetched:
        """Return the file, out of the cache where it lies there with the hash that is asked for.

        Raises
        ------
        PipelineError
            ``weights-unreachable``: the hub, the repository or the file cannot be reached, or the repository wants an
            account. ``weights-mismatch``: the file has another hash. ``weights-layout``: several files could be
            meant. ``weights-unreadable``: it is larger than `limit_bytes`.
        """
        folder = (self.cache or _user_cache()) / wanted.repository.replace("/", "--")
        if wanted.sha256 and (same := list(_kept(folder, wanted.sha256))):
            asked = f"@{wanted.revision}:{wanted.file}"  # of the same bytes in several commits, the one that is named
            return min(same, key=lambda kept: not kept.reference.endswith(asked))
        listing = self._listing(wanted)
        commit = _commit(listing, wanted)
        name, stated = _chosen(listing, wanted)
        expected = wanted.sha256 or stated
        if expected and (kept := next(_kept(folder / commit, expected), None)):
            return kept
        path = folder / commit / re.sub(r"[^\w.-]", "--", name)
        with replacing(path) as temporary:
            sha256 = self._download(f"{wanted.repository}/resolve/{commit}/{quote(name)}", temporary, limit_bytes)
            for other, words in ((wanted.sha256, "asked for"), (stated, "stated by the hub")):
                if other is not None and other != sha256:
                    message = f"hf:{wanted.repository}: {name} has SHA-256 {sha256}, not the one {words}"
                    raise PipelineError("weights-mismatch", message, cure="Ask the source which file is meant.")
        fetched = Fetched(path, f"hf:{wanted.repository}@{commit}:{name}", sha256, _licence(listing))
        write_json(_note(path), {"reference": fetched.reference, "sha256": sha256, "licence": fetched.licence})
        return fetched

    def _listing(self, wanted: HubReference) -> Mapping[str, Any]:
        place = f"api/models/{wanted.repository}/revision/{quote(wanted.revision or 'main', safe='')}?blobs=true"
        with self._open(place) as answer:
            content = answer.read(_ANSWER_LIMIT)
        try:
            listing = json.loads(content)
        except (ValueError, RecursionError):
            listing = None
        if not isinstance(listing, dict):
            raise PipelineError("weights-unreachable", f"{self.url} does not answer as a hub does")
        return listing

    def _download(self, place: str, path: Path, limit_bytes: int) -> str:
        total, came = hashlib.sha256(), 0
        with self._open(place) as answer, path.open("wb") as file:
            length = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                came += len(chunk)
                if came > limit_bytes:
                    message = f"{place} has more than {limit_bytes:,} bytes"
                    raise PipelineError("weights-unreadable", message)
                total.update(chunk)
                file.write(chunk)
        if length is not None and length.isdigit() and int(length) != came:
            raise PipelineError("weights-unreachable", f"{came:,} of {length} bytes came of {place}")
        return total.hexdigest()

    @contextmanager
    def _open(self, place: str) -> Iterator[Any]:
        """Open an address of the hub; what goes wrong before and while it is read becomes an error with its cure."""
        opener = urllib.request.build_opener(_Redirects(secure=urlsplit(self.url).scheme == "https"))
        request = urllib.request.Request(f"{self.url}/{place}", headers={"User-Agent": "medvision"})  # noqa: S310
        try:
            with opener.open(request, timeout=self.timeout_s) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            error.close()
            raise PipelineError("weights-unreachable", _refusal(error.code, self.url, place)) from None
        except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
            kind = getattr(error, "reason", error)
            message = f"{self.url} cannot be reached ({type(kind).__name__})"
            raise PipelineError("weights-unreachable", message) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to where it stores files, but never from HTTPS to an open line or to a file."""

    def __init__(self, *, secure: bool) -> None:
        self._allowed = {"https"} if secure else {"https", "http"}

    def redirect_request(  # the signature is urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in self._allowed:
            fp.close()
            raise urllib.error.URLError("redirected to an open line")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refusal(code: int, url: str, place: str) -> str:
    words = {401: "wants an account, or is not there", 403: "wants an account with access", 404: "is not there"}
    return f"{url} answers {code}: {place.split('?')[0]} {words.get(code, 'cannot be had now')}"


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "medvision" / "hub"


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.origin.json")


def _kept(folder: Path, sha256: str) -> Iterator[Fetched]:
    """Yield the files in the cache that have the hash, as they are now; one that has changed is removed."""
    for note in sorted(folder.glob("**/*.origin.json")):
        path = note.with_name(note.name.removesuffix(".origin.json"))
        try:
            content = json.loads(note.read_bytes())
            if content["sha256"] != sha256:
                continue
            if sha256_of(path) == sha256:
                yield Fetched(path, str(content["reference"]), sha256, content["licence"])
                continue
        except (OSError, ValueError, KeyError, TypeError):
            pass
        path.unlink(missing_ok=True)
        note.unlink(missing_ok=True)


def _commit(listing: Mapping[str, Any], wanted: HubReference) -> str:
    commit = listing.get("sha")
    if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{40}", commit):
        raise PipelineError("weights-unreachable", f"the hub states no commit for {wanted.repository}")
    return commit


def _chosen(listing: Mapping[str, Any], wanted: HubReference) -> tuple[str, str | None]:
    """Return the file of a repository that is meant, and its SHA-256 where the hub states it."""
    rows = listing.get("siblings")
    names = {row["rfilename"]: row for row in rows if isinstance(row, dict) and "rfilename" in row} if rows else {}
    weights = sorted(name for name in names if isinstance(name, str) and name.endswith(_ENDINGS) and ".." not in name)
    if wanted.file is not None:
        meant = [wanted.file] if wanted.file in names else []
    else:
        meant = [name for name in _WANTED if name in names][:1] or _of_best_ending(weights)
    if len(meant) != 1:
        shown = ", ".join((weights or sorted(names))[:8]) or "nothing"
        wants = wanted.file or "one file with weights"
        message = f"hf:{wanted.repository}: {wants} is wanted, and there are {shown}"
        raise PipelineError("weights-layout", message, cure="Name one: hf:ORG/REPO:FILE.")
    stored = names[meant[0]].get("lfs")
    stated = stored.get("sha256") if isinstance(stored, dict) else None
    return meant[0], stated if isinstance(stated, str) else None


def _of_best_ending(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".safetensors")] or names


def _licence(listing: Mapping[str, Any]) -> str | None:
    card = listing.get("cardData")
    words = [card.get(key) for key in ("license", "license_name", "license_link")] if isinstance(card, dict) else []
    return ", ".join(word for word in words if isinstance(word, str))[:200] or None
