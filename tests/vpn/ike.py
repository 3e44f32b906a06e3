# SPDX-License-Identifier: BSD-2-Clause
"""IPsec with real software at both ends: strongSwan in boxes. Its plugin kernel-libipsec does ESP in user space and
needs no more of the kernel than a TUN device, ipsec0; its ESP is always in UDP.

Every end can be a responder and an initiator at one time. Three kinds of connections, by name:
  ikev2         IKEv2 with a shared secret
  ikev1         IKEv1 main mode with a shared secret
  certificates  IKEv2 with certificates so large that IKE_AUTH is sent as IP fragments
"""
import re
import time

import calls

# No timer of strongSwan's own may rekey or give up while a test looks, and what gets no answer is soon sent again.
DAEMON = """
    charon {
        load = random nonce aes sha1 sha2 hmac kdf gmp pem pkcs1 x509 constraints pubkey vici kernel-libipsec \
            kernel-netlink socket-default
        retransmit_timeout = 0.5
        retransmit_base = 1.2
        retransmit_tries = 12
        filelog {
            room {
                path = /run/ike.log
                default = 1
                time_format = %T
                flush_line = yes
            }
        }
    }
    swanctl { load = pem pkcs1 x509 pubkey }
    pki { load = random drbg aes sha1 sha2 hmac gmp pem pkcs1 x509 pubkey }
"""
ALL_ENDS = "rekey_time = 0\n proposals = aes128-sha256-modp2048\n fragmentation = no"
CHILD = "esp_proposals = aes128-sha256\n rekey_time = 0"
SECRET = "secrets { ike-room { secret = open-sesame } }"
ALTERNATIVE_NAMES = 90  # of a large certificate, at about 40 bytes each
FOLDER = "/etc/swanctl"


def start_charon(box):
    """Starts the daemon in a box whose namespace has its addresses; it stays until the box ends."""
    box.write("/etc/strongswan.conf", DAEMON)
    box.start("strongswan", "/usr/lib/ipsec/charon")


def wait_for_charon(box):
    box.wait_until("test -S /run/charon.vici && ip link show ipsec0 >/run/ipsec0.log 2>&1")


def make_certificates(boxes):
    """One authority, made in the first box, and a certificate of each box by its name, all of them large."""
    first = boxes[0]
    first.run("mkdir -p /run/pki && cd /run/pki && pki --gen --outform pem >ca.key")
    first.run("cd /run/pki && pki --self --ca --in ca.key --dn 'CN=room' --outform pem >ca.pem")
    names = " ".join(f"--san name-{number:02}-that-makes-this-longer.example" for number in range(ALTERNATIVE_NAMES))
    for finish in [
        first.begin(
            f"cd /run/pki && pki --gen --outform pem >{box.name}.key && pki --issue --in {box.name}.key --type priv"
            f" --cacert ca.pem --cakey ca.key --dn CN={box.name} --san {box.name} {names} --outform pem >{box.name}.pem"
        )
        for box in boxes
    ]:
        done = finish()
        assert done.code == 0, done.output
    for box in boxes:
        for source, target in (
            ("ca.pem", "x509ca/ca.pem"),
            (f"{box.name}.pem", "x509/own.pem"),
            (f"{box.name}.key", "private/own.key"),
        ):
            box.write(f"{FOLDER}/{target}", first.path(f"/run/pki/{source}").read_text(encoding="ascii"))


def load(box, file, connections, rest=""):
    text = "".join(f"{name} {{\n {ALL_ENDS}\n {keys}\n}}\n" for name, keys in connections.items())
    box.write(f"{FOLDER}/conf.d/{file}.conf", f"connections {{\n{text}}}\n{rest}\n{SECRET}\n")
    box.run("swanctl --load-all --noprompt")


def identities(kind, own, peer):
    """The local and remote sections of a connection; with certificates an end is known by its box's name."""
    if kind == "certificates":
        return f"local {{ auth = pubkey\n certs = own.pem\n id = {own} }}\n remote {{ auth = pubkey\n id = {peer} }}"
    return f"local {{ auth = psk\n id = {kind}.{own} }}\n remote {{ auth = psk\n id = {peer} }}"


