"""Templates: found inside the package, escaped by default, strict about names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from medvision.report import wording

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page that `template` makes of `values`; every value is escaped."""
    return _environment().get_template(template).render(values)


def link(path: str) -> str:
    """Return a relative path as a link; a scheme such as ``javascript:`` cannot survive it.

    >>> link("cases/a b.html"), link("javascript:alert(1)")
    ('cases/a%20b.html', 'javascript%3Aalert%281%29')
    """
    return quote(path.lstrip("/"), safe="/")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("medvision.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "fixed": wording.fixed,
        "with_spread": wording.with_spread,
        "percent": wording.percent,
        "significant": wording.significant,
        "duration": wording.duration,
        "figure": wording.figure,
        "link": link,
    }
    return environment
