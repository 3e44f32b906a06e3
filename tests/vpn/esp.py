# SPDX-License-Identifier: BSD-2-Clause
"""Native ESP in guests: libreswan with encapsulation off, so that data is IP protocol 50 whatever NAT the two ends see,
and IKE stays on port 500, although both ends say that they know NAT traversal. The kernel of a guest does ESP. (It is
not for strongSwan: that has no way to do without UDP once it sees a NAT.)

One pluto runs in a guest for all its connections. A connection is IKEv2 in tunnel mode with a shared secret; a client
gets an address of the server's network. vpnc is a client, too: aggressive mode of IKEv1 with XAuth, told to do without
NAT traversal, and ESP in user space.
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
    ikev1-policy=accept
conn %default
    authby=secret
    ikev2=insist
    encapsulation=no
    mobike=no
    rekey=no
    ike=aes128-sha2_256-dh19
    esp=aes_gcm128
"""
# vpnc is known by the name of its group. AES is not for its IKE: it names the length of the key before the cipher, and
# libreswan does not take that.
FOR_VPNC = {
    "ikev2": "no",
    "aggressive": "yes",
    "pfs": "no",
    "leftsubnet": "0.0.0.0/0",
    "rightid": "@[room]",
    "leftxauthserver": "yes",
    "rightxauthclient": "yes",
    "modecfgpull": "yes",
    "cisco-unity": "yes",
    "xauthby": "alwaysok",
    "ike": "3des-sha1;modp1536",
    "esp": "aes128-sha1",
}
VPNC = """IPSec gateway {address}
IPSec ID room
IPSec secret {secret}
Xauth username {name}
Xauth password open-sesame
IKE Authmode psk
NAT Traversal Mode none
IKE DH Group dh5
Perfect Forward Secrecy nopfs
Script sh /run/vpnc-script
Pidfile /run/vpnc.pid
"""
VPNC_SCRIPT = """test "$reason" = connect || exit 0
ip link set $TUNDEV mtu 1400 up
ip address add $INTERNAL_IP4_ADDRESS dev $TUNDEV
ip route add {inside} dev $TUNDEV
"""
SECRET = "open-sesame open-sesame"
# libreswan's own script takes seconds in a guest, in which its pluto answers nobody.
UPDOWN = """#!/bin/sh
case $PLUTO_VERB in
up-client)
    ip address replace $PLUTO_MY_SOURCEIP/32 dev lo
    ip route replace $PLUTO_PEER_CLIENT via {gateway} src $PLUTO_MY_SOURCEIP
    ;;
down-client)
    ip route delete $PLUTO_PEER_CLIENT
    ip address delete $PLUTO_MY_SOURCEIP/32 dev lo
    ;;
esac
"""


def start_pluto(guest):
    """Unless it runs already."""
    if guest.try_run("pidof -q pluto").code == 0:
        return
    guest.write("/etc/ipsec.secrets", f': PSK "{SECRET}"\n')
    guest.write(CONFIG, DEFAULTS)
    guest.run(f"mkdir -p /run/pluto && (test -f {NSS}/cert9.db || ipsec initnss --nssdir {NSS})")
    guest.run(f"/usr/libexec/ipsec/pluto --config {CONFIG} --nhelpers 0 && ipsec whack --listen")


def stop_pluto(guest):
    guest.run(
        "pidof -q pluto || exit 0; ipsec whack --shutdown; while pidof -q pluto; do sleep 0.05; done;"
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
        common = {
            "left": self.guest.address,
            "leftid": "@room",
            "leftmodecfgserver": "yes",
            "leftupdown": "/bin/true",
            "right": "%any",
            "rightaddresspool": "-".join(self.pool),
            "rightmodecfgclient": "yes",
            "auto": "add",
        }
        add_connection(self.guest, "xauth", {**common, **FOR_VPNC})
        if self.rekey_after:
            seconds = f"{self.rekey_after + 5}s"
            common.update(rekey="yes", salifetime=seconds, rekeymargin="5s", rekeyfuzz="0%")
        add_connection(self.guest, "server", {**common, "leftsubnet": f"{self.inside}/32"})

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
            "leftupdown": '"/bin/sh /run/updown"',
            "leftsubnet": "0.0.0.0/0",
            "narrowing": "yes",
            "right": self.address,
            "rightid": "@room",
            "rightsubnet": f"{server.inside}/32",
            "auto": "add",
        }

    def begin_dial(self):
        start_pluto(self.guest)
        self.guest.write("/run/updown", UPDOWN.format(gateway=self.guest.gateway))
        add_connection(self.guest, self.connection, self.keys())
        name = self.connection
        return self.guest.begin(
            f"ipsec whack --name {name} --initiate &&"
            f" until ipsec whack --trafficstatus | grep -q {name}; do sleep 0.1; done",
            timeout=60,
        )

    def begin_hang_up(self):
        return self.guest.begin(f"pidof -q pluto || exit 0; ipsec whack --name {self.connection} --delete")

    def link(self):
        """As for a device, though there is none: the address is one of the server's network only within the tunnel."""
        device, mtu, own = super().link()
        assert own.rsplit(".", 1)[0] == self.server.inside.rsplit(".", 1)[0], f"{self.name} uses its own address {own}"
        return device, mtu, own

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


class VpncClient(calls.Client):
    device = r"tun\d+"

    def begin_dial(self):
        guest = self.guest
        stop_pluto(guest)  # both want port 500
        guest.write("/etc/vpnc/room.conf", VPNC.format(address=self.address, secret=SECRET, name=self.name))
        guest.write("/run/vpnc-script", VPNC_SCRIPT.format(inside=self.server.inside))
        return guest.begin("vpnc --enable-weak-encryption /etc/vpnc/room.conf 2>&1")

    def begin_hang_up(self):
        # Without a word: libreswan 4.10 ends when such a client says goodbye.
        return self.guest.begin(
            "pidof -q vpnc || exit 0; kill -KILL $(cat /run/vpnc.pid); while pidof -q vpnc; do sleep 0.05; done"
        )
