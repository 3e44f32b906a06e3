# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own NAT with its PPTP helper: what the room itself is checked with (ROUTER=kernel)."""
from reference import Kernel
from router import merge

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
            if name.startswith("forward:") and keys.get("service") == "pptp":
                self.space.run(
                    "nft", "add", "rule", "ip", "nat", "prerouting", "ip", "daddr", "198.51.100.2",
                    "tcp", "dport", "1723", "dnat", "to", keys["to"],
                )  # fmt: skip
