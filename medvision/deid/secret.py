"""The secret that pseudonyms, UIDs and shifts of dates are derived from: the same in, the same out, and no way back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from medvision.errors import InputError, OutputError

_HEAD = "medvision deid key 1"
_DAYS = (30, 3650)


@dataclass(frozen=True)
class Secret:
    """A key of 256 bits; who has it can link a person to the outputs, so it is kept apart from them or thrown away.

    Raises
    ------
    ValueError
        The key has another length than 32 bytes.

    Examples
    --------
    >>> secret = Secret(bytes(32))
    >>> secret.uid("1.2.3") == secret.uid("1.2.3"), secret.uid("1.2.3") == Secret.fresh().uid("1.2.3")
    (True, False)
    >>> secret
    Secret()
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != 32:
            raise ValueError(f"a key has 32 bytes, not {len(self.key)}")

    @classmethod
    def fresh(cls) -> Secret:
        """Return a new secret from the system's randomness."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def read(cls, path: Path) -> Secret:
        """Return the secret that a file holds; InputError (``bad-header``, ``unreadable``) where it holds none."""
        try:
            head, _, key = path.read_text(encoding="ascii").strip().partition("\n")
            if head != _HEAD:
                raise ValueError(head)
            return cls(bytes.fromhex(key))
        except OSError as error:
            raise InputError("unreadable", f"the key cannot be read: {error.strerror}", path=path) from None
        except ValueError:
            cure = "Name a key that medvision deid made, or a path where it can make one."
            raise InputError("bad-header", "this is no key of medvision deid", path=path, cure=cure) from None

    def write(self, path: Path) -> None:
        """Write the secret to a new file that its owner alone can read.

        Raises
        ------
        OutputError
            The file cannot be made, or is there already: a key is never replaced.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{_HEAD}\n{self.key.hex()}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError("output-unwritable", f"the key cannot be written: {error.strerror}", path=path) from error

    def pseudonym(self, patient: str) -> str:
        """Return the name that stands for a patient: P and 12 letters or digits."""
        return "P" + base64.b32encode(self._mac("patient", patient))[:12].decode()

    def uid(self, uid: str) -> str:
        """Return the UID that stands for `uid`, in the manner of PS3.5, B.2 (a UUID below 2.25)."""
        return f"2.25.{uuid.UUID(bytes=self._mac('uid', uid)[:16], version=4).int}"

    def days(self, patient: str) -> int:
        """Return by how many days a patient's dates are moved, between 30 and 3650 back: a negative number."""
        first, last = _DAYS
        return -(first + int.from_bytes(self._mac("days", patient)[:8], "big") % (last - first + 1))

    def name(self, uid: str) -> str:
        """Return twelve hex digits that stand for a UID in the name of a file or folder."""
        return self._mac("name", uid)[:6].hex()

    def fingerprint(self) -> str:
        """Return eight hex digits by which two runs see that they had the same key, and no more."""
        return self._mac("fingerprint", "")[:4].hex()

    def _mac(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self.key, f"{purpose}\0{text}".encode(), hashlib.sha256)
