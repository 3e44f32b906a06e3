#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Functions that have no place in the sources, or only one: FORBIDDEN says what to write instead."""

import functools
import re

import lint

ANYWHERE = r"src/|include/|tests/.*\.[ch]$"
PRODUCT = r"src/|include/"
CORE = r"src/(base|wire|nat|passthrough)/|include/"

# functions, where the rule holds, where they may stand all the same, what to do instead
FORBIDDEN = (
    (r"strcpy|strcat|strncpy|strncat|stpcpy|sprintf|vsprintf", ANYWHERE, None, "snprintf() knows the size"),
    (r"gets|scanf|fscanf|sscanf", PRODUCT, None, "parse with a bound and a check of what is left over"),
    (r"atoi|atol|atoll|atof", PRODUCT, None, "strtoul() and the like report errors"),
    (r"strtok", ANYWHERE, None, "strsep() or strtok_r() keep no state"),
    (r"inet_addr|inet_ntoa|inet_aton", ANYWHERE, None, "inet_pton() and inet_ntop()"),
    (r"localtime|gmtime|ctime|asctime", ANYWHERE, None, "localtime_r() and strftime()"),
    (r"alloca", ANYWHERE, None, "an array with a bound, or malloc()"),
    (r"tmpnam|tempnam|mktemp", ANYWHERE, None, "mkstemp()"),
    (r"setjmp|longjmp|sigsetjmp|siglongjmp", PRODUCT, None, "return an error"),
    (r"system|popen|execl|execlp|execle|execv|execvp|execve|execvpe", PRODUCT, None, "culvert runs no program"),
    (r"rand|srand|random|srandom|drand48|lrand48|arc4random", PRODUCT, None, "src/io/random.h; the core has a seed"),
    (r"getrandom|getentropy", PRODUCT, r"src/io/random\.c$", "src/io/random.h"),
    (r"clock_gettime|gettimeofday|time", PRODUCT, r"src/io/clock\.c$",
     "src/io/clock.h; the core is told the time"),
    (r"sleep|usleep|nanosleep|clock_nanosleep", PRODUCT, None, "a timer of the loop"),
    (r"signal", PRODUCT, None, "the loop's signal events or sigaction()"),
    (r"syslog|openlog|vsyslog", PRODUCT, None, "src/observe/log.h"),
    (r"exit|_exit|abort", PRODUCT, r"src/daemon/(main|background)\.c$", "return an error; main() ends the program"),
    (r"printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|snprintf", CORE, None, "the core says nothing"),
    (r"realloc|reallocarray|strdup|strndup|aligned_alloc|posix_memalign|mmap", CORE, None, "the arena"),
    (r"malloc|calloc|free", CORE, r"src/nat/engine[a-z_]*\.c$", "the arena"),
)


# Not preceded by a name or a member access.
RULES = [(re.compile(rf"(?<![\w.>])({names})\s*\("), re.compile(where), re.compile(exception or r"$."), instead)
         for names, where, exception, instead in FORBIDDEN]


@functools.lru_cache(maxsize=None)
def calls_in(code):
    """(rule, line, function) of each call, wherever it may stand."""
    return [(rule, code.count("\n", 0, match.start()) + 1, match.group(1))
            for rule, (call, *_) in enumerate(RULES) for match in call.finditer(code)]


def check(tree):
    findings = []
    for path in tree.files("include/**/*.h", "src/**/*.[ch]", "tests/**/*.[ch]"):
        for rule, number, function in calls_in(tree.code(path)):
            _, where, exception, instead = RULES[rule]
            if where.match(str(path)) and not exception.match(str(path)):
                findings.append(f"{path}:{number}: {function}() does not belong here: {instead}")
    return findings


def plant(_tree):
    def calls(path, statements):
        text = "".join(f"\t{statement};\n" for statement in statements)
        return lambda tree: tree.append(path, f"void planted(void)\n{{\n{text}}}\n")

    for names, where, _, _ in FORBIDDEN:
        path = "src/wire/planted.c" if where == CORE else "src/daemon/planted.c"
        each = names.split("|")
        yield f"calls of {', '.join(each)} in {path}", calls(path, [f"{name}(1)" for name in each]), len(each)
    yield "a call after a cast", calls("src/nat/planted.c", ["seed = (unsigned)time (0)"])


if __name__ == "__main__":
    lint.run()
