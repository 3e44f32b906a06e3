#!/usr/bin/python3 -IS
# SPDX-License-Identifier: BSD-2-Clause
"""The first process of a guest. Never run on a host.

The host's root is the guest's, read-only; this lays VPN software and a memory file system over it, loads the
modules, sets up the network and then does what the host asks for over the serial line: one JSON object a line,
  {"id": 1, "command": ["ping", ...], "timeout": 5}         → {"id": 1, "code": 0, "output": "..."}
  {"id": 2, "path": "/etc/ppp/options", "text": "..."}       → {"id": 2, "code": 0, "output": ""}
Requests are answered when they are done, in whatever order. When the line is closed the guest powers off.

The kernel hands over what stood on its command line as environment: guest_name, guest_software, guest_modules,
guest_address, guest_gateway, guest_load.
"""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import tty

SYS_FINIT_MODULE = 313
LINE = "/dev/ttyS0"
SYSLOG = "/run/syslog"
OUTPUT_LIMIT = 60000

libc = ctypes.CDLL(None, use_errno=True)


def mount(kind, target, options=""):
    if not os.path.isdir(target):
        os.mkdir(target)
    if libc.mount(kind.encode(), target.encode(), kind.encode(), 0, options.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"mount {kind} on {target}: {os.strerror(error)}")


def load_modules(folder, names):
    """Modules and what they need, in the order that modules.dep gives."""
    needs = {}
    with open(f"{folder}/modules.dep", encoding="ascii") as file:
        for line in file:
            path, _, rest = line.partition(":")
            needs[os.path.basename(path).removesuffix(".ko").replace("-", "_")] = [*reversed(rest.split()), path]
    for name in names:
        for path in needs[name]:
            with open(f"{folder}/{path}", "rb") as file:
                if libc.syscall(SYS_FINIT_MODULE, file.fileno(), b"", 0) != 0 and ctypes.get_errno() != 17:
                    raise OSError(ctypes.get_errno(), f"{path}: {os.strerror(ctypes.get_errno())}")


def build_root(software):
    """/mnt is where the new root is put together; the host's own root stays as it is."""
    mount("tmpfs", "/mnt")
    for name in ("upper", "work", "root"):
        os.mkdir(f"/mnt/{name}")
    layers = []
    for folder in software:
        layers.append(f"/mnt/{os.path.basename(folder)}")
        mount("hostfs", layers[-1], folder)  # a file system of its own, for layers must not overlap
    mount("overlay", "/mnt/root", f"lowerdir={':'.join([*layers, '/'])},upperdir=/mnt/upper,workdir=/mnt/work")
    os.chroot("/mnt/root")
    os.chdir("/")
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    mount("devtmpfs", "/dev")
    mount("devpts", "/dev/pts", "mode=620,ptmxmode=666")
    mount("tmpfs", "/run")
    for path in ("/run/lock", "/run/xl2tpd"):
        os.mkdir(path)
    with open("/etc/resolv.conf", "w", encoding="ascii"):
        pass
    with open("/etc/nsswitch.conf", "w", encoding="ascii") as file:
        file.write("passwd: files\ngroup: files\nhosts: files\n")


def set_up_network(address, gateway):
    with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    lines = [
        f"address add {address} dev vec0",
        "link set lo up",
        "link set vec0 up",
        f"route add default via {gateway}",
    ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def keep_syslog():
    """Whatever is said to syslog goes to a file."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind("/dev/log")
    with open(SYSLOG, "ab", buffering=0) as file:
        while True:
            file.write(sock.recv(65536).rstrip(b"\0\n") + b"\n")


def run(command, timeout):
    """The exit code and all output; a command that takes too long is ended with all of its children."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        output, _ = child.communicate(timeout=timeout)
        return child.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
        return 124, output + f"\nended after {timeout} s\n".encode()


class Agent:
    """Answers requests, each in a thread of its own."""

    def __init__(self):
        self.line = os.open(LINE, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line)
        self.lock = threading.Lock()

    def answer(self, request, code, output=""):
        data = json.dumps({"id": request, "code": code, "output": output}).encode() + b"\n"
        with self.lock:
            while data:
                data = data[os.write(self.line, data) :]

    def serve(self, request):
        try:
            if "path" in request:
                os.makedirs(os.path.dirname(request["path"]), exist_ok=True)
                with open(request["path"], "w", encoding="utf-8") as file:
                    file.write(request["text"])
                os.chmod(request["path"], 0o600)
                self.answer(request["id"], 0)
            else:
                code, output = run(request["command"], request["timeout"])
                self.answer(request["id"], code, output.decode(errors="replace")[-OUTPUT_LIMIT:])
        except Exception as problem:  # the host must hear of it, whatever it is
            self.answer(request["id"], 127, f"{type(problem).__name__}: {problem}\n")

    def loop(self):
        self.answer(0, 0, open("/proc/uptime", encoding="ascii").read())
        rest = b""
        while data := os.read(self.line, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                threading.Thread(target=self.serve, args=(json.loads(line),), daemon=True).start()


def start_agent():
    child = os.fork()
    if child == 0:
        try:
            threading.Thread(target=keep_syslog, daemon=True).start()
            Agent().loop()
        finally:
            os._exit(0)
    return child


def main():
    environment = os.environ
    software, modules = environment["guest_software"].split(","), environment["guest_modules"]
    load_modules(modules, ["overlay"])
    build_root(software)
    load_modules(modules, environment["guest_load"].split(","))
    socket.sethostname(environment["guest_name"])
    set_up_network(environment["guest_address"], environment["guest_gateway"])
    os.environ.clear()
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8")
    agent = start_agent()
    while os.wait()[0] != agent:  # the first process also inherits all orphans
        pass


if os.getpid() != 1:
    sys.exit("this is the first process of a guest, nothing to be run by hand")
try:
    main()
except BaseException:
    traceback.print_exc()
finally:
    sys.stdout.flush()
    sys.stderr.flush()
    libc.reboot(0x4321FEDC)  # power off