class Server(calls.Server):
    """A responder for connections of all kinds; clients get addresses of its network."""

    port = "sport = :500"
    kinds = ("ikev2", "ikev1")

    def start_daemon(self):
        self.guest.namespace.ip(f"address replace {self.inside}/32 dev lo")
        child = f"children {{ net {{ local_ts = {self.inside}/32\n {CHILD} }} }}"
        connections = {
            f"server-{kind}": f"version = {1 if kind == 'ikev1' else 2}\n pools = room\n"
            f"{identities(kind, self.guest.name, '%any')}\n {child}"
            for kind in self.kinds
        }
        load(self.guest, "server", connections, f"pools {{ room {{ addrs = {'-'.join(self.pool)} }} }}")

    def stop(self):
        """No more connections are taken; those that are up stay."""
        self.guest.path(f"{FOLDER}/conf.d/server.conf").unlink()
        self.guest.run("swanctl --load-all --noprompt")

    def sessions(self):
        return len(re.findall(r"^server-.*ESTABLISHED", self.guest.run("swanctl --list-sas"), re.MULTILINE))

    def begin_rekey(self, client):
        """The server's own wish: first the child SA of a client, then its IKE SA."""
        text = self.guest.run("swanctl --list-sas")
        name = f"remote '{client.identity}'"
        (block,) = (each for each in re.split(r"\n(?=\S)", text) if name in each and "ESTABLISHED" in each)
        ike, child = re.search(r": #(\d+),", block)[1], re.search(r"\n  net: #(\d+),.*INSTALLED", block)[1]
        return self.guest.begin(f"swanctl --rekey --child-id {child} && swanctl --rekey --ike-id {ike}")


class Client(calls.Client):
    """An initiator in a box; one connection at a time."""

    device = "ipsec0"

    def __init__(self, guest, server, address=None, kind="ikev2"):
        super().__init__(guest, server, address)
        self.kind = kind
        self.identity = guest.name if kind == "certificates" else f"{kind}.{guest.name}"

    def begin_dial(self, timeout=60):
        kind, there = self.kind, self.server.guest.name
        peer = there if kind == "certificates" else f"{kind}.{there}"
        keys = (
            f"version = {1 if kind == 'ikev1' else 2}\n remote_addrs = {self.address}\n vips = 0.0.0.0\n"
            f"{identities(kind, self.guest.name, peer)}\n"
            f"children {{ room {{ remote_ts = {self.server.inside}/32\n {CHILD} }} }}"
        )
        load(self.guest, "client", {"client": keys})
        return self.guest.begin("swanctl", "--initiate", "--child", "room", "--timeout", timeout, timeout=timeout + 5)

    def begin_hang_up(self):
        return self.guest.begin(
            "swanctl --list-sas --ike client | grep -q . || exit 0;"
            " swanctl --terminate --ike client --force --timeout 2"
        )

    def begin_rekey(self):
        """First the child SA, then the IKE SA; each is a negotiation of its own, and is not waited for."""
        return self.guest.begin("swanctl --rekey --child room && swanctl --rekey --ike client")

    def keys(self):
        """What the connection is known by: SPIs of the IKE SA and of the child SA. None while they change."""
        text = self.guest.run("swanctl --list-sas --ike client")
        ike = re.findall(r"ESTABLISHED, IKEv[12], (\w{16})_i\S* (\w{16})_r", text)
        esp = re.findall(r"INSTALLED, TUNNEL-in-UDP.*?\n\s+in +(\w+),.*?\n\s+out +(\w+),", text, re.DOTALL)
        return {*ike[0], *esp[0]} if len(ike) == len(esp) == 1 else None

    def wait_for_new_keys(self, old, timeout=60):
        """Until all SPIs are others than the old ones."""
        end = time.monotonic() + timeout
        while not (new := self.keys()) or new & old:
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} has {new} after {old}\n{self.guest.syslog_tail()}")
            time.sleep(0.1)
