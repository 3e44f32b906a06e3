#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Includes point downward, headers do not include each other in a circle, and each library has one file family.

daemon → control → observe → config → datapath → io → include/culvert;  all but io → base;
nat → passthrough → wire → include/culvert.
"""

import os
import pathlib
import re

import lint

# layer → layers it may include, beside itself
BELOW = {
    "base": set(),
    "wire": {"culvert"},
    "passthrough": {"culvert", "base", "wire"},
    "nat": {"culvert", "base", "wire", "passthrough"},
    "io": {"culvert"},
    "datapath": {"culvert", "io"},
    "config": {"culvert", "base", "io", "datapath"},
    "observe": {"culvert", "base", "io", "datapath", "config"},
    "control": {"culvert", "base", "io", "datapath", "config", "observe"},
    "daemon": {"culvert", "base", "io", "datapath", "config", "observe", "control"},
    "ctl": {"culvert", "base", "io"},
    "culvert": set(),
}
CORE = {"base", "wire", "nat", "passthrough", "culvert"}
# The core is C and nothing else.
PURE = {"stdbool.h", "stddef.h", "stdint.h", "limits.h", "inttypes.h", "stdalign.h", "string.h", "stdlib.h"}
# header → the file family that may include it
LIBRARIES = (
    (r"event2/|event\.h$", "libevent", r"src/(daemon/loop|control/lines|observe/metrics_http)\.c$"),
    (r"netlink/", "libnl", r"src/io/(kernel|netlink|next_hop)[a-z_]*\.[ch]$"),
    (r"ini\.h$", "inih", r"src/config/config[a-z_]*\.c$"),
    (r"cap-ng\.h$", "libcap-ng", r"src/daemon/privileges[a-z_]*\.c$"),
    (r"seccomp\.h$", "libseccomp", r"src/daemon/privileges[a-z_]*\.c$"),
    (r"cmocka\.h$", "cmocka", r"tests/"),
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(tree, path):
    for number, line in lint.numbered(tree.code(path)):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def layer_of(path):
    parts = path.parts
    if parts[0] == "include":
        return "culvert"
    return parts[1] if parts[0] == "src" else None


def resolve(tree, path, name):
    """The project's file an include names, or None."""
    for place in (path.parent, "src", "include"):
        target = os.path.normpath(tree.root / place / name)
        if os.path.isfile(target) and target.startswith(f"{tree.root}/"):
            return pathlib.PurePath(os.path.relpath(target, tree.root))
    return None


def judge_one(tree, path, number, quoted, name):
    where, layer = f"{path}:{number}", layer_of(path)
    for pattern, library, family in LIBRARIES:
        if re.match(pattern, name) and not re.match(family, str(path)):
            yield f"{where}: {library} belongs to {family}; include its wrapper instead"
    target = resolve(tree, path, name)
    if target is None:
        if quoted:
            yield f'{where}: no file "{name}" in the tree'
        elif layer in CORE and name not in PURE:
            yield f"{where}: <{name}> in the core, which has no system"
        return
    if layer is None:
        return
    other = layer_of(target)
    if layer not in BELOW:
        yield f"{where}: src/{layer} is no layer that this check knows"
    elif other != layer and other not in BELOW[layer]:
        yield f"{where}: {layer} includes {other} ({name}), which is not below it"


def circles(graph):
    """Sets of headers that reach each other."""

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for following in graph.get(todo.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return seen

    reached = {header: reach(header) for header in graph}
    return sorted({tuple(sorted(other for other in reached[header] if header in reached.get(other, ())))
                   for header in graph if header in reached[header]})


def check(tree):
    findings, graph = [], {}
    for path in tree.files("include/**/*.h", "include/**/*.def", "src/**/*.[ch]", "tests/**/*.[ch]"):
        for number, quoted, name in includes(tree, path):
            findings += judge_one(tree, path, number, quoted, name)
            target = resolve(tree, path, name)
            if target and path.suffix != ".c":
                graph.setdefault(str(path), set()).add(str(target))
    findings += [f"headers include each other in a circle: {', '.join(names)}" for names in circles(graph)]
    return findings


def plant(_tree):
    def line(path, text):
        return lambda tree: tree.append(path, text + "\n")

    yield "the core including the daemon", line("src/nat/planted.c", '#include "observe/log.h"')
    yield "io including the daemon", line("src/io/planted.c", '#include "../observe/log.h"')
    yield "the core including a system header", line("src/wire/planted.c", "#include <time.h>")
    yield "libnl in the daemon", line("src/daemon/planted.c", "#include <netlink/netlink.h>")
    yield "libevent in io", line("src/io/planted.c", "#include <event2/event.h>")
    yield "inih outside the configuration", line("src/daemon/planted.c", "#include <ini.h>")
    yield "libseccomp outside the privileges", line("src/daemon/planted.c", "#include <seccomp.h>")
    yield "an include of a file that is not there", line("src/wire/planted.c", '#include "wire/nowhere.h"')
    yield "a layer of its own invention", line("src/magic/planted.c", "#include <culvert/engine.h>")

    def circle(tree):
        tree.append("src/wire/planted_one.h", '#include "wire/planted_two.h"\n')
        tree.append("src/wire/planted_two.h", '#include "wire/planted_one.h"\n')

    yield "two headers that include each other", circle


if __name__ == "__main__":
    lint.run(check, plant)
