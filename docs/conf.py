"""Settings of Sphinx: `make docs` builds the site, which works without internet."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from docs.make_figures import write_figures
from docs.make_reference import write_reference

HERE = Path(__file__).parent

project = "vidcls"
html_title = "vidcls"
html_theme = "furo"  # its fonts and scripts are part of the site
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
extensions = ["myst_parser"]
myst_heading_anchors = 3
nitpicky = True


def setup(app: Sphinx) -> None:
    """Make the generated pages before Sphinx looks for pages."""
    app.connect("builder-inited", _generate)


def _generate(_: Sphinx) -> None:
    write_reference(HERE / "reference")
    write_figures(HERE / "figures")
