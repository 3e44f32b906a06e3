# SPDX-License-Identifier: BSD-2-Clause
"""A plugin of pytest: what each test did goes to the file that RESULTS names, in lines like those of make check."""
import os
import pathlib

WORDS = {"passed": "PASS", "skipped": "SKIP", "failed": "FAIL"}
outcomes = {}


def pytest_runtest_logreport(report):
    """Called for the setup, the call and the teardown of a test; the worst of them counts."""
    file, _, test = report.nodeid.partition("::")
    name = f"{pathlib.Path(file).stem}::{test}"
    reason = report.longrepr[2].removeprefix("Skipped: ") if report.skipped else ""
    line = f"{WORDS[report.outcome]} {name}{' # SKIP ' if report.skipped else ''}{' '.join(reason.split())}"
    if report.failed or outcomes.get(name, "PASS").startswith("PASS"):
        outcomes[name] = line


def pytest_sessionfinish(session):
    if "RESULTS" in os.environ and not hasattr(session.config, "workerinput"):
        text = "".join(f":test-result: {line}\n" for line in outcomes.values())
        pathlib.Path(os.environ["RESULTS"]).write_text(text, encoding="utf-8")
