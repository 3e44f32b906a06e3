#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every drop reason is provoked by a test that asserts it, and says what it means and what to do about it.

A test asserts a reason by rig_dropped(rig, DROP_X), by another function whose name ends so or in _refused, by an
assert_...() that names it, or in Python by router.dropping(side={"x": 1}).
"""

import re

import lint

ASSERTED_C = re.compile(r"\b(?:\w*_dropped|\w*_refused|assert_\w+)\s*\(([^;{}]*);")
ASSERTED_PYTHON = re.compile(r"\bdropping\(((?:[^()]|\([^()]*\))*)\)")
ENTRY = re.compile(r'(?m)^DROP\(\s*(\w+)\s*,\s*"(\w+)"\s*,\s*((?:"[^"]*"\s*)+),\s*((?:"[^"]*"\s*)+)\)')


def words(text):
    return "".join(re.findall(r'"([^"]*)"', text)).strip()


def asserted(tree):
    """Constants and names that tests assert."""
    found = set()
    for path in tree.files("tests/unit/*.c"):
        for match in ASSERTED_C.finditer(tree.code(path)):
            found.update(re.findall(r"\bDROP_(\w+)", match.group(1)))
    for path in tree.files("tests/netns/*.py"):
        text = re.sub(r"(?m)^\s*#.*$", "", tree.text(path))
        for match in ASSERTED_PYTHON.finditer(text):
            found.update(name.upper() for name in re.findall(r'"(\w+)":', match.group(1)))
    return found


def check(tree):
    findings = []
    tested = asserted(tree)
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group(0).count("\n"),
                  tree.text("include/culvert/drops.def"), flags=re.DOTALL)
    entries = list(ENTRY.finditer(text))
    lines = len(re.findall(r"(?m)^DROP\(", text))
    if not entries or len(entries) != lines:
        findings.append(f"include/culvert/drops.def: {lines} entries, of which {len(entries)} could be read")
    for match in entries:
        where = f"include/culvert/drops.def:{text.count(chr(10), 0, match.start()) + 1}"
        if match.group(1) not in tested:
            findings.append(f"{where}: no test asserts that a packet is dropped for {match.group(1)}")
        if not words(match.group(3)):
            findings.append(f"{where}: {match.group(1)} does not say what it means")
        if not words(match.group(4)):
            findings.append(f"{where}: {match.group(1)} does not say what to do about it")
    return findings


def plant(_tree):
    def entry(meaning, advice):
        line = f'DROP(PLANTED, "planted", "{meaning}", "{advice}")\n'
        return lambda tree: tree.append("include/culvert/drops.def", line)

    def mentioned(tree):
        entry("never", "nothing")(tree)
        tree.append("tests/unit/planted.c", '/* rig_dropped(rig, DROP_PLANTED); */ int planted = DROP_PLANTED;\n')
        tree.append("tests/netns/test_planted.py", '# dropping(lan={"planted": 1})\nNAMES = ["planted"]\n')

    yield "a reason without a test", entry("never", "nothing")
    yield "a reason that tests only mention", mentioned
    yield "a reason without a meaning", entry("", "nothing"), 2
    yield "a reason without advice", entry("never", ""), 2
    yield "an entry that cannot be read", lambda tree: tree.append("include/culvert/drops.def", "DROP(PLANTED)\n")


if __name__ == "__main__":
    lint.run()
