# SPDX-License-Identifier: BSD-2-Clause
"""Native ESP in guests: libreswan at both ends with encapsulation off, so that data is IP protocol 50 whatever NAT the
two ends see, and IKE stays on port 500. The kernel of a guest does ESP.

One pluto runs in a guest for all its connections. A connection is IKEv2 in tunnel mode with a shared secret; a client
gets an address of the server's network.
"""
import re
import time

import calls

CONFIG = "/etc/ipsec.conf"
NSS = "/var/lib/ipsec/nss"
# What is lost is sent again soon; nothing is rekeyed but on demand.
DEFAULTS = """
config setup
    logfile=/run/pluto.log
    uniqueids=no
conn %default
    authby=secret
    ikev2=insist
    encapsulation=no
    mobike=no
    rekey=no
    ike=aes128-sha2_256-dh19
    esp=aes_gcm128
"""


def start_pluto(guest):
    """Unless it runs already."""
    if guest.try_run("pidof -q pluto").code == 0:
        return
    guest.write("/etc/ipsec.secrets", ': PSK "open-sesame open-sesame"\n')
    guest.write(CONFIG, DEFAULTS)
    guest.run(f"mkdir -p /run/pluto && (test -f {NSS}/cert9.db || ipsec initnss --nssdir {NSS})")
    guest.run(f"/usr/libexec/ipsec/pluto --config {CONFIG} --nhelpers 0 && ipsec whack --listen")


def stop_pluto(guest):
    guest.run(
        "ipsec whack --shutdown; while pidof -q pluto; do sleep 0.05; done;"
        " ip xfrm state flush; ip xfrm policy flush"
    )


def add_connection(guest, name, keys):
    """A file of its own for each: addconn reads only the one it gets."""
    lines = "".join(f"    {key}={value}\n" for key, value in keys.items())
    guest.write(f"/etc/ipsec.{name}.conf", f"{DEFAULTS}conn {name}\n{lines}")
    guest.run("ipsec", "addconn", "--config", f"/etc/ipsec.{name}.conf", name)


class Server(calls.Server):
    """rekey_after: seconds after which it gives the data of each client new keys, by its own wish."""

    port = "sport = :500"

    def __init__(self, guest, network, rekey_after=None):
        super().__init__(guest, network)
        self.rekey_after = rekey_after

    def start_daemon(self):
        self.guest.run(f"ip address replace {self.inside}/32 dev lo")
        start_pluto(self.guest)
        add_connection(self.guest, "server", self.connection())

    def connection(self):
        rekey = {}
        if self.rekey_after:
            rekey = {"rekey": "yes", "salifetime": f"{self.rekey_after + 5}s", "rekeymargin": "5s", "rekeyfuzz": "0%"}
        return {
            "left": self.guest.address,
            "leftid": "@room",
            "leftsubnet": f"{self.inside}/32",
            "leftmodecfgserver": "yes",
            "right": "%any",
            "rightaddresspool": "-".join(self.pool),
            "rightmodecfgclient": "yes",
            "auto": "add",
            **rekey,
        }

    def stop(self):
        stop_pluto(self.guest)

    def sessions(self):
        return int(self.guest.run("ipsec whack --trafficstatus | grep -c type=ESP || true"))


class Client(calls.Client):
    device = "vec0"

    def __init__(self, guest, server, address=None):
        super().__init__(guest, server, address)
        self.connection = f"to-{server.guest.name.lower()}"

    def keys(self):
        server = self.server
        return {
            "left": self.guest.address,
            "leftid": f"@{self.name}",
            "leftmodecfgclient": "yes",
            "leftsubnet": "0.0.0.0/0",
            "narrowing": "yes",
            "right": self.address,
            "rightid": "@room",
            "rightsubnet": f"{server.inside}/32",
            "auto": "add",
        }

    def begin_dial(self):
        start_pluto(self.guest)
        add_connection(self.guest, self.connection, self.keys())
        return self.guest.begin("ipsec", "whack", "--name", self.connection, "--initiate", timeout=20)

    def begin_hang_up(self):
        return self.guest.begin(f"pidof -q pluto || exit 0; ipsec whack --name {self.connection} --delete")

    def link(self):
        """As for a device, though there is none: the address is one of the server's network only within the tunnel."""
        device, mtu, own = super().link()
        assert own.rsplit(".", 1)[0] == self.server.inside.rsplit(".", 1)[0], f"{self.name} uses its own address {own}"
        return device, mtu, own

    def ping_full(self):
        """Packets that fit the link, but not with ESP around them: ESP in fragments."""
        words = ["ping", "-q", "-M", "dont", "-s", 1472, "-c", 5, "-i", "0.2", "-W", "5", self.server.inside]
        output = self.guest.run(*words)
        assert "5 packets transmitted, 5 received" in output, f"{self.name}: {output}"

    def spis(self):
        """The SPIs between the guest and its server: {(source, destination): {SPI, ...}}."""
        found = {}
        text = self.guest.run("ip xfrm state")
        for source, destination, spi in re.findall(r"src (\S+) dst (\S+)\n\s+proto esp spi (0x\w+)", text):
            if self.address in (source, destination):
                found.setdefault((source, destination), set()).add(int(spi, 16))
        return found

    def begin_rekey(self):
        """New keys for the data, then new ones for IKE."""
        name = self.connection
        return self.guest.begin(f"ipsec whack --rekey-ipsec --name {name} && ipsec whack --rekey-ike --name {name}")
