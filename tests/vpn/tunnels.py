# SPDX-License-Identifier: BSD-2-Clause
"""The VPNs that are ordinary TCP and UDP to a NAT: OpenVPN, WireGuard, and an SSL VPN, in boxes. What is wrong with a
tunnel is seen by using it, so keys are made here and nobody is asked who they are."""

import calls

PASSWORD = "open-sesame"


def make_certificate(box, name, *options):
    """A self-signed certificate in /etc/room-NAME.pem, its key in /etc/room-NAME.key; SHA-256 of the certificate."""
    box.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN={name} -keyout /etc/room-{name}.key -out /etc/room-{name}.pem {' '.join(options)}"
    )
    return box.run(f"openssl x509 -noout -fingerprint -sha256 -in /etc/room-{name}.pem").strip().split("=")[1]


class Server(calls.Server):
    """A server in a box; the one end that clients of all kinds here talk to once they are in is .1 of its network."""

    daemon = None  # its name for Box.start()

    def stop(self):
        self.guest.stop(self.daemon)


class Client(calls.Client):
    device = "tun0"
    daemon = None

    def hang_up(self):
        self.guest.stop(self.daemon)

    def wait_for_device(self):
        """Until the server's inside is reached through the tunnel."""
        self.guest.wait_until(f"ip -o route get {self.server.inside} | grep -q 'dev {self.device} '")


# --- OpenVPN -------------------------------------------------------------------------------------------------------


class OpenVpnServer(Server):
    daemon = "openvpn"
    port = "sport = :1194"

    def __init__(self, guest, network, transport, clients):
        """transport is udp or tcp; clients are the guests that may come in."""
        super().__init__(guest, network)
        self.transport = transport
        self.fingerprint = make_certificate(guest, "openvpn")
        self.known = [make_certificate(client, f"openvpn-{client.name}") for client in clients]

    def start_daemon(self):
        text = f"""
            proto {self.transport}-server
            dev tun
            topology subnet
            server {self.inside[:-1]}0 255.255.255.0
            cert /etc/room-openvpn.pem
            key /etc/room-openvpn.key
            dh none
            disable-dco
            keepalive 2 20
            <peer-fingerprint>
        """
        lines = [line.strip() for line in text.strip().splitlines()] + self.known + ["</peer-fingerprint>"]
        lines[0] = lines[0].replace("udp-server", "udp")
        self.guest.write("/etc/openvpn/room.conf", "\n".join(lines) + "\n")
        self.guest.start(self.daemon, "openvpn", "--config", "/etc/openvpn/room.conf")


class OpenVpnClient(Client):
    daemon = "openvpn"

    def begin_dial(self):
        server, own = self.server, f"/etc/room-openvpn-{self.guest.name}"
        words = ["openvpn", "--client", "--dev", "tun0", "--nobind", "--disable-dco", "--verb", 3]
        words += ["--proto", {"udp": "udp", "tcp": "tcp-client"}[server.transport], "--remote", self.address, 1194]
        words += ["--cert", f"{own}.pem", "--key", f"{own}.key", "--peer-fingerprint", server.fingerprint]
        self.guest.start(self.daemon, *words)
        return self.guest.begin("until grep -q 'Sequence Completed' /run/openvpn.log; do sleep 0.05; done")


# --- WireGuard -----------------------------------------------------------------------------------------------------


class WireGuard:
    """One end, wireguard-go: a TUN device and UDP."""

    def __init__(self, box, address):
        self.box, self.address = box, address
        self.private = box.run("wg genkey").strip()
        self.public = box.run(f"echo {self.private} | wg pubkey").strip()

    def start(self, port, peers):
        """peers: (public key, allowed address, endpoint or none)."""
        text = f"[Interface]\nPrivateKey = {self.private}\nListenPort = {port}\n"
        for public, allowed, endpoint in peers:
            text += f"[Peer]\nPublicKey = {public}\nAllowedIPs = {allowed}\n"
            text += f"Endpoint = {endpoint}\nPersistentKeepalive = 5\n" if endpoint else ""
        self.box.write("/etc/wireguard/wg0.conf", text)
        self.box.start("wireguard", "wireguard-go", "-f", "wg0")
        self.box.wait_until("test -S /run/wireguard/wg0.sock")
        self.box.run(
            "wg setconf wg0 /etc/wireguard/wg0.conf &&"
            f" ip address add {self.address}/24 dev wg0 && ip link set wg0 mtu 1420 up"
        )


