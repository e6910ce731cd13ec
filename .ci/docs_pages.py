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

MERMAID = ROOT / "build/mermaid/package/dist/mermaid.min.js"  # `make docs` fetches it, and KaTeX
SCRIPT = "assets/mermaid.min.js"
KATEX = ROOT / "build/katex/package/dist"
STYLE, FORMULAS = "assets/katex/katex.min.css", ("assets/katex/katex.min.js", "assets/formulas.js")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Diagrams are drawn by the site's own script; where it is not there, the theme's comes from a CDN.

    Formulas, too; where KaTeX is not there they stand as they were written.
    """
    if MERMAID.is_file():
        config.extra_javascript.append(SCRIPT)
    if KATEX.is_dir():
        config.extra_javascript += FORMULAS
        config.extra_css.append(STYLE)
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the root's pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    if MERMAID.is_file():
        files.append(File.generated(config, SCRIPT, abs_src_path=str(MERMAID)))
    for name, path in _formula_files().items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def _formula_files() -> dict[str, Path]:
    """What KaTeX needs to draw, by its place in the site; nothing where it is not there."""
    own = ["katex.min.css", "katex.min.js", *(f"fonts/{font.name}" for font in KATEX.glob("fonts/*.woff2"))]
    found = {f"assets/katex/{name}": KATEX / name for name in own}
    return found | {FORMULAS[1]: ROOT / ".ci/formulas.js"} if KATEX.is_dir() else {}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links between the two folders become links within one."""
    markdown = re.sub(r"\]\((?:docs|\.\.)/(?=[\w-]+\.(?:md|png))", "](", markdown)
    return re.sub(r"\]\(README\.md", "](index.md", markdown)
