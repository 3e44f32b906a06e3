# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own NAT in place of culvertd: what the tests themselves are checked with (ROUTER=kernel)."""
import contextlib

from router import merge


class Kernel:
    """nft masquerade and dnat in namespace R, behind the face of router.Culvert."""

    kind = "kernel"
    program = "kernel"

    def __init__(self, lab):
        self.lab = lab
        self.space = lab.R
        self.config = None

    def close(self):
        self.space.run("nft", "flush", "ruleset")
        self.config = None

    stop = kill = close

    def start_anew(self):
        config = self.config
        self.stop()
        self.start(config)

    def alive(self):
        return self.config is not None

    def start(self, sections=None):
        self.config = sections
        rules = []
        for name, keys in merge(sections or {}).items():
            if not name.startswith("forward:") or "service" in keys:
                continue
            for protocol in keys["protocol"].split("+"):
                port = f"{protocol} dport {keys['port']} " if "port" in keys else f"meta l4proto {protocol} "
                rules.append(f"ip daddr 198.51.100.2 {port} dnat to {keys['to']}")
        ruleset = """
            flush ruleset
            table ip nat {
                chain prerouting { type nat hook prerouting priority -100;
%s
}
                chain postrouting { type nat hook postrouting priority 100; oif wan0 masquerade; }
            }
        """ % "\n".join(
            rules
        )
        self.space.set_sysctl("net/ipv4/ip_forward", 1)
        self.space.run("nft", "-f", "-", input=ruleset)

    def mark(self):
        return 0

    def events(self):
        return []

    def settle(self):
        pass

    def catch_up(self):
        pass

    def dropping(self, **_):
        return contextlib.nullcontext()
