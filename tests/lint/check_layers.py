#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Layers point downward, as the linker sees it: each directory of src links alone against what LAYERS puts below it.

Reads the symbols of the objects that were built, so that no header can hide a call. Objects that need each other are a
cycle: at most LARGEST of them, and of one directory. Includes are looked at for what leaves no symbol: types of
a layer above, and headers of a library that belongs to others. `make layers` shows the layers and the cycles.
"""

import collections
import functools
import os
import re
import shlex

import lint

LARGEST = 4
# layer: (layers whose headers it may include, layers that it may also call, through include/culvert)
LAYERS = {
    "base": ("", ""),
    "wire": ("", ""),
    "passthrough": ("base wire", ""),
    "nat": ("base wire passthrough", ""),
    "io": ("base", ""),
    "datapath": ("io", "nat"),
    "config": ("base wire io", "passthrough"),
    "observe": ("base wire io datapath config", "nat passthrough"),
    "control": ("base wire io datapath config observe", "nat passthrough"),
    "daemon": ("base io datapath config observe control", "nat passthrough"),
    "ctl": ("base io", ""),
}

CORE = {"base", "wire", "nat", "passthrough"}
# The core is C and nothing else.
PURE = {"stdbool.h", "stddef.h", "stdint.h", "limits.h", "inttypes.h", "stdalign.h", "string.h", "stdlib.h"}
# Sources that make all does not build.
UNBUILT = r".*/planted\.c$"
# headers, their library, the family of files that may include them
LIBRARIES = (
    (r"event2/|event\.h$", "libevent", r"src/(daemon/loop|control/lines|observe/metrics_http)\.c$"),
    (r"netlink/", "libnl", r"src/io/(kernel|netlink|next_hop)[a-z_]*\.[ch]$"),
    (r"ini\.h$", "inih", r"src/config/config[a-z_]*\.c$"),
    (r"cap-ng\.h$", "libcap-ng", r"src/daemon/privileges[a-z_]*\.c$"),
    (r"seccomp\.h$", "libseccomp", r"src/daemon/privileges[a-z_]*\.c$"),
    (r"cmocka\.h$", "cmocka", r"tests/"),
)


def layer_of(unit):
    return unit.split("/")[0]


@functools.lru_cache(maxsize=None)
def symbols(paths):
    """{object: (symbols it defines, symbols it needs)}."""
    found = {path: (set(), set()) for path in paths}
    said = lint.output([*shlex.split(os.environ.get("NM", "nm")), "-A", "-P", "-g", *paths]).stdout
    for path, name, kind in re.findall(r"(?m)^(.+?)(?:\[.*\])?: (\S+) (\S)", said):
        found[path][kind in "Uvw"].add(name)
    return found


def objects(tree):
    """{"nat/flow": (symbols it defines, symbols it needs)} for each source of src that was built; objects of a source
    that is gone are left alone."""
    paths = {}
    for place in (tree.build / "src", tree.root / "planted"):
        for path in sorted(place.glob("*/*.o")):
            name = re.sub(r"^lib\w+_a-", "", path.stem)
            if place.name == "planted" or (tree.root / "src" / path.parent.name / f"{name}.c").exists():
                paths[str(path)] = f"{path.parent.name}/{name}"
    units = collections.defaultdict(lambda: (set(), set()))
    for path, (defined, needed) in symbols(tuple(paths)).items():
        units[paths[path]][0].update(defined)
        units[paths[path]][1].update(needed)
    return units


def calls(units):
    """{(user, provider): symbols}. Of two providers, which two programs have, it is the one of the same layer."""
    providers = collections.defaultdict(list)
    for unit, (defined, _) in units.items():
        for name in defined:
            providers[name].append(unit)
    graph = collections.defaultdict(set)
    for unit, (defined, needed) in units.items():
        for name in needed - defined:
            found = sorted(providers[name], key=lambda other: layer_of(other) != layer_of(unit))
            if found:
                graph[unit, found[0]].add(name)
    return graph


def cycles(graph):
    """The strongly connected components of more than one object, largest first."""
    following = collections.defaultdict(set)
    for user, provider in graph:
        following[user].add(provider)

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for unit in following[todo.pop()] - seen:
                seen.add(unit)
                todo.append(unit)
        return seen

    reached = {unit: reach(unit) for unit in list(following)}
    found = {tuple(sorted(other for other in reached[unit] if unit in reached.get(other, ())))
             for unit in reached if unit in reached[unit]}
    return sorted(found, key=lambda units: (-len(units), units))


def knots(graph):
    """What the linker would refuse."""
    upward = collections.defaultdict(list)
    for (user, provider), names in sorted(graph.items()):
        pair = layer_of(user), layer_of(provider)
        if pair[0] != pair[1] and pair[1] not in " ".join(LAYERS.get(pair[0], ())).split():
            upward[pair].append(f"{user} needs {', '.join(sorted(names))} of {provider}")
    for (user, provider), details in upward.items():
        yield f"{user} calls {provider}, which is not below it: {'; '.join(details)}"
    for units in cycles(graph):
        layers = sorted({layer_of(unit) for unit in units})
        if len(units) > LARGEST or len(layers) > 1:
            yield f"a cycle of {len(units)} objects in {' and '.join(layers)}: {', '.join(units)}"


def judge_includes(tree):
    for path in tree.files("include/**/*.h", "src/**/*.[ch]", "tests/**/*.[ch]"):
        layer = path.parts[1] if path.parts[0] == "src" else "core" if path.parts[0] == "include" else "tests"
        for number, line in lint.numbered(tree.code(path)):
            match = re.match(r'\s*#\s*include\s*(<|"(?:\.\./)*(?=(\w+)/)?)([^">]+)', line)
            if not match:
                continue
            where, (kind, other, name) = f"{path}:{number}", match.groups()
            for headers, library, family in LIBRARIES:
                if re.match(headers, name) and not re.match(family, str(path)):
                    yield f"{where}: {library} belongs to {family}; include its wrapper instead"
            if kind == "<" and layer in CORE | {"core"} and name not in PURE and not name.startswith("culvert/"):
                yield f"{where}: <{name}> in the core, which has no system"
            if other in LAYERS and layer != "tests" and other not in [layer, *LAYERS.get(layer, " ")[0].split()]:
                yield f"{where}: {layer} includes {name}, which is not below it"


def judge_names(tree):
    """The engine knows services and parts by what services.def and their modules say, none by its name."""
    for path in tree.files("src/nat/*.[ch]"):
        for number, line in lint.numbered(tree.code(path)):
            for name in re.findall(r"\b(?:SERVICE|PART)_(?!NONE\b)[A-Z0-9]+\b", line):
                yield f"{path}:{number}: {name}: the engine names no service; say in services.def what is special of it"


def check(tree):
    units = objects(tree)
    if not any("engine_process" in defined for defined, _ in units.values()):
        return [f"{tree.build}: has no object with engine_process(): build first"]
    graph = calls(units)
    findings = [f"src/{layer}: no layer that this check knows" for layer in sorted({*map(layer_of, units)} - {*LAYERS})]
    findings += [f"{path}: was not built, so none of its symbols is seen" for path in tree.files("src/*/*.c")
                 if f"{path.parent.name}/{path.stem}" not in units and not re.match(UNBUILT, str(path))]
    return [*findings, *knots(graph), *judge_includes(tree), *judge_names(tree)]


def show(tree):
    """The layers from below, what each of them uses, and the cycles."""
    units = objects(tree)
    graph = calls(units)
    for layer in LAYERS:
        used = {layer_of(provider) for user, provider in graph if layer_of(user) == layer} - {layer}
        count = sum(layer_of(unit) == layer for unit in units)
        below = ", ".join(other for other in LAYERS if other in used) or "nothing"
        print(f"{layer:12}{count:4} objects  links against {below}")
    found = cycles(graph)
    print(f"cycles of objects: {len(found)}, the largest of {max(map(len, found), default=0)}")
    for members in found:
        print(f"{len(members):4}: {' '.join(members)}")


def plant(_tree):
    def compiled(sources):
        return lambda tree: [lint.plant_object(tree, name, text) for name, text in sources.items()]

    def ring(*places):
        return {f"{place}/planted_{number}":
                f"int planted_{(number + 1) % len(places)}(void);\n"
                f"int planted_{number}(void) {{ return planted_{(number + 1) % len(places)}(); }}\n"
                for number, place in enumerate(places)}

    def line(path, text):
        return lambda tree: tree.append(path, text + "\n")

    yield "base calling the engine", compiled(
        {"base/planted": "int engine_process(void);\nint planted(void) { return engine_process(); }\n"})
    yield "io with a variable of nat", compiled({"io/planted": "extern int x; int planted(void) { return x; }\n",
                                                 "nat/planted": "int x;\n"})
    yield "a cycle of five objects", compiled(ring(*["wire"] * (LARGEST + 1)))
    yield "a cycle between directories", compiled(ring("io", "base")), 2  # one of the two calls goes up
    yield "a layer of its own invention", compiled({"magic/planted": "int planted;\n"})
    yield "a source that was not built", line("src/base/unbuilt.c", "int planted;")
    yield "the core including the daemon", line("src/nat/planted.c", '#include "daemon/log.h"')
    yield "io including the daemon", line("src/io/planted.c", '#include "../daemon/log.h"')
    yield "the core including a system header", line("src/wire/planted.c", "#include <time.h>")
    yield "libnl in the daemon", line("src/daemon/planted.c", "#include <netlink/netlink.h>")
    yield "libevent in io", line("src/io/planted.c", "#include <event2/event.h>")
    yield "inih outside the configuration", line("src/daemon/planted.c", "#include <ini.h>")
    yield "the engine knowing a service", line("src/nat/planted.c", "enum service planted = SERVICE_PPTP;")
    yield "libseccomp outside the privileges", line("src/daemon/planted.c", "#include <seccomp.h>")


if __name__ == "__main__":
    show(lint.Tree(os.environ.get("top_srcdir", "."), os.environ.get("top_builddir", ".")))
    lint.run()
