#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every source says its licence and its purpose, is built, and stays within the width agreed on. Files longer
than a subject and functions longer than a screen are warnings."""

import re

import lint

DIALECT = re.compile(r"== NULL\b|\bsizeof [\w*]")
COLUMNS, LINES, FUNCTION = 120, 600, 60
LICENCE = "SPDX-License-Identifier: BSD-2-Clause"
C_SOURCES = ("include/**/*.h", "include/**/*.def", "src/**/*.[ch]", "tests/**/*.[ch]")
SCRIPTS = ("tests/**/*.py", "tests/**/*.sh", "scripts/*", ".ci/run")
FRAGMENTS = ("Makefile.am", "*/local.mk", "*/*/local.mk")


def width(line):
    return len(line.expandtabs(8))


def judge_text(path, text):
    lines = text.split("\n")
    if not any(LICENCE in line for line in lines[:3]):
        yield f"{path}:1: no line '{LICENCE}' at the top"
    code = lint.strip(text).split("\n") if path.suffix == ".c" else lines
    for number, (line, bare) in enumerate(zip(lines, code), 1):
        # A message is one literal, however long, so that it can be searched for.
        has_message = str(path).startswith("src/") and bare.count('""') == 1
        line_width = width(bare) if has_message else width(line)
        if line_width > COLUMNS and path.suffix != ".def" and "http" not in line:
            yield f"{path}:{number}: {line_width} columns, {COLUMNS} at most"
        if path.suffix in (".c", ".h") and (found := DIALECT.search(bare)):
            yield f"{path}:{number}: '{found.group()}': this house writes !x and sizeof(x)"
        if line != line.rstrip():
            yield f"{path}:{number}: white space at the end of the line"
    if len(lines) > LINES:
        yield f"{lint.WARNING}{path}: {len(lines)} lines, more than {LINES}: is this one subject?"


def judge_c(path, text):
    lines = text.split("\n")
    if not any(line.startswith(("/*", " *")) and LICENCE not in line for line in lines[1:3]):
        yield f"{path}:2: no comment that says what the file does and how"
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION:
                yield f"{lint.WARNING}{path}:{start}: a function of {number - start} lines, more than {FUNCTION}"
            start = None


def listed(tree):
    names = set()
    for path in tree.files(*FRAGMENTS):
        names.update(re.findall(r"[\w./-]+\.(?:[ch]|def|py|sh)\b", re.sub(r"(?m)^#.*", "", tree.text(path))))
    return names


def check(tree):
    findings = []
    for path in tree.files(*C_SOURCES):
        text = tree.text(path)
        findings += judge_text(path, text)
        findings += judge_c(path, text)
    for path in tree.files(*SCRIPTS):
        findings += judge_text(path, tree.text(path))
    names = listed(tree)
    for path in tree.files(*C_SOURCES):
        if str(path) not in names:
            findings.append(f"{path}: no local.mk names it, so it is neither built nor distributed")
    return findings


def plant(_tree):
    top = f"/* {LICENCE} */\n/* planted */\n"

    def file(text, path="src/wire/planted.h", known=True):
        def change(tree):
            tree.append(path, text)
            if known:
                tree.append("src/wire/local.mk", f"libculvert_core_a_SOURCES += {path}\n")

        return change

    yield "a file that is not built", file(top, known=False)
    yield "a file without a licence", file("/* planted\n */\n")
    yield "a file that does not say what it is for", file(f"/* {LICENCE} */\nint planted;\n")
    yield "another way to ask for NULL", file(top + "int planted(int *x)\n{\n\treturn x == NULL;\n}\n")
    yield "a wide line", file(top + "/*" + "x" * COLUMNS + "*/\n")
    yield "a wide line with a short message", file(
        top + 'const char *planted = f("x");' + " planted;" * 15 + "\n", "src/wire/planted.c")
    yield "a line that tabs make wide", file(top + "\t" * 14 + "/* planted */\n")
    yield "white space at the end of a line", file(top + "int planted; \n")
    yield "a long file", file(top + "\n" * LINES)
    yield "a long function", file(top + "int planted(void)\n{\n" + "\t;\n" * FUNCTION + "\treturn 0;\n}\n")
    yield "a script without a licence", file("print()\n", "tests/netns/planted.py", known=False)
    yield "a long script", file(f"# {LICENCE}\n" + "\n" * LINES, "tests/netns/planted.py", known=False)


if __name__ == "__main__":
    lint.run()
