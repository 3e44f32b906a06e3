#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The core is pure: its objects call nothing but memory functions and hold no variable.

Looks at what the compiler made (libculvert_core.a) and not at the sources, so a macro or an inline function
cannot hide a call. malloc, calloc and free belong to the objects that have engine_new(), engine_free() or
engine_shadow().
"""

import os
import pathlib
import re
import shlex

import lint

LIBRARY = "libculvert_core.a"
ALLOWED = {"memcpy", "memset", "memmove", "memcmp", "__memcpy_chk", "__memset_chk", "__memmove_chk"}
COMPILER = re.compile(
    r"^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(asan|ubsan|sanitizer|sancov)_.*|__(start|stop)___sancov_.*)$"
)
ALLOCATION = {"malloc", "calloc", "free"}
OWNERS = {"engine_new", "engine_free", "engine_shadow"}
# Constant tables of pointers stand in .data.rel.ro, which is read-only once the program is loaded.
VARIABLE = re.compile(r"^(\.data|\.bss|\.tdata|\.tbss|\.ldata|\.lbss|\*COM\*|COMMON)")
CONSTANT = re.compile(r"^\.data\.rel\.ro")
# What sanitizers put beside each object they watch.
WATCHED = re.compile(r"^(__odr_asan|__asan_|___asan_|__sancov|\.L|asan\.|__ubsan|__unnamed_[0-9]+$)")


def symbols(path):
    """object → list of (name, section), read from an archive or object."""
    command = [*shlex.split(os.environ.get("NM", "nm")), "-f", "sysv", str(path)]
    result = lint.output(command)
    if result.returncode:
        return None, f"{path}: nm failed: {result.stdout.strip()}"
    objects, current = {}, pathlib.Path(path).name
    for line in result.stdout.splitlines():
        title = re.match(r"^(?:Undefined s|S)ymbols from (.*):$", line)
        if title:
            current = title.group(1).split("[")[-1].rstrip("]")
            objects.setdefault(current, [])
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            objects.setdefault(current, []).append((fields[0], fields[6], fields[3]))
    return objects, None


def judge(objects):
    findings = []
    defined = {name for table in objects.values() for name, section, _ in table if section != "*UND*"}
    for member, table in sorted(objects.items()):
        owner = OWNERS & {name for name, section, _ in table if section != "*UND*"}
        for name, section, kind in table:
            if section == "*UND*":
                if name in defined or name in ALLOWED or COMPILER.match(name) or (owner and name in ALLOCATION):
                    continue
                findings.append(f"{member}: the core calls {name}()")
            elif VARIABLE.match(section) and not CONSTANT.match(section) and kind not in ("SECTION", "FILE"):
                if name and not WATCHED.match(name):
                    findings.append(f"{member}: {name} is a variable (in {section}); state belongs to the engine")
    return findings


def check(tree):
    findings = []
    # Objects planted by the self-test are judged together with the library.
    objects = {}
    for path in [tree.build / LIBRARY, *sorted(tree.root.glob("planted/*.o"))]:
        found, trouble = symbols(path)
        if trouble:
            return [trouble]
        objects.update(found)
    if not any(name == "engine_process" for table in objects.values() for name, _, _ in table):
        findings.append(f"{LIBRARY}: has no engine_process(); this is not the core")
    return findings + judge(objects)


def plant(_tree):
    def compiled(text):
        return lambda tree: lint.plant_object(tree, "planted", text)

    yield "a call of the clock", compiled("#include <time.h>\nlong p(void) { return (long)time(0); }\n")
    yield "malloc() outside the engine's object", compiled("#include <stdlib.h>\nvoid *p(void) { return malloc(1); }\n")
    yield "output", compiled("#include <stdio.h>\nvoid p(int n) { printf(\"%d\", n); }\n")
    yield "a static variable", compiled("static int n; int p(void) { return ++n; }\n")
    yield "an initialised variable", compiled("int planted = 3;\n")
    yield "a common symbol", compiled("__attribute__((common)) int planted;\n")
    yield "a thread's variable", compiled("_Thread_local int planted;\n")


if __name__ == "__main__":
    lint.run()
