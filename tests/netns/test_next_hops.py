# SPDX-License-Identifier: BSD-2-Clause
"""What inside hosts do to the WAN's neighbours, and what it costs the others."""
import contextlib
import threading
import time

import pytest

from lab import ROUTER_WAN, UPSTREAM

pytestmark = [pytest.mark.culvert_only("the kernel keeps its neighbours in another way")]
SCANNED = 3000
PAUSE = 0.0005


@contextlib.contextmanager
def wide_wan(lab):
    """The WAN's own network is a /16 while the block runs."""
    ends = ((lab.R, "wan0", ROUTER_WAN), (lab.X, "to_r", UPSTREAM))
    for space, device, _ in ends:
        space.ip(f"route add 198.51.0.0/16 dev {device} scope link")
    try:
        yield
    finally:
        for space, device, _ in ends:
            space.ip(f"route delete 198.51.0.0/16 dev {device} scope link")
            space.run("ip", "neighbour", "flush", "dev", device, "nud", "failed", check=False)
        lab.introduce_raw_peers()


def test_a_scan_of_the_wan_harms_nobody_else(lab, router):
    """One inside host tries thousands of addresses that nobody has; another one's packets all arrive, and each packet
    of the scan is read and dropped for its reason."""
    with wide_wan(lab), lab.udp("W1", port=3720) as server, lab.udp("L2") as client, lab.udp("L1") as scanner:
        router.settle()
        stop = threading.Event()

        def scan():
            for number in range(SCANNED):
                scanner.sendto(b"x", (f"198.51.{110 + number // 250}.{number % 250 + 1}", 9))
                stop.wait(PAUSE)

        scanning = threading.Thread(target=scan)
        with router.dropping(lan={"link_next_hop": SCANNED}):
            scanning.start()
            sent, slowest = 0, 0
            try:
                while scanning.is_alive() or sent < 50:
                    begin = time.monotonic()
                    lab.echo_once(client, server, b"%d" % sent)  # fails if one is lost
                    slowest = max(slowest, time.monotonic() - begin)
                    sent += 1
                    time.sleep(0.01)
            finally:
                stop.set()
                scanning.join()
        assert slowest < 0.5, "one waited behind the scan"
        asked = lab.R.ip_json("neigh", "show", "dev", "wan0")
        assert len(asked) < 250, "the kernel was asked for nearly everybody"
