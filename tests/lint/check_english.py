#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What people read is written as HACKING.md says: cannot is one word, a message is one literal, rules fit a screen.

The words are looked for in every text, comments and messages included, also where a line ends between the two. Messages
are those of src: a literal that goes on in the next line cannot be searched for.
"""

import re

import lint

TEXTS = ("*.md", "docs/*.md", "man/*.[1-9]", "src/**/*.[ch]", "include/**/*.*", "tests/**/*.[ch]", "tests/**/*.py",
         "scripts/*", "etc/**/*", "contrib/**/*")
RULES, COLUMNS = "docs/nat-behaviour.md", 100
# A comment or literal that goes on in the next line.
TWO_WORDS = re.compile(r"\bcan(?:\"?\s*\n[\s*#\"]*| +)not\b", re.IGNORECASE)
BROKEN = re.compile(r'"(?:[^"\\\n]|\\.)*[^"\\\n ]? ?"[ \t]*\n[ \t]*"')
SKIPPED = "tests/lint/check_english.py"


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def check(tree):
    findings = []
    for path in tree.files(*TEXTS):
        if str(path) == SKIPPED:
            continue
        text = tree.text(path)
        findings += [f"{path}:{line_of(text, match.start())}: cannot is one word" for match in TWO_WORDS.finditer(text)]
    for path in tree.files("src/**/*.c"):
        text = tree.text(path)
        findings += [f"{path}:{line_of(text, match.start())}: a message that goes on in the next line"
                     for match in BROKEN.finditer(text) if not match.group(0).split("\n")[0].rstrip().endswith('\\n"')
                     and match.group(0).split('"')[1]]
    findings += [f"{RULES}:{number}: {len(line)} columns, {COLUMNS} at most"
                 for number, line in lint.numbered(tree.text(RULES)) if len(line) > COLUMNS]
    return findings


def plant(_tree):
    words = "can" + " not"

    yield "two words in a page", lambda tree: tree.append("man/planted.8", f"This {words} be.\n")
    yield "two words in a message", lambda tree: tree.append("src/wire/planted.c", f'const char *p = "{words} be";\n')
    yield "two words in a test", lambda tree: tree.append("tests/netns/planted.py", f"# {words} be\n")
    yield "two words on two lines", lambda tree: tree.append("src/wire/planted.c", "/* this can\n * not be */\n")
    yield "a message on two lines", lambda tree: tree.append("src/wire/planted.c", 'const char *p = "one "\n\t"two";\n')
    yield "a wide rule", lambda tree: tree.append(RULES, "x" * (COLUMNS + 1) + "\n")


if __name__ == "__main__":
    lint.run()
