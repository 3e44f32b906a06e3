#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the lists of include/culvert promise, the code keeps: each entry is produced or read somewhere.

A drop reason that nothing drops for, a counter that nothing counts and a timer that nothing sets are promises to
people who read the manual, and a key that nothing reads is a promise to who writes the configuration. DEFERRED names
entries that are not used yet, each with its reason; an entry that is used must not stand there.
"""

import re

import lint

# list → (entry macro, prefix of the name in code)
LISTS = {
    "drops.def": ("DROP", "DROP_"),
    "stats.def": ("STAT", "STAT_"),
    "timeouts.def": ("TIMEOUT", "TIMEOUT_"),
    "hints.def": ("HINT", "HINT_"),
    "services.def": ("SERVICE", None),
    "verbs.def": ("VERB", None),
}
# What reads a key of the configuration, beside the parser that knows only the list.
READERS = ("src/config/*.c", "src/control/*.c", "src/daemon/*.c", "src/io/*.c", "src/observe/*.c")
DEFERRED = {}


def entries(tree, name, macro):
    """(line, NAME, "name") of each entry, comments aside."""
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group(0).count("\n"),
                  tree.text(f"include/culvert/{name}"), flags=re.DOTALL)
    for match in re.finditer(rf"(?m)^{macro}\(\s*(\w+)\s*,\s*\"([^\"]*)\"", text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def judge_keys(tree):
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group(0).count("\n"),
                  tree.text("include/culvert/confkeys.def"), flags=re.DOTALL)
    keys = re.findall(r'(?m)^KEY\(\s*"(\w+)"\s*,\s*"(\w+)"\s*,\s*\w+\s*,\s*(\w+)', text)
    if not keys:
        return ["include/culvert/confkeys.def: no KEY() entry found"]
    members = set()
    for path in tree.files(*READERS):
        members.update(re.findall(r"(?:->|\.)(\w+)", tree.code(path)))
    return [f"include/culvert/confkeys.def: nothing reads [{section}] {key} (config.{member})"
            for section, key, member in keys if member not in members and f"config.{member}" not in DEFERRED]


def judge_deviations(tree):
    """Each requirement that culvert deviates from stands in the table of docs/nat-behaviour.md, and no other one."""
    text = re.sub(r"/\*.*?\*/", "", tree.text("include/culvert/requirements.def"), flags=re.DOTALL)
    known = {(rfc, name) for rfc, names in re.findall(
        r'(?m)^REQUIREMENT\((\d+), "([^"]+)", \w+,\s+"[^"]*",\s+(?:deviates|\w*_passes|cgn_filtering),', text)
        for name in re.findall(r"[\d.]+[A-Za-z]?", names)}
    rows = re.findall(r"(?m)^\| ([^|]*)\|", tree.text("docs/nat-behaviour.md").split("## 13.")[-1])
    told = {(rfc, name) for rfc, names in re.findall(r"RFC (\d+)((?: REQ-| section |, )[\d.]+[A-Z]?(?:, \d+)*)",
                                                     " ".join(" ".join(rows).split()))
            for name in re.findall(r"[\d.]+[A-Za-z]?", names)}
    named = {rfc for rfc, _ in known}
    yield from (f"docs/nat-behaviour.md: section 13 does not name RFC {rfc} {name}"
                for rfc, name in sorted(known - told))
    yield from (f"include/culvert/requirements.def: RFC {rfc} {name} is a deviation in docs/nat-behaviour.md only"
                for rfc, name in sorted(told - known) if rfc in named)


def check(tree):
    findings = []
    words = set()
    services = [constant for _, constant, _ in entries(tree, "services.def", "SERVICE")]
    for path in tree.files("src/**/*.[ch]", "include/**/*.h"):
        code = tree.code(path)
        words.update(re.findall(r"\b[A-Z][A-Z0-9_]+\b", code))
        # Services have their names pasted together; no other list counts as used by being expanded.
        for before, after in re.findall(r"\b([A-Z]+_)##\w+##(_[A-Z]+)\b", code):
            words.update(before + service + after for service in services)
    services_def = tree.text("include/culvert/services.def")
    claims = re.findall(r"(?m)^CLAIM\((\w+),", services_def)
    parts = dict(re.findall(r"(?m)^PART\((\w+), (\w+),", services_def))
    findings += [f"include/culvert/services.def: {service} claims no traffic" for service in services
                 if service not in [parts.get(claim) for claim in claims]]
    findings += judge_keys(tree)
    findings += judge_deviations(tree)
    for name, (macro, prefix) in LISTS.items():
        seen = set()
        for line, constant, text in entries(tree, name, macro):
            where, full = f"include/culvert/{name}:{line}", prefix and prefix + constant
            if constant in seen:
                findings.append(f"{where}: {constant} stands there twice")
            if text != constant.lower():
                findings.append(f"{where}: {constant} is called \"{text}\" and not \"{constant.lower()}\"")
            if full and full not in words and full not in DEFERRED:
                findings.append(f"{where}: nothing uses {full}")
            if full in words and full in DEFERRED:
                findings.append(f"{where}: {full} is used, so it is not deferred")
            seen.add(constant)
        if not seen:
            findings.append(f"include/culvert/{name}: no {macro}() entry found")
    return findings


def plant(_tree):
    def line(name, text):
        return lambda tree: tree.append(f"include/culvert/{name}", text + "\n")

    yield "a reason nobody drops for", line("drops.def", 'DROP(PLANTED, "planted", "never", "nothing")')
    yield "a counter nobody counts", line("stats.def", 'STAT(PLANTED, "planted", "never")')
    yield "a timer nobody sets", line("timeouts.def", 'TIMEOUT(PLANTED, "planted", 1, 2, "never")')
    yield "a hint nobody gives", line("hints.def", 'HINT(PLANTED, "planted", "never")')
    yield "a service without traffic", line("services.def", 'SERVICE(PLANTED, "planted", "planted")')
    yield "an entry twice", line("stats.def", 'STAT(HAIRPINNED, "hairpinned", "again")')
    yield "a verb unlike its constant", line("verbs.def", 'VERB(PLANTED, "plant", 1, "", VERB_LISTS, verb_help, "")')
    yield "a name unlike its constant", line("drops.def", 'DROP(IP_TTL, "ttl", "again", "nothing")')

    yield "a key nobody reads", line(
        "confkeys.def", 'KEY("nat", "planted", NUMBER, planted, 0, 1, "", RELOAD, "", "")',
    )

    yield "a deviation that is not told", line(
        "requirements.def", 'REQUIREMENT(4787, "REQ-99", MUST, "planted", deviates, "")')
    yield "a deviation that is only told", lambda tree: tree.append(
        "docs/nat-behaviour.md", "| RFC 4787 REQ-98 (MUST) | planted | planted |\n")

    def mentioned(tree):
        line("drops.def", 'DROP(PLANTED, "planted", "never", "nothing")')(tree)
        tree.append("src/wire/planted.c", '/* DROP_PLANTED */\nstatic const char *planted = "DROP_PLANTED";\n')

    yield "a reason that only a comment and a string name", mentioned


if __name__ == "__main__":
    lint.run()
