# SPDX-License-Identifier: BSD-2-Clause
"""The control socket as a program sees it, and culvertctl as a person runs it."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from lab import wait_for
from namespace import LIMIT

# What makes a flow what it is.
ENDPOINTS = [f"{end}-{what}" for end in ("internal-src", "external-src", "external-dst")
             for what in ("address", "port")]


def connect(router):
    """A socket on which the daemon listens; with a time limit it would be refused while many wait to be let in."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(socket_of(router)))
    sock.settimeout(LIMIT)
    return sock


class Control:
    """One connection to the control socket of a router."""

    def __init__(self, router, timeout=LIMIT):
        self.socket = connect(router)
        self.socket.settimeout(timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_endless_line(self, byte):
        """Ten megabytes without a newline, of which the daemon may not take all."""
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 10 << 20:
                sent += self.socket.send(byte * 65536)
        assert sent < 10 << 20, "ten megabytes were read"

    def line(self):
        """The next line as an object; None at the end of the connection."""
        while b"\n" not in self.buffer:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                assert not self.buffer, f"half a line: {self.buffer!r}"
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert all(32 <= byte < 127 for byte in line), line
        row = json.loads(line)
        assert isinstance(row, dict) and not any(isinstance(value, (dict, list)) for value in row.values()), line
        return row

    def answer(self):
        """The rows up to the last line, and that one."""
        rows = []
        while True:
            row = self.line()
            assert row is not None, f"the connection ended after {len(rows)} rows"
            if "code" in row:
                return rows, row
            rows.append(row)

    def long_answer(self):
        """The same for many rows."""
        pieces, tail = [self.buffer], self.buffer[-16:]
        while not tail.endswith(b'\n{"code":0}\n'):
            pieces.append(self.socket.recv(1 << 18))
            assert pieces[-1], "the connection ended"
            tail = (tail + pieces[-1])[-16:]
        self.buffer = b""
        rows = [json.loads(line) for line in b"".join(pieces).splitlines()]
        return rows[:-1], rows[-1]

    def ask(self, request):
        """The rows of an answer that must be good, without the schema; all of a kind have the same members."""
        self.send(f"{request}\n".encode())
        rows, last = self.answer()
        assert last == {"code": 0}, last
        schema, rows = rows[0], rows[1:]
        assert schema == {"schema": f"culvert.{request.split()[0]}/1"}, schema
        members = {}
        for row in rows:
            assert list(row) == members.setdefault(row["kind"], list(row)) and list(row)[0] == "kind", row
        return rows

    def refused(self, request):
        """The code and the error of a request that must be bad."""
        self.send(request if isinstance(request, bytes) else f"{request}\n".encode())
        rows, last = self.answer()
        assert not rows and list(last) == ["code", "error"] and last["code"] > 0, (rows, last)
        return last["code"], last["error"]

    def is_closed(self):
        return self.line() is None


def socket_of(router):
    return router.state_dir / "control.sock"


def ask(router, request):
    with Control(router) as control:
        return control.ask(request)


def answer_of(router, request):
    """Rows without the schema, and the last line, whatever it says."""
    with Control(router) as control:
        control.send(f"{request}\n".encode())
        rows, last = control.answer()
        return rows[1:], last


def rehearse(router, text, name="next.ini"):
    """The rows of a rehearsal of this text, and the last line."""
    with Control(router) as control:
        data = text if isinstance(text, bytes) else text.encode()
        control.send(f"rehearse {name} size={len(data)}\n".encode())
        assert control.line() == {"schema": "culvert.rehearse/1"}
        assert control.line() == {"kind": "send", "bytes": len(data)}
        control.send(data)
        return control.answer()


def fill(lab, router, count):
    """So many flows, towards peers that no kernel answers for."""
    remotes = [lab.raw(host, index).address for host in ("W1", "W2") for index in (0, 1)]
    with lab.udp("L1", port=7001) as client:  # the same ones if there are some already: there is no room for more
        send_to_fill(client, router, remotes, count)


def send_to_fill(client, router, remotes, count):
    for _ in range(6):
        for number in range(count):
            client.sendto(b"", (remotes[number % 4], 1024 + number // 4))
            if number % 100 == 0:
                time.sleep(0.002)
        (daemon,) = [row for row in ask(router, "status") if row["kind"] == "daemon"]
        if daemon["flows"] >= count:
            return
    raise AssertionError("the flows could not be made")


def has_room(router):
    """Those who went are let go as soon as their turn comes."""

    def is_served():
        with Control(router) as control:
            with contextlib.suppress(BrokenPipeError):
                control.send(b"help drops\n")
            return control.answer()[1] == {"code": 0}

    wait_for(is_served, "somebody is served again")


def find_ctl(router):
    """Beside culvertd."""
    program = pathlib.Path(router.program).with_name("culvertctl")
    assert program.exists(), f"{program} is not built"
    return str(program)


def run_ctl(router, *words, path=None, timeout=60, **options):
    command = [find_ctl(router), "--socket", str(path or socket_of(router)), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **options)


@contextlib.contextmanager
def member(router):
    """Somebody in the group of the socket who is not root: what runs culvertctl for them, and a folder of others."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="culvert-member-"))
    folder.chmod(0o755)
    program = shutil.copy(find_ctl(router), folder / "culvertctl")
    group = os.stat(socket_of(router)).st_gid

    def run(*words, **options):
        return subprocess.run([program, "--socket", str(socket_of(router)), *words], user=12345, group=group,
                              extra_groups=[], capture_output=True, text=True, timeout=60, cwd="/", **options)

    try:
        yield run, folder
    finally:
        shutil.rmtree(folder)


def document(router, *words):
    """The rows of a good document."""
    done = run_ctl(router, "-j", *words)
    assert done.returncode == 0, done.stderr
    parsed = json.loads(done.stdout)
    assert list(parsed) == ["schema", "rows", "code"] and parsed["code"] == 0 and isinstance(parsed["rows"], list)
    return parsed["rows"]
