"""The page that says what was done to the files, and what risk remains."""

from __future__ import annotations

from importlib import resources

from medvision.deid.profile import edition
from medvision.deid.summary import Summary


def render(summary: Summary) -> str:
    """Return the page as HTML; it holds no path and no value of an input."""
    from jinja2 import Environment, StrictUndefined

    text = resources.files("medvision.deid").joinpath("report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)
    return template.render(summary=summary, edition=edition(), codes=summary.options.codes())
