#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages are well formed, as mandoc sees it."""

import lint


def check(tree):
    mandoc = lint.tool("mandoc", "mandoc")
    pages = tree.files("man/*.[1-9]")
    if not pages:
        return ["man/: there is no manual page"]
    findings = []
    for page in pages:
        result = lint.output([mandoc, "-T", "lint", "-W", "warning", str(tree.root / page)])
        findings += [line.replace(f"{tree.root}/", "") for line in result.stdout.splitlines()]
        if result.returncode and not result.stdout:
            findings.append(f"{page}: mandoc failed with {result.returncode}")
    return findings


def plant(_tree):
    def page(text):
        return lambda tree: tree.append("man/planted.8", text)

    top = ".Dd $Mdocdate$\n.Dt PLANTED 8\n.Os\n.Sh NAME\n.Nm planted\n.Nd is planted\n"
    yield "a page without a title", page(".Sh NAME\n.Nm planted\n.Nd is planted\n")
    yield "a list that is never closed", page(top + ".Sh DESCRIPTION\n.Bl -tag -width x\n.It one\n")
    yield "a macro that does not exist", page(top + ".Sh DESCRIPTION\n.Zz x\n")
    yield "text before the first section", page(top.replace(".Sh NAME", "text\n.Sh NAME"))


if __name__ == "__main__":
    lint.run()
