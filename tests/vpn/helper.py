# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own NAT with its PPTP helper: what the room itself is checked with (ROUTER=kernel)."""
from lab import ROUTER_WAN
from reference import Kernel
from router import merge

FORWARDED = {
    "pptp": ["tcp dport 1723"],
    "l2tp": ["udp dport 1701"],
    "ipsec": ["udp dport { 500, 4500 }", "meta l4proto esp"],
}
HELPER = """
    table ip helper {
        ct helper pptp { type "pptp" protocol tcp; }
        chain prerouting {
            type filter hook prerouting priority 0;
            tcp dport 1723 ct helper set "pptp"
        }
        chain forward {
            type filter hook forward priority 0;
            ct state invalid drop
        }
    }
"""


class KernelWithHelper(Kernel):
    def start(self, sections=None):
        super().start(sections)
        self.space.run("nft", "-f", "-", input=HELPER)
        for name, keys in merge(sections or {}).items():
            for match in FORWARDED.get(keys.get("service"), []) if name.startswith("forward:") else []:
                rule = f"add rule ip nat prerouting ip daddr {ROUTER_WAN} {match} dnat to {keys['to']}"
                self.space.run("nft", rule)
