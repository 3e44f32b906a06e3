#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the checks of this directory, and has what they share: finding sources, reading C without its comments.

  lint.py                    all checks but those that depend on the version of a tool (make lint)
  lint.py check_x check_y    these; a check is also a script of its own

A check has two functions. check(tree) returns what it found, one sentence each, empty if all is well.
plant(tree) yields (what, change) or (what, change, number): change(tree) plants so many violations, one if it does not
say, in a copy of the tree, and the check has to find as many more. run() does both, so a check that cannot fail fails.
What begins with WARNING is printed and counted, and fails nothing.
"""

import functools
import importlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

WARNING = "warning: "
COPIED = ("include", "src", "tests", "man", "tools", "etc", "docs")


class Skip(Exception):
    """The check cannot run here; the message says what is missing."""


class Tree:
    """A source tree and the build directory that belongs to it."""

    def __init__(self, root, build):
        self.root = pathlib.Path(root).resolve()
        self.build = pathlib.Path(build).resolve()
        self.touched = {}
        self.texts = {}  # of all files there are, None until they are read
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
            self.texts.update((pathlib.Path(folder, name).relative_to(self.root), None) for name in names)

    def files(self, *globs):
        """Files that match any of the globs, sorted, relative to the root."""
        pattern = re.compile("|".join(map(translate, globs)))
        return sorted(path for path in self.texts if pattern.fullmatch(str(path)))

    def text(self, path):
        path = pathlib.Path(path)
        if self.texts.get(path) is None:
            self.texts[path] = (self.root / path).read_text(encoding="utf-8")
        return self.texts[path]

    def code(self, path):
        return strip(self.text(path))

    def write(self, path, text):
        """Text for a file, which is made if need be, or removed for None."""
        path, target = pathlib.Path(path), self.root / path
        if text is None:
            self.texts.pop(path, None)
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            self.texts[path] = text

    def append(self, path, text):
        """For planting: adds text to a file."""
        old = self.text(path) if pathlib.Path(path) in self.texts else None
        self.touched.setdefault(path, old)
        self.write(path, (old or "") + text)

    def restore(self):
        """Takes back what append() did."""
        for path, old in self.touched.items():
            self.write(path, old)
        self.touched.clear()


@functools.lru_cache(maxsize=None)
def translate(glob):
    """A glob as a regular expression; ** is any number of folders."""
    words = re.split(r"(\*\*/|\*|\[[^]]*\])", glob)
    return "".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(word, word if word[:1] == "[" else re.escape(word))
                   for word in words)


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
    before = set(check(tree))
    for what, change, *expected in plant(tree):
        change(tree)
        found = len(set(check(tree)) - before)
        tree.restore()
        expected = expected[0] if expected else 1
        count += expected
        if found < expected:
            missed.append(f"self-test: finds {found} of {expected}: {what}")
    return count, missed


def plant_object(tree, name, text):
    """For planting: compiles a source to planted/NAME.o."""
    path = pathlib.Path("planted", f"{name}.o")
    (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
    tree.touched[path] = None
    with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
        source.write(text)
        source.flush()
        result = output([*shlex.split(os.environ.get("CC", "cc")), "-fPIE", "-O1", "-c", source.name,
                         "-o", str(tree.root / path)])
    if result.returncode:
        raise RuntimeError(result.stdout)


def run(*checks):
    """Runs checks, modules with check() and plant(), or the script that calls it, on the tree that the environment
    names, then their self-tests on a copy; says in TAP what came of it, and exits so."""
    checks = checks or [sys.modules["__main__"]]
    tree = Tree(os.environ.get("top_srcdir", "."), os.environ.get("top_builddir", "."))
    failed = 0
    print(f"1..{len(checks)}")
    with tempfile.TemporaryDirectory(prefix="culvert-lint-") as place:
        planted_tree = copy(tree, place)
        for number, module in enumerate(checks, 1):
            name = pathlib.Path(module.__file__).name
            try:
                findings = module.check(tree)
                planted, missed = self_test(planted_tree, module.check, module.plant)
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}")
                continue
            for finding in findings + missed:
                print(finding)
            warnings = sum(finding.startswith(WARNING) for finding in findings)
            bad = len(findings) > warnings or missed or not planted
            failed += bool(bad)
            print(f"{'not ok' if bad else 'ok'} {number} - {name}: {len(findings) - warnings} found, "
                  f"{warnings} warnings, {planted} planted, {len(missed)} missed")
    sys.exit(1 if failed else 0)


def main(names):
    """All checks beside this file in one process, which reads and copies the tree once, or those named."""
    sys.modules["lint"] = sys.modules["__main__"]
    modules = [importlib.import_module(name) for name in names or
               sorted(path.stem for path in pathlib.Path(__file__).parent.glob("check_*.py"))]
    run(*(module for module in modules if names or not hasattr(module, "ON_REQUEST")))


if __name__ == "__main__":
    main(sys.argv[1:])
