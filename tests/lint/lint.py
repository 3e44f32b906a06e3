# SPDX-License-Identifier: BSD-2-Clause
"""What the checks of this directory share: finding sources, reading C without its comments, running.

A check is a script with two functions. check(tree) returns what it found, one sentence each, empty if all is well.
plant(tree) yields (what, change) or (what, change, number): change(tree) plants so many violations, one if it does not
say, in a copy of the tree, and the check has to find as many more. run() does both, so a check that cannot fail fails.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
COPIED = ("include", "src", "tests", "man", "etc", "docs")


class Skip(Exception):
    """The check cannot run here; the message says what is missing."""


class Tree:
    """A source tree and the build directory that belongs to it."""

    def __init__(self, root, build):
        self.root = pathlib.Path(root).resolve()
        self.build = pathlib.Path(build).resolve()
        self.touched = {}

    def files(self, *globs):
        """Files that match any of the globs, sorted, relative to the root."""
        found = set()
        for glob in globs:
            found.update(path.relative_to(self.root) for path in self.root.glob(glob) if path.is_file())
        return sorted(found)

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def code(self, path):
        return strip(self.text(path))

    def append(self, path, text):
        """For planting: adds text to a file, which is made if need be."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        old = target.read_text(encoding="utf-8") if target.exists() else None
        self.touched.setdefault(target, old)
        target.write_text((old or "") + text, encoding="utf-8")

    def restore(self):
        """Takes back what append() did."""
        for target, old in self.touched.items():
            if old is None:
                target.unlink()
            else:
                target.write_text(old, encoding="utf-8")


@functools.lru_cache(maxsize=None)
def strip(text):
    """C source with comments blanked and string contents emptied; line numbers stay."""

    def blank(match):
        token = match.group(0)
        if token.startswith('"'):
            return '""'
        if token.startswith("'"):
            return "' '"
        return "\n" * token.count("\n") or " "

    # The target of an include stays readable.
    pattern = r'(?m)^[ \t]*#[ \t]*include[^\n]*|/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(
        pattern,
        lambda match: match.group(0) if match.group(0).lstrip().startswith("#") else blank(match),
        text,
        flags=re.DOTALL,
    )


def numbered(text):
    return enumerate(text.split("\n"), 1)


def tool(name, package):
    """The path of a program, or a skip that says how to get it."""
    path = shutil.which(name)
    if not path:
        raise Skip(f"{name} is not installed (Debian: apt-get install {package})")
    return path


def output(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)


def unwanted(folder, names):
    """What checks do not look at: captures, and what a build in the tree or a test run leaves."""
    patterns = ("__pycache__", ".pytest_cache", ".deps", "*.pcap", "*.[ao]", "*.log", "*.trs")
    built = [name for name in names if "." not in name and os.access(os.path.join(folder, name), os.X_OK)
             and os.path.isfile(os.path.join(folder, name))]
    return [*built, *shutil.ignore_patterns(*patterns)(folder, names)]


def copy(tree, place):
    """A copy of what checks look at, to plant violations in."""
    for name in COPIED:
        if (tree.root / name).is_dir():
            shutil.copytree(tree.root / name, pathlib.Path(place) / name, ignore=unwanted)
    for name in (".clang-format", ".clang-tidy", "README.md", "HACKING.md"):
        if (tree.root / name).exists():
            shutil.copy(tree.root / name, place)
    # A distribution under test is read-only; its copy must not be.
    for directory, _, names in os.walk(place):
        os.chmod(directory, 0o755)
        for name in names:
            os.chmod(os.path.join(directory, name), 0o644)
    return Tree(place, tree.build)


def self_test(tree, check, plant):
    """Each planted violation must be found; returns how many were planted, and what was missed."""
    missed, count = [], 0
    with tempfile.TemporaryDirectory(prefix="culvert-lint-") as place:
        planted = copy(tree, place)
        before = set(check(planted))
        for what, change, *expected in plant(tree):
            planted.touched.clear()
            change(planted)
            found = len(set(check(planted)) - before)
            planted.restore()
            expected = expected[0] if expected else 1
            count += expected
            if found < expected:
                missed.append(f"self-test: finds {found} of {expected}: {what}")
    return count, missed


def run(check, plant):
    """Run the check on the tree that the environment names, then its self-test; exit with the outcome."""
    tree = Tree(os.environ.get("top_srcdir", "."), os.environ.get("top_builddir", "."))
    try:
        findings = check(tree)
        planted, missed = self_test(tree, check, plant)
    except Skip as reason:
        print(f"SKIP: {reason}")
        sys.exit(SKIPPED)
    for finding in findings + missed:
        print(finding)
    name = pathlib.Path(sys.argv[0]).name
    print(f"{name}: {len(findings)} found, {planted} planted, {len(missed)} missed")
    if not planted:
        print("no violation was planted: the check proves nothing")
    sys.exit(1 if findings or missed or not planted else 0)