class WireGuardServer(Server):
    daemon = "wireguard"
    port = "sport = :51820"

    def __init__(self, guest, network, clients):
        super().__init__(guest, network)
        self.end = WireGuard(guest, self.inside)
        self.peers = {client: WireGuard(client, f"{network}.{number}") for number, client in enumerate(clients, 11)}

    def start_daemon(self):
        self.end.start(51820, [(peer.public, f"{peer.address}/32", None) for peer in self.peers.values()])


class WireGuardClient(Client):
    """Every client has the same port as the server: outside they must differ."""

    daemon = "wireguard"
    device = "wg0"

    def begin_dial(self):
        network = f"{self.server.inside[:-1]}0/24"
        peer = self.server.end.public, network, f"{self.address}:51820"
        self.server.peers[self.guest].start(51820, [peer])
        return self.guest.begin("until wg show wg0 latest-handshakes | grep -q '[1-9][0-9]*$'; do sleep 0.05; done")


# --- SSL VPN: TLS over TCP, and DTLS beside it -----------------------------------------------------------------------

TUNNEL_SCRIPT = """#!/bin/sh
case $reason in
connect)
    ip link set $TUNDEV mtu $INTERNAL_IP4_MTU up
    ip address add $INTERNAL_IP4_ADDRESS peer {peer} dev $TUNDEV
    ;;
esac
"""


class SslServer(Server):
    daemon = "ocserv"
    port = "sport = :443"

    def start_daemon(self):
        box = self.guest
        make_certificate(box, "ocserv", f"-addext subjectAltName=IP:{box.address}")
        box.run(f"printf '{PASSWORD}\\n{PASSWORD}\\n' | ocpasswd -c /etc/ocserv/room.users room")
        text = f"""
            auth = "plain[passwd=/etc/ocserv/room.users]"
            tcp-port = 443
            udp-port = 443
            run-as-user = nobody
            run-as-group = daemon
            socket-file = /run/ocserv.socket
            server-cert = /etc/room-ocserv.pem
            server-key = /etc/room-ocserv.key
            isolate-workers = false
            max-clients = 8
            max-same-clients = 8
            keepalive = 5
            dpd = 10
            try-mtu-discovery = false
            mtu = 1300
            device = vpns
            ipv4-network = {self.inside[:-1]}0
            ipv4-netmask = 255.255.255.0
            cisco-client-compat = true
            dtls-legacy = false
        """
        box.write("/etc/ocserv/room.conf", "\n".join(line.strip() for line in text.strip().splitlines()) + "\n")
        box.start(self.daemon, "ocserv", "-f", "-d", 2, "-c", "/etc/ocserv/room.conf")

    def certificate(self):
        return self.guest.path("/etc/room-ocserv.pem").read_text(encoding="ascii")


class SslClient(Client):
    daemon = "openconnect"

    def begin_dial(self, *options):
        """options are openconnect's: --no-dtls stays with TCP."""
        box = self.guest
        box.write("/etc/room-server.pem", self.server.certificate())
        box.write("/etc/room-tunnel", TUNNEL_SCRIPT.format(peer=self.server.inside))
        box.write("/etc/room-password", PASSWORD + "\n")
        box.run("chmod 755 /etc/room-tunnel")
        words = ["openconnect", "--protocol=anyconnect", "--user=room", "--passwd-on-stdin", "--interface=tun0"]
        words += ["--cafile=/etc/room-server.pem", "--script=/etc/room-tunnel", "--non-inter", *options, self.address]
        box.start(self.daemon, "sh", "-c", 'exec "$@" </etc/room-password', "sh", *words)
        ready = "SSL connected" if "--no-dtls" in options else "Established DTLS connection"
        return box.begin(f"until grep -q '{ready}' /run/openconnect.log && ip link show tun0; do sleep 0.05; done")
