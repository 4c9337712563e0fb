"""How settings are read from a file: a misspelt field is refused, and so is a number that is not finite."""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
