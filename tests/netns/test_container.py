# SPDX-License-Identifier: BSD-2-Clause
"""The commands of README.md for containers, run by podman in a box (box.py of tests/vpn) in a namespace of its own:
nothing of the machine's own containers, networks and files is touched. Its image has culvert and a few tools of this
machine, and what they link to."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "vpn"))

import software  # noqa: E402
from box import Box  # noqa: E402
from namespace import Namespace  # noqa: E402
from router import find_culvertd  # noqa: E402
from shown import block  # noqa: E402
from test_privileges import has_feature  # noqa: E402

pytestmark = [pytest.mark.culvert_only("containers are about culvertd's own start")]
TOOLS = ["sh", "sleep", "ping"]
# The engine must do without control groups and higher limits, which not every machine of tests may give away.
SETTINGS = """[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
"""
START_SECONDS = 60


def make_image(folder, programs):
    """A root with these programs, by the names that they get in /usr/bin, and the libraries that they link to."""
    wanted = {f"/usr/bin/{name}": path for name, path in programs.items()}
    said = subprocess.run(["ldd", *programs.values()], capture_output=True, text=True, check=True).stdout
    wanted.update({path.replace("/lib", "/usr/lib", 1) if path.startswith("/lib") else path: path
                   for path in re.findall(r"\s(/\S+) \(0x", said)})
    for inside, path in wanted.items():
        (folder / inside[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / inside[1:])
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / "usr" / name).mkdir(exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "run", "sys", "tmp"):
        (folder / name).mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A box in which podman has the image IMAGE."""
    program = find_culvertd()
    if not has_feature(program, "libseccomp"):
        pytest.skip("this culvertd was built without libseccomp, or with the address sanitizer")
    try:
        software.prepare("podman")
    except software.Missing as missing:
        pytest.skip(f"no podman: {missing}")
    folder = tmp_path_factory.mktemp("image")
    tools = {name: os.path.realpath(shutil.which(name)) for name in TOOLS}
    make_image(folder, {"culvertd": program, "culvertctl": program.removesuffix("d") + "ctl", **tools})
    space = Namespace("podman")
    box = None
    try:
        box = Box(space, "podman", sets=("podman",))
        box.write("/etc/containers/containers.conf", SETTINGS)
        box.write("/etc/containers/storage.conf", '[storage]\ndriver = "vfs"\nrunroot = "/run/containers"\n'
                  'graphroot = "/var/lib/containers"\n')
        # Packages that were only unpacked are not configured, so iptables has no name yet.
        box.run("ip link set lo up; for name in iptables ip6tables; do "
                "command -v $name || ln -s xtables-nft-multi /usr/sbin/$name; done")
        box.run("umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup || true")
        box.run(f"tar -C {folder} -c . | podman import - image")
        tried = box.try_run("podman run --rm --network none image sh -c true")
        if tried.code != 0:
            pytest.skip(f"no container can be run here: {tried.output.strip().splitlines()[-1]}")
        yield box
    finally:
        if box:
            box.try_run("podman rm --all --force --time 0")
            box.close()
        space.remove()


@pytest.fixture
def networks(engine):
    """engine with the README's networks; they, and all containers, end with the test."""
    engine.run(block("README.md", "podman network create").partition("podman run")[0])
    yield engine
    engine.try_run("podman rm --all --force --time 5; podman network rm outside inside; podman volume rm culvert")


def router_line():
    """How the README runs culvertd, as one line."""
    shown = block("README.md", "podman network create")
    return shown[shown.index("podman run") :].replace("\\\n", " ").replace("IMAGE", "image")


def reach_outside(engine):
    outside = engine.run("podman network inspect outside --format '{{(index .Subnets 0).Gateway}}'").strip()
    return engine.run("podman", "exec", "host", "ping", "-n", "-c", "3", "-i", "0.2", "-w", "15", outside)


def test_the_commands_of_the_readme(networks):
    networks.run(router_line())
    networks.wait_until("podman logs culvert 2>&1 | grep -q 'forwarding eth1 -> eth0'", START_SECONDS)
    log = networks.run("podman logs culvert 2>&1")
    assert len(log.splitlines()) == 1, f"something is missing in the README's line:\n{log}"
    lines = block("README.md", "podman run -d --name host").replace("OTHER-IMAGE", "image sleep 1000")
    networks.run(f"set -eu\n{lines}")
    assert " 0% packet loss" in reach_outside(networks)
    assert "no warnings" in networks.run("podman exec culvert culvertctl")

    networks.run("podman kill --signal KILL culvert; podman wait culvert; podman start culvert")
    networks.wait_until("podman logs culvert 2>&1 | grep -q 'took over [1-9]'", START_SECONDS)
    # The engine has given it another MAC address, and the host's kernel would notice only in a while.
    networks.run("nsenter --net=$(podman inspect --format '{{.NetworkSettings.SandboxKey}}' host) ip neigh flush all")
    assert " 0% packet loss" in reach_outside(networks)

    networks.run("podman stop culvert")
    assert networks.run("podman inspect --format '{{.State.ExitCode}}' culvert").strip() == "0"


def test_what_is_wrong_is_named(networks):
    """Without the settings: each one, to paste. With the networks exchanged: that. Without -f: why that cannot be."""
    line = router_line().replace("-d --name culvert", "--rm")
    settings = re.findall(r'--sysctl (?:[\w.]+="[^"]+"|\S+)', line)
    needed = settings[:-1]  # the last one only gives NAT more ports
    without = line
    for setting in settings:
        without = without.replace(setting, "")
    done = networks.try_run(without)
    assert done.code == 4 and sorted(re.findall(r"--sysctl \S+", done.output)) == sorted(needed), done.output

    swapped = line.replace("=eth0", "=x").replace("=eth1", "=eth0").replace("=x", "=eth1")
    done = networks.try_run(swapped)
    assert done.code == 4 and "the default route leads to eth1, which is the LAN" in done.output, done.output

    done = networks.try_run(line.replace(" -f ", " "))
    assert done.code == 1 and "add -f" in done.output, done.output
