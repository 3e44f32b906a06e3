# SPDX-License-Identifier: BSD-2-Clause
"""The first process of a box: started by box.py in mount and process namespaces of its own, with folders to be laid
over /usr, /etc and /var. When its standard input ends, so does it, and all the processes of the box."""
import os
import signal
import subprocess
import sys

LAYERED = ["usr", "etc", "var"]


def mount(kind, target, options):
    subprocess.run(["mount", "-t", kind, "-o", options, kind, target], check=True)


def main():
    mount("tmpfs", "/mnt", "mode=755")
    for name in LAYERED:
        for part in ("upper", "work"):
            os.makedirs(f"/mnt/{name}/{part}")
        layers = [path for folder in sys.argv[1:] if os.path.isdir(path := f"{folder}/{name}")]
        layers = ":".join([*layers, f"/{name}"])
        mount("overlay", f"/{name}", f"lowerdir={layers},upperdir=/mnt/{name}/upper,workdir=/mnt/{name}/work")
    mount("tmpfs", "/run", "mode=755")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever loses its parent in the box is ours to bury
    print("ready", flush=True)
    sys.stdin.read()


if os.getpid() != 1:
    sys.exit("this is the first process of a box, nothing to be run by hand")
main()
