#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The manual describes each entry of the lists of include/culvert, and nobody is sent to a page that is not there."""

import re

import lint

# list → (entry macro, which of its strings is the name, the page that describes it, the macro that shows the name)
DESCRIBED = {
    "drops.def": ("DROP", 0, "culvert-nat.7", "Li"),
    "hints.def": ("HINT", 0, "culvert-nat.7", "Li"),
    "timeouts.def": ("TIMEOUT", 0, "culvert-nat.7", "Ic"),
    "stats.def": ("STAT", 0, "culvertd.8", "Li"),
    "rules.def": ("RULE", 0, "culvertctl.8", "Li"),
    "verbs.def": ("VERB", 0, "culvertctl.8", "Cm"),
    "confkeys.def": ("KEY", 1, "culvert.ini.5", "Ic"),
}
NOT_SHOWN = {"rules.def": {"none"}}
TEXTS = ("*.md", "docs/*.md", "man/*.[1-9]", "src/**/*.[ch]", "include/**/*.*", "etc/**/*", "contrib/**/*")
REFERENCE = re.compile(
    r"\b(?P<page>culvert[\w.-]*)\((?P<section>[1-9])\)|\.Xr (?P<xr>culvert\S*) (?P<number>\d)"
    r"|`man (?P<man>culvert[\w.-]*)`"
)


def entries(tree, name, macro, which):
    text = re.sub(r"/\*.*?\*/", "", tree.text(f"include/culvert/{name}"), flags=re.DOTALL)
    for match in re.finditer(rf"(?m)^{macro}\(((?:[^\"\n]*\"[^\"]*\"){{{which + 1}}})", text):
        yield re.findall(r'"([^"]*)"', match.group(1))[which]


def undescribed(tree):
    for name, (macro, which, page, shown) in DESCRIBED.items():
        path = f"man/{page}"
        items = set(re.findall(rf"(?m)^\.It {shown} (\S+)", tree.text(path) if (tree.root / path).exists() else ""))
        names = set(entries(tree, name, macro, which))
        if not names:
            yield f"include/culvert/{name}: no {macro}() entry found"
        yield from (f"man/{page}: {missing} of {name} is not described"
                    for missing in sorted(names - items - NOT_SHOWN.get(name, set())))


def lost_references(tree):
    pages = {path.name for path in tree.files("man/*.[1-9]")}
    names = {page.rsplit(".", 1)[0] for page in pages}
    for path in tree.files(*TEXTS):
        for number, line in lint.numbered(tree.text(path)):
            for match in REFERENCE.finditer(line):
                page = match["page"] or match["xr"]
                if page and f"{page}.{match['section'] or match['number']}" not in pages or (
                        match["man"] and match["man"] not in names):
                    yield f"{path}:{number}: there is no page {match.group(0)}"


def check(tree):
    return [*undescribed(tree), *lost_references(tree)]


def plant(_tree):
    def line(name, text):
        return lambda tree: tree.append(f"include/culvert/{name}", text + "\n")

    yield "a reason", line("drops.def", 'DROP(PLANTED, "planted", "never", "nothing")')
    yield "a hint", line("hints.def", 'HINT(PLANTED, "planted", "never")')
    yield "a timer", line("timeouts.def", 'TIMEOUT(PLANTED, "planted", 1, 2, "never")')
    yield "a counter", line("stats.def", 'STAT(PLANTED, "planted", "never")')
    yield "a rule", line("rules.def", 'RULE(PLANTED, "planted", "never")')
    yield "a verb", line("verbs.def", 'VERB(PLANTED, "planted", 1, "", VERB_LISTS, verb_help, "")')
    yield "a key", line("confkeys.def", 'KEY("nat", "planted", NUMBER, planted, 0, 1, "", RELOAD, "", "")')
    yield "a page that is not there", lambda tree: tree.append("docs/planted.md", "culvert-x(7)\n`man culvert-x`\n"), 2
    yield "a wrong section", lambda tree: tree.append("man/planted.8", ".Xr culvertctl 1\n")


if __name__ == "__main__":
    lint.run()
