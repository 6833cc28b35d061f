"""How the watch list is covered, for templates."""

from __future__ import annotations

from django import template

from signals.coverage import Coverage, coverage

register = template.Library()


@register.simple_tag
def watch_list() -> Coverage:
    """`{% watch_list as watch %}`: `watch.words`, `watch.state`."""
    return coverage()
