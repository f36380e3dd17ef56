"""HTML from jinja2 templates, which are stored next to the code that renders them."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    # A missing value is an error instead of an empty text.
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["thousands"] = "{:,}".format


def render_html(template: str, **values: object) -> str:
    """Render a template of the package, e.g. ``train/report/page.html``, and escape values not marked ``safe``."""
    return _ENVIRONMENT.get_template(template).render(values)
