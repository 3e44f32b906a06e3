# SPDX-License-Identifier: BSD-2-Clause
"""The router under test: culvertd as a black box, or the kernel's own masquerading as the reference the tests were
checked with."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from counters import Statistics
from namespace import LIMIT, stop_child

HERE = pathlib.Path(__file__).resolve().parent
STATISTICS = re.compile(r"from (LAN|WAN): received|flows( of|:)|^\S+ \w+: \d+ \(|dropped \w+: \d|data path")


# OFFLOADS=off: every test runs without offloads, in the daemon and on the links.
OFFLOADS_OFF = os.environ.get("OFFLOADS") == "off"


def find_culvertd():
    """$CULVERTD, else the build directory the tests were started from."""
    named = os.environ.get("CULVERTD")
    candidates = (
        [named]
        if named
        else [
            os.path.join(folder, "culvertd")
            for folder in (os.environ.get("top_builddir", "."), ".", "build", HERE.parent.parent / "build")
        ]
    )
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return str(pathlib.Path(candidate).resolve())
    raise FileNotFoundError(f"no culvertd at {', '.join(map(str, candidates))}: build it and set CULVERTD to its path")


def write_config(sections):
    """{section: {key: value}} as the text of an INI file; {"forward": [..]} is not needed: sections carry their full
    name."""
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def merge(*layers):
    result = {}
    for layer in layers:
        for section, keys in layer.items():
            result.setdefault(section, {}).update(keys)
    return result


BASE = {"lan": {"interface": "lan0"}, "wan": {"interface": "wan0"}}
if OFFLOADS_OFF:
    BASE["wan"]["offload"] = "no"


class Culvert:
    """One culvertd in namespace R: its configuration, state directory and log live in a directory of their own."""

    kind = "culvert"

    def __init__(self, lab, program=None):
        self.lab = lab
        self.space = lab.R
        self.program = program or find_culvertd()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="culvert-netns-"))
        self.folder.chmod(0o755)
        self.state_dir = self.folder / "state"
        self.config_file = self.folder / "culvert.ini"
        self.log_file = self.folder / "log"
        self.log_file.touch()
        self.process = None
        self.config = None

    def close(self):
        if self.process:
            stop_child(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- life ------------------------------------------------------------------------------------------------------

    def command(self, *options):
        """ip netns exec, not nsenter, so that /sys shows the namespace's own devices."""
        return [
            "ip",
            "netns",
            "exec",
            self.space.name,
            self.program,
            "-c",
            str(self.config_file),
            "--state-dir",
            str(self.state_dir),
            *options,
        ]

    def configure(self, sections=None, text=None):
        self.config = sections
        self.config_file.write_text(text if text is not None else write_config(merge(BASE, sections or {})))

    def launch(self, *options, stderr=None):
        """Starts the daemon in the foreground without waiting for it; stderr is a descriptor in place of the log."""
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.command("-f", *options), stdin=subprocess.DEVNULL, stdout=log, stderr=stderr or log
            )

    def start(self, sections=None, *options):
        """Starts the daemon and waits until it says that it forwards."""
        self.configure(sections)
        mark = self.mark()
        self.launch(*options)
        self.wait_for(r"forwarding \S+ -> ", mark, 30)

    def run(self, *options, sections=None, text=None, timeout=30, command=None):
        """Runs culvertd to its end, as --check or a start that must fail do."""
        if sections is not None or text is not None:
            self.configure(sections, text)
        return subprocess.run(
            command or self.command(*options), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )

    def start_anew(self):
        """Starts the daemon once more, and it knows nothing of what was before."""
        self.stop()
        shutil.rmtree(self.state_dir)
        self.start(self.config)

    def stop(self):
        """The orderly stop; the exit code must be 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process = None
        assert code == 0, f"exit code {code} after TERM\n{self.log()}"

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # --- log and statistics ----------------------------------------------------------------------------------------

    def mark(self):
        return self.log_file.stat().st_size

    def log(self, mark=0):
        return self.log_file.read_bytes()[mark:].decode(errors="replace")

    def events(self):
        """The lines of the log that are not statistics."""
        return [line for line in self.log().splitlines() if not STATISTICS.search(line)]

    def wait_for(self, pattern, mark=0, timeout=LIMIT):
        """Waits until the log, from mark, has a line that matches."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if found := re.search(pattern, self.log(mark)):
                return found
            if not self.alive():
                time.sleep(0.05)
                raise AssertionError(
                    f"culvertd ended with {self.process.poll()} before it said {pattern!r}\n{self.log(mark)}"
                )
            time.sleep(0.01)
        raise AssertionError(f"culvertd did not say {pattern!r} within {timeout} s\n{self.log(mark)}")

    def statistics(self):
        """Two dumps are asked for: the first one is whole when the second one begins."""
        mark = self.mark()
        self.process.send_signal(signal.SIGUSR1)
        self.wait_for(r"from LAN: received", mark)
        self.process.send_signal(signal.SIGUSR1)
        self.wait_for(r"(?s)from LAN: received.*from LAN: received", mark)
        text = self.log(mark)
        return Statistics(text[: text.rindex("from LAN: received")])

    @contextlib.contextmanager
    def dropping(self, lan=None, wan=None):
        """What happens inside must raise these drop reasons by exactly these counts."""
        before = self.statistics()
        yield
        end = time.monotonic() + LIMIT
        while True:
            after = self.statistics()
            wrong = [
                f"{side} {reason}: {rise} instead of {want}"
                for side, reasons in (("LAN", lan), ("WAN", wan))
                for reason, want in (reasons or {}).items()
                if (rise := after.drop[side].get(reason, 0) - before.drop[side].get(reason, 0)) != want
            ]
            if not wrong or time.monotonic() > end:
                break
            time.sleep(0.02)
        assert not wrong, "; ".join(wrong) + f"\nbefore {before.drop}\nafter  {after.drop}"

    def settle(self):
        """Gives the daemon the time to hear of a change of its links."""
        time.sleep(0.2)
        self.catch_up()

    def catch_up(self):
        """What was sent before is behind the daemon now: between two dumps it has looked at everything that waited."""
        self.statistics()

    def reload(self, sections):
        self.configure(sections)
        mark = self.mark()
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(r"the configuration was read again|reload failed", mark)
        return self.log(mark)
