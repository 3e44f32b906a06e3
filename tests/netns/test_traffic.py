# SPDX-License-Identifier: BSD-2-Clause
"""Everyday traffic through the router, with and without offloads on the links and in the daemon."""
import hashlib
import http.server
import json
import os
import re
import socket
import subprocess
import threading

import pytest

from lab import one_of_three, wait_for
from namespace import LIMIT

SIZE = 100_000_000


@pytest.fixture(scope="module", params=["links-on", "links-off"])
def lab_offload(request):
    return request.param == "links-on"


pytestmark = [
    pytest.mark.parametrize(
        "_daemon",
        [
            pytest.param(value, marks=pytest.mark.config({"wan": {"offload": value}}), id=f"daemon-{value}")
            for value in ("yes", "no")
        ],
        scope="module",
    )
]


@pytest.fixture(autouse=True)
def _daemon():
    """Replaced by the parameter above; there so that a test need not name it."""


class Bulk(http.server.BaseHTTPRequestHandler):
    """Gives and takes one big body."""

    body = b""
    taken = None
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def do_PUT(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                break
            digest.update(piece)
            left -= len(piece)
        type(self).taken = digest.hexdigest()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def bulk(lab, tmp_path_factory):
    """A web server at W1 whose one file, and a copy of it for uploads, are random bytes."""
    Bulk.body = os.urandom(SIZE)
    path = tmp_path_factory.mktemp("bulk") / "body"
    path.write_bytes(Bulk.body)
    server = http.server.ThreadingHTTPServer(("", 0), Bulk, bind_and_activate=False)
    server.socket.close()
    server.socket = lab.tcp_listen("W1", port=8000)
    server.socket.settimeout(None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield path, hashlib.sha256(Bulk.body).hexdigest()
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_100_mb_arrives_whole(lab, router, bulk, tmp_path):
    _, digest = bulk
    target = tmp_path / "got"
    lab.L1.run("curl", "-sS", "--max-time", 100, "-o", target, "http://203.0.113.10:8000/", timeout=120)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
    target.unlink()


def test_upload_100_mb_arrives_whole(lab, router, bulk):
    path, digest = bulk
    Bulk.taken = None
    lab.L1.run("curl", "-sS", "--max-time", 100, "-T", path, "http://203.0.113.10:8000/", timeout=120)
    assert Bulk.taken == digest


@pytest.mark.parametrize("direction", [[], ["-R"]], ids=["up", "down"])
@one_of_three
def test_iperf3_tcp(lab, router, direction):
    server = lab.W1.start("iperf3", "-s", "-1", "-p", 5201, stdout=subprocess.DEVNULL)
    wait_for_listener(lab.W1, 5201)
    done = lab.L1.run(
        *("iperf3", "-c", "203.0.113.10", "-p", 5201, "-t", 1, "-J", "--connect-timeout", 1000 * LIMIT, *direction),
        check=False,
    )
    server.terminate()
    result = json.loads(done.stdout)
    assert done.returncode == 0, result.get("error")
    received = result["end"]["sum_received"]
    assert received["bits_per_second"] > 5e6, received  # what a busy machine has left for it


@one_of_three
def test_iperf3_udp(lab, router):
    """10 Mbit/s of full datagrams are far below what the router carries: nothing may be lost but a packet or two."""
    server = lab.W1.start("iperf3", "-s", "-1", "-p", 5202, stdout=subprocess.DEVNULL)
    wait_for_listener(lab.W1, 5202)
    done = lab.L1.run(
        "iperf3", "-c", "203.0.113.10", "-p", 5202, "-u", "-b", "10M", "-l", 1400, "-t", 1, "-J", check=False
    )
    server.terminate()
    result = json.loads(done.stdout)
    assert done.returncode == 0, result.get("error")
    assert result["end"]["sum"]["packets"] > 500 and result["end"]["sum"]["lost_percent"] < 2, result["end"]["sum"]


def wait_for_listener(space, port):
    wait_for(lambda: space.run("ss", "-Hltn", f"sport = :{port}").stdout.strip(), f"a listener of port {port}")


def test_udp_echo_of_every_size(lab, router):
    with lab.udp("W1", port=7007) as server, lab.udp("L1") as client:
        for size in (0, 1, 2, 3, 7, 18, 100, 511, 512, 1000, 1471, 1472):
            lab.echo_once(client, server, os.urandom(size))


@pytest.mark.parametrize("size", [1473, 4000, 60000, 65507])
def test_udp_larger_than_the_links_goes_both_ways(lab, router, size):
    """RFC 4787 REQ-13, 14: the datagram leaves L1 in fragments and comes back in fragments; the router's kernel says
    nothing."""
    with lab.udp("W1", port=7008) as server, lab.udp("L1") as client:
        for space in (server, client):
            space.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        lab.echo_once(client, server, os.urandom(size))


def test_dns(lab, router):
    """A real DNS server and client over UDP and TCP."""
    server = lab.W1.start(
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--bind-interfaces",
        "--listen-address=203.0.113.10",
        "--user=root",
        "--host-record=inside.test,192.0.2.77",
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: lab.W1.run("ss", "-Hlun", "sport = :53").stdout.strip(), "the DNS server listens")
    try:
        for transport in ("+notcp", "+tcp"):
            answer = lab.L1.run(
                "dig", "+short", f"+time={LIMIT}", "+tries=1", transport, "@203.0.113.10", "inside.test"
            ).stdout
            assert answer.strip() == "192.0.2.77"
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_ping(lab, router):
    """RFC 5508 REQ-1."""
    lab.L1.ping("203.0.113.10", 5)
    lab.L1.ping("203.0.113.10", 2, "-s", 4000)


@pytest.mark.parametrize("method", [[], ["-I"], ["-T", "-p", "80"]], ids=["udp", "icmp", "tcp"])
def test_traceroute_out_shows_the_router_once(lab, router, method):
    """RFC 1812 5.3.1, RFC 5508 REQ-10a: the hops are R, X, W1 and nothing twice."""
    words = ["traceroute", "-n", "-q", 1, "-w", LIMIT, "-N", 1, "-m", 6, *method]
    out = lab.L1.run(*words, "203.0.113.10", timeout=120).stdout
    assert hops(out) == ["10.77.0.1", "198.51.100.1", "203.0.113.10"], out


@pytest.mark.config(
    {
        "forward:trace": {"protocol": "tcp+udp", "port": "33434-33534", "to": "10.77.0.11"},
        "forward:web": {"protocol": "tcp", "port": "80", "to": "10.77.0.11"},
    }
)
@pytest.mark.culvert_only("masquerading shows the inside host's answer only as the outside address")
@pytest.mark.parametrize("method", [[], ["-T", "-p", "80"]], ids=["udp", "tcp"])
def test_traceroute_in_shows_the_router_once(lab, router, method):
    """A forward seen from outside: X, then the router's own hop and the host behind it, both as the outside address."""
    words = ["traceroute", "-n", "-q", 1, "-w", LIMIT, "-N", 1, "-m", 6, *method]
    out = lab.W1.run(*words, "198.51.100.2", timeout=120).stdout
    assert hops(out) == ["203.0.113.1", "198.51.100.2", "198.51.100.2"], out


def hops(output):
    return [match[1] for line in output.splitlines()[1:] if (match := re.match(r"\s*\d+\s+(\S+)", line))]


def test_many_tcp_connections(lab, router):
    """200 short connections in a row and 50 at once, each with its own answer."""
    with lab.tcp_listen("W1", port=7009) as listener:
        for number in range(200):
            exchange(lab, listener, f"{number}".encode())
        pairs = []
        for number in range(50):
            client = lab.tcp_connect("L1", listener.getsockname())
            pairs.append((client, listener.accept()[0], os.urandom(32)))
        for client, server, secret in pairs:
            client.sendall(secret)
            assert server.recv(100) == secret
        for client, server, _ in pairs:
            client.close()
            server.close()


def exchange(lab, listener, payload):
    client = lab.tcp_connect("L1", listener.getsockname())
    server, peer = listener.accept()
    assert peer[0] == "198.51.100.2"
    client.sendall(payload)
    assert server.recv(100) == payload
    server.sendall(payload[::-1])
    assert client.recv(100) == payload[::-1]
    client.close()
    assert server.recv(1) == b""
    server.close()


def test_tcp_half_close(lab, router):
    """RFC 5382 REQ-2: after our FIN the other direction goes on."""
    with lab.tcp_listen("W1", port=7010) as listener, lab.tcp_connect("L1", listener.getsockname()) as client:
        server, _ = listener.accept()
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(100) == b"question" and server.recv(1) == b""
        for _ in range(20):
            server.sendall(os.urandom(1000))
        server.close()
        got = b""
        while piece := client.recv(65536):
            got += piece
        assert len(got) == 20000
