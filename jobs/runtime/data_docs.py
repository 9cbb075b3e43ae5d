"""How Data Docs are made: Great Expectations' own pages, from templates that a process compiles once instead of at every gate."""

from __future__ import annotations

from typing import Any

from great_expectations.render.view import DefaultJinjaIndexPageView, DefaultJinjaPageView

LISTED = 200  # results on the index; the pages of older ones stay where they are
_environments: dict[type, Any] = {}


class Page(DefaultJinjaPageView):
    """The page of a suite or of a result."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.env = _environments.setdefault(Page, self.env)  # type: ignore[has-type]


class IndexPage(DefaultJinjaIndexPageView):
    """The page that lists the others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.env = _environments.setdefault(IndexPage, self.env)  # type: ignore[has-type]


def made_here(site: dict[str, Any]) -> dict[str, Any]:
    """The site with pages of this module; without its section for profiles, of which there are none."""
    page = {"module_name": __name__, "class_name": Page.__name__}
    index = {"module_name": __name__, "class_name": IndexPage.__name__}
    return site | {
        "site_index_builder": {
            "class_name": "DefaultSiteIndexBuilder",
            "view": index,
            "validation_results_limit": LISTED,
        },
        "site_section_builders": {
            "expectations": {"view": page},
            "validations": {"view": page},
            "profiling": "None",
        },
    }
