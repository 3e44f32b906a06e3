# SPDX-License-Identifier: BSD-2-Clause
"""The two processes around a machine (machine.py). The keeper lives outside of it, in a mount namespace of its own: it
makes the machine's control group, and when its standard input ends it ends the machine and removes the group. The other
one is the machine's first process: it builds the root and becomes systemd.

    machine_init.py keep GROUP HOSTNAME FILE=TARGET... -- LAYER...     says "init PID" or "missing: WHY"
    machine_init.py boot HOSTNAME FILE=TARGET... -- LAYER...

FILE of the host becomes TARGET of the machine; LAYERs are folders laid over /usr.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

GROUPS = pathlib.Path("/mnt/groups")
ROOT = pathlib.Path("/mnt/root")
NODES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "net/tun": (10, 200),
}
LINKS = {"fd": "/proc/self/fd", "ptmx": "pts/ptmx"}
# What starts before any service. Debian's own would do more than a machine without a kernel of its own may do.
TARGETS = {
    "sysinit.target": "[Unit]\nWants=systemd-journald.service\nAfter=systemd-journald.service\n",
    "basic.target": "[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\n",
}
END_SECONDS = 5


def mount(kind, target, options="rw"):
    os.makedirs(target, exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, kind, target], check=True)


# --- the keeper --------------------------------------------------------------------------------------------------


def make_group(name):
    """A control group of the second version for the machine alone, empty."""
    try:
        mount("cgroup2", GROUPS)
        (GROUPS / name).mkdir()
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"missing: no control group can be made here: {problem}", flush=True)
        sys.exit(0)
    return GROUPS / name


def remove_group(group):
    """Those of its processes that end right now may still be in it."""
    end = time.monotonic() + END_SECONDS
    while group.exists():
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if time.monotonic() > end:
            sys.exit(f"the control group {group.name} is still in use")
        time.sleep(0.02)


def keep(group, *words):
    mount("tmpfs", "/mnt", "mode=755")
    group = make_group(group)
    # The group is entered first: it is the root of the machine's namespace of groups.
    line = 'echo $$ >"$0" && exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child "$@"'
    boot = [sys.executable, "-IS", os.path.abspath(__file__), "boot", *words]
    machine = subprocess.Popen(["sh", "-c", line, group / "cgroup.procs", *boot], stdin=subprocess.DEVNULL)
    try:
        children = pathlib.Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
        while machine.poll() is None and not (init := children.read_text(encoding="ascii").split()):
            time.sleep(0.01)
        assert machine.poll() is None, "the machine did not start"
        print(f"init {init[0]}", flush=True)
        sys.stdin.read()
    finally:
        machine.kill()
        machine.wait()
        remove_group(group)


# --- the machine's first process ---------------------------------------------------------------------------------


def make_devices():
    mount("tmpfs", ROOT / "dev", "mode=755")
    mount("devpts", ROOT / "dev/pts", "newinstance,ptmxmode=666")
    (ROOT / "dev/net").mkdir()
    for name, (major, minor) in NODES.items():
        os.mknod(ROOT / "dev" / name, 0o020666, os.makedev(major, minor))
        os.chmod(ROOT / "dev" / name, 0o666)
    for name, target in LINKS.items():
        (ROOT / "dev" / name).symlink_to(target)


def protect_kernel():
    """Of the settings of the kernel only those of the network belong to the machine. systemd itself changes others."""
    for path in [*pathlib.Path("/proc/sys").iterdir(), pathlib.Path("/proc/sysrq-trigger")]:
        if path.name != "net" and path.exists():
            inside = f"{ROOT}{path}"
            subprocess.run(["mount", "--bind", inside, inside], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", inside], check=True)


def make_root(layers):
    """/usr is the host's below folders and a file system in memory; all else is in memory."""
    mount("tmpfs", ROOT, "mode=755")
    for part in ("upper", "work"):
        (ROOT / ".usr" / part).mkdir(parents=True)
    lower = ":".join([f"{layer}/usr" for layer in layers if os.path.isdir(f"{layer}/usr")] + ["/usr"])
    mount("overlay", ROOT / "usr", f"lowerdir={lower},upperdir={ROOT}/.usr/upper,workdir={ROOT}/.usr/work")
    for name in ("bin", "sbin", "lib", "lib64"):
        (ROOT / name).symlink_to(f"usr/{name}")
    for name in ("etc/systemd/system", "home", "root", "tmp", "var/log", "outside"):
        (ROOT / name).mkdir(parents=True)
    mount("proc", ROOT / "proc")
    protect_kernel()
    mount("sysfs", ROOT / "sys", "ro")
    mount("cgroup2", ROOT / "sys/fs/cgroup")
    mount("tmpfs", ROOT / "run", "mode=755")
    (ROOT / "var/run").symlink_to("/run")
    make_devices()
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", ROOT / "etc" / name)
    (ROOT / "etc/machine-id").write_text(f"{os.urandom(16).hex()}\n")
    for name, text in TARGETS.items():
        (ROOT / "etc/systemd/system" / name).write_text(text)
        shutil.rmtree(ROOT / f"usr/lib/systemd/system/{name}.wants", ignore_errors=True)


def boot(hostname, *words):
    split = words.index("--")
    make_root(words[split + 1 :])
    for pair in words[:split]:
        source, target = pair.split("=")
        (ROOT / target.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, ROOT / target.lstrip("/"))
    subprocess.run(["hostname", hostname], check=True)
    os.chdir(ROOT)
    subprocess.run(["pivot_root", ".", "outside"], check=True)
    os.chdir("/")
    subprocess.run(["umount", "-l", "/outside"], check=True)
    environment = {"container": "culvert-test", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["/usr/lib/systemd/systemd", "--system", "--unit=basic.target", "--show-status=no"]
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    {"keep": keep, "boot": boot}[sys.argv[1]](*sys.argv[2:])
