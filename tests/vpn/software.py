# SPDX-License-Identifier: BSD-2-Clause
"""The VPN software of the room, unpacked beside the host instead of installed on it: a package with a daemon would
start that daemon. Only guests and boxes see the result, laid over their root.

Whatever the machine has already is found in its own root; the rest is fetched with apt-get and kept in a cache,
so that the second run needs no network.
"""
import glob
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

# Sets that are unpacked apart from each other: packages of one set must not conflict.
SETS = {
    "guests": ["user-mode-linux", "ppp", "pptp-linux", "pptpd", "xl2tpd"],
    "strongswan": ["strongswan-charon", "strongswan-swanctl", "strongswan-pki", "libcharon-extra-plugins"],
    "libreswan": ["libreswan", "vpnc"],
    "tunnels": ["openvpn", "wireguard-go", "wireguard-tools", "ocserv", "openconnect"],
    "prometheus": ["prometheus"],
    "systemd": ["systemd"],
    "podman": ["podman", "crun", "containernetworking-plugins"],
}
# Directories that are symbolic links into /usr on the host; a directory of that name would hide the link.
MERGED = ["bin", "sbin", "lib", "lib64"]


class Missing(Exception):
    """The software is not here and cannot be fetched."""


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base, "culvert-vpn-room")


def fetch(packages, archives):
    """Packages and what they depend on, as far as the machine lacks it. apt looks at what is there already."""
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    download = [*command, "-o", f"Dir::Cache::archives={archives}", "install", "--download-only"]
    download += ["--no-install-recommends", *packages]
    # A machine with fresh package lists does not fetch them again; an old or empty one does.
    for words in (download, [*command, "update"], download):
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        if words is download and done.returncode == 0:
            return
    raise Missing(f"apt-get could not fetch {' '.join(packages)}:\n{done.stdout}{done.stderr}")


def unpack(archives, root):
    root.mkdir()
    for package in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True, timeout=120)
    for name in MERGED:
        if (root / name).is_dir():
            shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)


def prepare(name="guests"):
    """The folder of a set, to lay over a root; made when it is not there yet or its list has changed."""
    packages = SETS[name]
    digest = hashlib.sha256(" ".join(packages).encode()).hexdigest()
    root = cache_folder() / f"{name}-{digest[:8]}"
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            archives, unpacked = pathlib.Path(folder, "archives"), pathlib.Path(folder, "root")
            fetch(packages, archives)
            unpack(archives, unpacked)
            try:
                unpacked.rename(root)
            except OSError:
                if not root.is_dir():  # else somebody was faster
                    raise
    return root


def find_kernel(root):
    """The program that is the guests' kernel, and its modules."""
    for top in (root, pathlib.Path("/")):
        modules = glob.glob(f"{top}/usr/lib/uml/modules/*/modules.dep")
        if os.access(top / "usr/bin/linux.uml", os.X_OK) and modules:
            return top / "usr/bin/linux.uml", os.path.dirname(modules[0])
    raise Missing(f"no linux.uml below {root} or /: remove {root.parent} and run again")
