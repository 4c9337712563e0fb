"""What the settings of all steps have in common: a misspelt field or a number that is not finite is refused."""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
