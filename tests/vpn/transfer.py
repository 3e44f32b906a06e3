#!/usr/bin/python3 -IS
# SPDX-License-Identifier: BSD-2-Clause
"""Runs in a guest: moves bytes both ways at one time over one TCP connection and checks every one of them.

  transfer.py serve PORT
  transfer.py ask ADDRESS PORT BYTES NAME    prints {"bytes": each way, "seconds": s, "local": address}

What each side sends is made from NAME, so both know what must arrive.
"""
import hashlib
import json
import socket
import sys
import threading
import time

PIECE = 16384


def content(side, name, count):
    """count bytes in pieces."""
    for start in range(0, count, PIECE):
        yield hashlib.shake_128(f"{side} {name} {start}".encode()).digest(min(PIECE, count - start))


def send(sock, pieces):
    for piece in pieces:
        sock.sendall(piece)


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError(f"the connection ended after {len(data)} of {count} bytes")
    return data


def exchange(sock, stream, mine, theirs):
    """Sends and receives at one time; says whether what arrived is right, and hears the same from the other side."""
    sender = threading.Thread(target=send, args=(sock, mine), daemon=True)
    sender.start()
    right = all([read_exactly(stream, len(piece)) == piece for piece in theirs])
    sender.join()
    sock.sendall(b"y" if right else b"n")
    return right and read_exactly(stream, 1) == b"y"


def serve_one(sock):
    with sock, sock.makefile("rb") as stream:
        name, count = stream.readline().decode().split()
        exchange(sock, stream, content("server", name, int(count)), content("client", name, int(count)))


def serve(port):
    with socket.create_server(("0.0.0.0", port), backlog=64) as listener:
        while True:
            sock, _ = listener.accept()
            sock.settimeout(240)
            threading.Thread(target=serve_one, args=(sock,), daemon=True).start()


def ask(address, port, count, name):
    begin = time.monotonic()
    with socket.create_connection((address, port), 60) as sock, sock.makefile("rb") as stream:
        sock.settimeout(240)
        sock.sendall(f"{name} {count}\n".encode())
        if not exchange(sock, stream, content("client", name, count), content("server", name, count)):
            sys.exit("what arrived is not what was sent")
        local = sock.getsockname()[0]
    print(json.dumps({"bytes": count, "seconds": round(time.monotonic() - begin, 2), "local": local}))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
