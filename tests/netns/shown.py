# SPDX-License-Identifier: BSD-2-Clause
"""Blocks of commands that README.md and HACKING.md show, for the tests that run them. tests/lint/check_blocks.py wants
each block to be named here or there: by a call of block(), in Python or in a shell script."""
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def block(text, words):
    """The fenced block of a file of the tree whose first line begins with these words."""
    for shown in re.findall(r"(?ms)^```\w*\n(.*?)^```$", (TOP / text).read_text(encoding="utf-8")):
        if shown.startswith(words):
            return shown
    raise AssertionError(f"{text} shows no block that begins with {words!r}")
