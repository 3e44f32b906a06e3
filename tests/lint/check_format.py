#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""C sources look the way .clang-format says. Lists (*.def) are laid out by hand."""

import re

import lint

ON_REQUEST = True


def check(tree):
    formatter = lint.tool("clang-format", "clang-format")
    paths = tree.files("include/**/*.h", "src/**/*.[ch]", "tests/**/*.[ch]")
    result = lint.output([formatter, "--dry-run", "-Werror", *map(str, paths)], cwd=tree.root)
    places = re.findall(r"(?m)^(\S+:\d+):\d+: error:", result.stdout)
    findings = [f"{place}: clang-format -i would change this" for place in dict.fromkeys(places)]
    if result.returncode and not findings:
        findings.append(f"clang-format failed: {result.stdout.strip()}")
    return findings


def plant(_tree):
    yield "spaces for a tab", lambda tree: tree.append("src/wire/planted.c", "int planted(void)\n{\n    return 0;\n}\n")
    yield "a brace in the wrong place", lambda tree: tree.append("src/wire/planted.c", "int planted(void) {\n}\n")


if __name__ == "__main__":
    lint.run()
