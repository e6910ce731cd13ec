"""A hook of mkdocs (mkdocs.yml): pages of the repository's root stand beside those of docs/, without a copy of them.

Links are written for the repository, where README.md says `docs/plan.md` and docs/events.md says `../README.md`; in the
site all pages are in one folder.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md"} | {
    name: name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
}

MERMAID = ROOT / "build/mermaid/package/dist/mermaid.min.js"  # `make docs` fetches it
SCRIPT = "assets/mermaid.min.js"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Diagrams are drawn by the site's own script; where it is not there, the theme's comes from a CDN."""
    if MERMAID.is_file():
        config.extra_javascript.append(SCRIPT)
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the root's pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    if MERMAID.is_file():
        files.append(File.generated(config, SCRIPT, abs_src_path=str(MERMAID)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links between the two folders become links within one."""
    markdown = re.sub(r"\]\((?:docs|\.\.)/(?=[\w-]+\.(?:md|png))", "](", markdown)
    return re.sub(r"\]\(README\.md", "](index.md", markdown)
