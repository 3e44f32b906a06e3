#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""For test.sh: what single tests did, as lines of outcome, name and reason with tabs between.

  collect.py check BUILD               from the logs of make check in a build directory
  collect.py pytest FILE STAGE LIST    from a JUnit file; what pytest --collect-only listed and did not run has failed
  collect.py judge RESULTS ALLOWED     adds a failure to RESULTS for each skip that no line of ALLOWED matches
"""

import fnmatch
import pathlib
import re
import sys
import xml.etree.ElementTree

CMOCKA = {"OK": "pass", "FAILED": "fail", "ERROR": "fail", "SKIPPED": "skip"}


def line(outcome, name, reason=""):
    return "\t".join((outcome, name, re.sub(r"\s+", " ", reason).strip()[:300]))


def reason_in(log, default):
    """The line that says why, or the last one."""
    said = [text.strip() for text in log.splitlines() if text.strip()]
    why = [text for text in said if re.match(r"SKIP|skip", text)]
    return (why or said or [default])[-1]


def read_check(build):
    build = pathlib.Path(build)
    results = sorted(build.glob("**/*.trs"))
    if not results:
        raise SystemExit(f"{build}: make check left no results")
    for path in results:
        name = f"make check: {path.relative_to(build).with_suffix('')}"
        outcome = re.search(r"^:test-result: (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE).group(1)
        log = path.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
        # cmocka says one line for each test, and repeats failures at the end.
        single = dict((test, word) for word, test in
                      re.findall(r"^\[ *(OK|FAILED|ERROR|SKIPPED) *\] (\w+)$", log, re.MULTILINE))
        for test, word in single.items():
            yield line(CMOCKA[word], f"{name} {test}", "the test skipped itself" if word == "SKIPPED" else "")
        failed = any(CMOCKA[word] == "fail" for word in single.values())
        if outcome == "SKIP":
            yield line("skip", name, reason_in(log, "no reason given"))
        elif outcome != "PASS" and not failed:
            yield line("fail", name, reason_in(log, outcome))
        elif outcome == "PASS" and not single:
            yield line("pass", name)


def read_pytest(path, stage, collected):
    lines = pathlib.Path(collected).read_text(encoding="utf-8").splitlines()
    missing = dict.fromkeys(re.sub(r"^.*?(\w+)\.py::", rf"{stage}: \1::", text) for text in lines if ".py::" in text)
    if not missing:
        raise SystemExit(f"{collected}: no test was collected")
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{stage}: {case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        missing.pop(name, None)
        outcome, reason = "pass", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, reason = "fail", child.get("message", "")
            elif child.tag == "skipped" and outcome == "pass":
                outcome, reason = "skip", child.get("message", "")
        yield line(outcome, name, reason)
    for name in missing:
        yield line("fail", name, "it did not run to its end")


def judge(results, allowed):
    lines = pathlib.Path(allowed).read_text(encoding="utf-8").splitlines() if pathlib.Path(allowed).exists() else []
    patterns = [text.split("#")[0].strip() for text in lines if text.split("#")[0].strip()]
    with open(results, "r+", encoding="utf-8") as file:
        skips = [text.split("\t") for text in file.read().splitlines() if text.startswith("skip\t")]
        for _, name, reason in skips:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                file.write(line("fail", name, f"skipped, and tests/allowed-skips does not allow it: {reason}") + "\n")


def main(verb, *arguments):
    if verb == "judge":
        judge(*arguments)
    else:
        for text in {"check": read_check, "pytest": read_pytest}[verb](*arguments):
            print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
