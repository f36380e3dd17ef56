"""HTML of jinja2 templates, which lie as ``.html`` and ``.css`` files next to the code that fills them."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["thousands"] = "{:,}".format


def render_html(template: str, **values: object) -> str:
    """Return a template with values in it, each escaped unless the template calls it ``safe``.

    Args:
        template: Its path within the package: ``train/report/page.html``.
    """
    return _ENVIRONMENT.get_template(template).render(values)
