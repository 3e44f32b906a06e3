# SPDX-License-Identifier: BSD-2-Clause
"""The statistics that culvertd writes to its log on SIGUSR1, as numbers, and what must be true of them."""
import re

SIDE = re.compile(
    r"from (LAN|WAN): received (\d+) \((\d+) bytes\) = forwarded (\d+) \+ consumed (\d+) \+ held (\d+) \+ dropped (\d+)"
)
DROP = re.compile(r"dropped (\w+): (\d+) from LAN, (\d+) from WAN")
FLOWS = re.compile(r"flows: (\d+), mappings: (\d+), inside hosts: (\d+)")
COUNTER = re.compile(r"(?:^|\s)(\w+): (\d+) \(")


class Statistics:
    """One dump: side["LAN"]["received"], drop["LAN"]["unsolicited"], counter["hairpinned"], flows, mappings, hosts."""

    def __init__(self, text):
        self.text = text
        self.side, self.drop, self.counter = {}, {"LAN": {}, "WAN": {}}, {}
        self.flows = self.mappings = self.hosts = None
        for line in text.splitlines():
            if found := SIDE.search(line):
                names = ("received", "bytes", "forwarded", "consumed", "held", "dropped")
                self.side[found[1]] = dict(zip(names, map(int, found.groups()[1:])))
            elif found := DROP.search(line):
                self.drop["LAN"][found[1]], self.drop["WAN"][found[1]] = int(found[2]), int(found[3])
            elif found := FLOWS.search(line):
                self.flows, self.mappings, self.hosts = map(int, found.groups())
            elif found := COUNTER.search(line):
                self.counter[found[1]] = int(found[2])

    def problems(self):
        """Every packet that was received must be accounted for, and every dropped one must have a reason."""
        found = []
        for side in ("LAN", "WAN"):
            numbers = self.side.get(side)
            if numbers is None:
                found.append(f"no line for {side} in the statistics:\n{self.text}")
                continue
            if numbers["received"] != sum(numbers[name] for name in ("forwarded", "consumed", "held", "dropped")):
                found.append(f"{side}: received is not the sum of what became of it: {numbers}")
            if numbers["dropped"] != sum(self.drop[side].values()):
                found.append(f"{side}: {numbers['dropped']} dropped, but the reasons are {self.drop[side]}")
        if self.flows is None:
            found.append(f"no line for flows in the statistics:\n{self.text}")
        return found
