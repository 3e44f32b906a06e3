# SPDX-License-Identifier: BSD-2-Clause
"""IPsec with keys that were typed in: the kernels of two guests do ESP in tunnel mode, nobody does IKE. So a NAT sees
SPIs and nothing else. AH in transport mode likewise."""
import hashlib

import calls
from lab import ROUTER_WAN

ENCRYPTION = "aead rfc4106(gcm(aes)) 0x{} 128"
AUTHENTICATION = "auth-trunc hmac(sha256) 0x{} 128"


def number(*words):
    """A number of 32 bits that looks like any other, above the reserved SPIs."""
    return int(hashlib.sha256(repr(words).encode()).hexdigest()[:8], 16) | 0x1000


def state(source, destination, protocol, spi, mode, tag):
    secret = hashlib.sha512(f"{protocol} {spi}".encode()).hexdigest()
    algorithm = ENCRYPTION.format(secret[:40]) if protocol == "esp" else AUTHENTICATION.format(secret[:64])
    return (
        f"xfrm state add src {source} dst {destination} proto {protocol} spi {spi} reqid {tag} mode {mode} {algorithm}"
    )


def policies(here, there, source, destination, protocol, mode, tag):
    """What goes from the network here to the one there is protected between the two outer ends, and the reverse."""
    for way, ends, outer in (
        ("out", (here, there), (source, destination)),
        ("in", (there, here), (destination, source)),
    ):
        yield (
            f"xfrm policy add src {ends[0]} dst {ends[1]} dir {way}"
            f" tmpl src {outer[0]} dst {outer[1]} proto {protocol} reqid {tag} mode {mode}"
        )


def apply(guest, lines):
    guest.write("/run/xfrm", "".join(f"{line}\n" for line in lines))
    guest.run("ip -batch /run/xfrm")


def clean(guest):
    guest.run("ip xfrm policy flush; ip xfrm state flush")


class Server(calls.Server):
    """It has the keys of its clients from the beginning; where they come from is the NAT's outside address."""

    def __init__(self, guest, network, clients):
        super().__init__(guest, network)
        self.clients = clients

    def start_daemon(self):
        here, lines = self.guest.address, [f"address replace {self.inside}/32 dev lo"]
        for tag, guest in enumerate(self.clients, 1):
            client = Client(guest, self)
            lines.append(state(ROUTER_WAN, here, "esp", client.out, "tunnel", tag))
            lines.append(state(here, ROUTER_WAN, "esp", client.back, "tunnel", tag))
            lines += policies(self.inside, client.own, here, ROUTER_WAN, "esp", "tunnel", tag)
        apply(self.guest, lines)

    def stop(self):
        clean(self.guest)


class Client(calls.Client):
    device = "vec0"

    def __init__(self, guest, server):
        super().__init__(guest, server)
        self.own = f"{server.inside.rsplit('.', 1)[0]}.1{guest.address.rsplit('.', 1)[1]}"
        self.out, self.back = (number(guest.name, server.inside, way) for way in ("out", "back"))

    def start(self):
        """The keys are in place; nothing has been sent."""
        here, there, inside = self.guest.address, self.address, self.server.inside
        apply(
            self.guest,
            [
                f"address replace {self.own}/32 dev lo",
                f"route replace {inside} via {self.guest.gateway} src {self.own}",
                state(here, there, "esp", self.out, "tunnel", 1),
                state(there, here, "esp", self.back, "tunnel", 1),
                *policies(self.own, inside, here, there, "esp", "tunnel", 1),
            ],
        )
        return self

    def stop(self):
        clean(self.guest)
        self.guest.run(f"ip route delete {self.server.inside}; ip address delete {self.own}/32 dev lo")


def start_ah(guest, there):
    """All between this guest and an address carries AH from now on."""
    here = guest.address
    apply(
        guest,
        [
            state(here, there, "ah", number(here, there), "transport", 9),
            state(there, here, "ah", number(there, here), "transport", 9),
            *policies(f"{here}/32", f"{there}/32", "0.0.0.0", "0.0.0.0", "ah", "transport", 9),
        ],
    )
