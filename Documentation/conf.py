# SPDX-License-Identifier: GPL-2.0
"""How Sphinx makes the manual; tools/make/doc runs it, and says where the reference and the kernel's source are."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools/lib"))
import unsafe_audit  # noqa: E402

project = "async_domain"
author = "The async_domain developers"
extensions = []
exclude_patterns = ["images"]

html_theme = "alabaster"
html_theme_options = {
    "description": "Filtered wait queues and async domains for Rust drivers",
    "extra_nav_links": {"Reference (rustdoc)": "rust/async_domain/index.html"},
    "fixed_sidebar": True,
    "page_width": "1080px",
    "sidebar_width": "240px",
    "body_max_width": "none",
    "sidebar_collapse": True,
    "show_powered_by": False,
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
highlight_language = "none"

KINDS = r"struct|trait|macro|fn|constant|enum"
MEMBER = 'id="(?:method|tymethod|associatedconstant|structfield|variant).{}"'


def reference_pages():
    """The pages of the reference by the items' names: what Sphinx calls an inventory."""
    root = Path(os.environ.get("ASYNC_DOMAIN_RUSTDOC", "/nonexistent"))
    pages = {}
    for path in sorted(root.rglob("*.html")):
        item = re.fullmatch(rf"(?:{KINDS})\.(\w+)\.html", path.name)
        name = item[1] if item else path.parent.name if path.name == "index.html" else None
        # What is public is in the module that it is public in; other pages lead there.
        if name and "http-equiv=\"refresh\"" not in path.read_text(encoding="utf-8")[:1000]:
            pages.setdefault(name, path)
    return root, pages


ROOT, PAGES = reference_pages()


def rust_role(_name, rawtext, text, lineno, inliner, options=None, _content=None):
    """:rust:`Type::method()` links to the reference; with "~" before it, only the last part is shown, and
    :rust:`something else <Type::method>` shows that."""
    title = re.fullmatch(r"(.+)\s<(.+)>", text)
    shown = title[2] if title else text.removeprefix("~")
    path = re.sub(r"\(.*\)$|!$", "", shown).split("::")
    if title:
        literal = nodes.inline(rawtext, title[1])
    else:
        literal = nodes.literal(rawtext, shown.split("::")[-1] if text.startswith("~") else shown)
    if not PAGES:
        return [literal], []
    page, member = PAGES.get(path[-1]), None
    # A type's member, unless what stands before it is a module.
    if len(path) > 1 and (owner := PAGES.get(path[-2])) and owner.name != "index.html":
        page, member = owner, path[-1]
    source = page.read_text(encoding="utf-8") if page else ""
    found = page and (member is None or re.search(MEMBER.format(member), source))
    if not found:
        logging.getLogger(__name__).warning("the reference has no %s", shown, location=(inliner.document.settings.env.docname, lineno))
        return [literal], []
    anchor = f"#{found[0][4:-1]}" if member else ""
    uri = f"rust/{page.relative_to(ROOT)}{anchor}"
    return [nodes.reference(rawtext, "", literal, refuri=uri, **(options or {}))], []


def kernel_role(_name, rawtext, text, lineno, inliner, options=None, _content=None):
    """:kernel:`include/linux/wait.h` links to a file of the kernel's source, which must be there."""
    source = os.environ.get("ASYNC_DOMAIN_KERNEL_SOURCE")
    if source and not (Path(source) / text).is_file():
        logging.getLogger(__name__).warning("the kernel has no %s", text, location=(inliner.document.settings.env.docname, lineno))
    uri = os.environ.get("ASYNC_DOMAIN_KERNEL_URL", "https://git.kernel.org/{}").format(text)
    return [nodes.reference(rawtext, "", nodes.literal(rawtext, text), refuri=uri, **(options or {}))], []


def add_audit(_app, docname, source):
    """The table of unsafe code, which is in the sources."""
    if docname == "audit":
        source[0] += "\n".join(unsafe_audit.table())


def setup(app):
    app.connect("source-read", add_audit)
    app.add_role("rust", rust_role)
    app.add_role("kernel", kernel_role)
    return {"parallel_read_safe": True}
