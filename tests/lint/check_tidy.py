#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""clang-tidy has nothing to say about the product's sources; .clang-tidy says what it is asked and why not more. A
function that is hard to follow is a warning.

COMPILE_FLAGS carries the flags of the build. A tree with planted files is judged by these alone: the rest has been
looked at before, and takes a while. A source about which there was nothing to say is not looked at again as long as
it, its headers, the questions and clang-tidy are what they were: culvert-test/tidy in XDG_CACHE_HOME or /var/cache
has their sums.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import shlex

import lint

ON_REQUEST = True
# The analyzer follows calls less far, in a sixth of the time. It finds what plant() plants; the fuzz targets and the
# sanitizers look at what happens across functions.
ANALYZER = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", "mode=shallow")]


def check(tree):
    tidy = lint.tool("clang-tidy", "clang-tidy")
    compiler = lint.tool("clang", "clang")
    flags = shlex.split(os.environ.get("COMPILE_FLAGS", ""))
    paths = tree.files("src/**/planted*.c") or tree.files("src/**/*.c")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/cache"), "culvert-test", "tidy")
    questions = tree.text(".clang-tidy") + lint.output([tidy, "--version"]).stdout + " ".join(ANALYZER + flags)

    def judge(path):
        preprocess = [compiler, "-E", "-C", "-P", "-Iinclude", "-Isrc", *flags, str(path)]
        whole = lint.output(preprocess, cwd=tree.root).stdout
        clean = cache / hashlib.sha256(f"{questions}{path}{whole}".encode()).hexdigest()
        if clean.exists():
            return []
        command = [tidy, "--quiet", f"--config-file={tree.root}/.clang-tidy", *ANALYZER, str(path), "--",
                   "-I", f"{tree.root}/include", "-I", f"{tree.root}/src", *flags]
        result = lint.output(command, cwd=tree.root)
        said = re.findall(r"(?m)^\S+:\d+:\d+: (?:warning|error): .*$", result.stdout)
        if result.returncode and not said:
            said = [f"{path}: clang-tidy failed: {result.stdout.strip()}"]
        said = [line.replace(f"{tree.root}/", "") for line in said]
        if not said and (cache.is_dir() or os.access(cache.parent.parent, os.W_OK)):
            cache.mkdir(parents=True, exist_ok=True)
            clean.touch()
        return [lint.WARNING + line if "cognitive-complexity" in line else line for line in said]

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return list(dict.fromkeys(finding for findings in pool.map(judge, paths) for finding in findings))


def plant(_tree):
    top = "#include <stdlib.h>\n#include <string.h>\n"

    def source(function, body):
        text = f"{top}{function};\n{function}\n{{\n\t{body}\n}}\n"
        return lambda tree: tree.append("src/wire/planted.c", text)

    yield "a null pointer followed", source("int planted(int n)", "int *p = 0;\n\treturn n ? *p : 0;")
    yield "memory used after free()", source("char planted(char *p)", "free(p);\n\treturn *p;")
    yield "the size of a pointer", source("void planted(char *p)", "memset(p, 0, sizeof(p));")
    nested = "".join(f"if (n > {depth}) {{ n++; " for depth in range(8)) + "}" * 8
    yield "a function that is hard to follow", source("int planted(int n)", f"{nested}\n\treturn n;")


if __name__ == "__main__":
    lint.run()
