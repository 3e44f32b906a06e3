#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each block of commands in README.md and HACKING.md is run by a test, which names it by its first words in a call of
block(), or stands here with the reason why none does. So nothing is shown that has stopped working."""

import re

import lint

TEXTS = ("README.md", "HACKING.md")
RUNNERS = ("tests/**/*.py", "tests/**/*.sh")
# (text, its first words): why no test runs it as it stands
NOT_RUN = {
    ("README.md", "scripts/demo.sh"): "scripts/test.sh runs the demo, here and in a Debian that has only its base",
    ("HACKING.md", "autoreconf -fi"): "scripts/test.sh does the same with options of its own: build and make check",
}


def blocks(tree, path):
    """(line, first line of the block) for each block; one that has no end goes to the end."""
    inside = False
    for number, line in lint.numbered(tree.text(path)):
        if line.startswith("```"):
            inside = not inside
            opened = number
        elif inside and number == opened + 1:
            yield number, line


def runs(tree):
    """{(text, first words)} of the calls of block()."""
    found = set()
    for path in tree.files(*RUNNERS):
        if path.name != "check_blocks.py":
            found.update(re.findall(r"\bblock[( ](?:\")?([\w.]+)\"?,? \"([^\"]+)\"", tree.text(path)))
    return found


def check(tree):
    shown = [(path, number, line) for path in TEXTS for number, line in blocks(tree, path)]
    known = runs(tree) | set(NOT_RUN)
    findings = [f"{path}:{number}: no test runs the block that begins with {line!r}, and NOT_RUN does not say why"
                for path, number, line in shown
                if not any(text == path and line.startswith(words) for text, words in known)]
    findings += [f"{text} shows no block that begins with {words!r}: who names it here?"
                 for text, words in sorted(known)
                 if not any(path == text and line.startswith(words) for path, _, line in shown)]
    return findings


def plant(_tree):
    yield "a block that nobody runs", lambda tree: tree.append("README.md", "\n```\nplanted --now\n```\n")
    yield "one with a language", lambda tree: tree.append("HACKING.md", "\n```sh\nplanted --now\n```\n")
    yield "a test of a block that is gone", lambda tree: tree.append(
        "tests/netns/planted.py", 'block("README.md", "planted")\n')
    yield "a script's of one that is gone", lambda tree: tree.append(
        "tests/fresh/planted.sh", 'block HACKING.md "planted"\n')


if __name__ == "__main__":
    lint.run()
