# SPDX-License-Identifier: BSD-2-Clause
"""What the router says of its own behaviour must name every requirement, follow the configuration, call nothing met
that it cannot see, and change nothing."""
import pytest

from control import Control, ask, run_ctl
from lab import ROUTER_WAN, ROUTER_WAN_SECOND
from test_changes import wan_addresses

pytestmark = [pytest.mark.culvert_only("the kernel does not test itself")]

# Every MUST and SHOULD, by the numbers that the RFCs give them: kept apart from the list of the product.
REQUIRED = {
    "4787": "REQ-1 REQ-2 REQ-3 REQ-3a REQ-3b REQ-4 REQ-5 REQ-5c REQ-6 REQ-7 REQ-8 REQ-9 REQ-9a REQ-10 REQ-10a REQ-11 "
            "REQ-12 REQ-12a REQ-12b REQ-13 REQ-13a REQ-14 REQ-14a",
    "5382": "REQ-1 REQ-2 REQ-2a REQ-3 REQ-4 REQ-5 REQ-6 REQ-7 REQ-8 REQ-8a REQ-9 REQ-10",
    "5508": "REQ-1 REQ-1a REQ-2 REQ-2a REQ-3 REQ-3a REQ-3b REQ-3c REQ-3d REQ-4 REQ-5 REQ-6 REQ-7 REQ-7a REQ-8 "
            "REQ-10 REQ-10a REQ-10c",
    "7857": "2 2.1 2.2 4 5 6 7 7.1 8 9 10 12",
    "6056": "3.2 4",
    "6864": "4.1 4.3 5.3.1",
    "6888": "REQ-1 REQ-2 REQ-3 REQ-4 REQ-4A REQ-4C REQ-5 REQ-6 REQ-7 REQ-8 REQ-9 REQ-10 REQ-11A REQ-11B REQ-11C "
            "REQ-11D REQ-12 REQ-13 REQ-14 REQ-15",
}
MET, NOT_MET, DEVIATION, UNSEEN = "met", "not met", "deviation", "not visible from here"
POOLING = {("4787", "REQ-2"), ("7857", "4"), ("6888", "REQ-2"), ("6888", "REQ-3")}


def rows_of(router):
    rows = ask(router, "selftest")
    assert all(row["kind"] == "behaviour" for row in rows)
    found = {(row["rfc"][4:], row["requirement"], row["behaviour"]): row for row in rows}
    assert len(found) == len(rows)
    return rows


def one(rows, rfc, requirement):
    """The only row of a requirement, or the first of several."""
    return [row for row in rows if (row["rfc"][4:], row["requirement"]) == (rfc, requirement)][0]


def results(rows):
    return {(row["rfc"][4:], row["requirement"], row["behaviour"]): row["result"] for row in rows}


def unmet(rows):
    return {(row["rfc"][4:], row["requirement"]) for row in rows if row["result"] == NOT_MET}


def test_every_requirement_has_a_row(router):
    rows = rows_of(router)
    named = {(row["rfc"][4:], row["requirement"]) for row in rows}
    wanted = {(rfc, name) for rfc, names in REQUIRED.items() for name in names.split()}
    assert wanted - named == set() and named - wanted == {("4787", "REQ-1, 3, 11")}
    for row in rows:
        assert row["level"] in ("MUST", "SHOULD") and row["value"], row
        assert (row["from"] is None) == (row["result"] == UNSEEN or row["result"] == DEVIATION and row["from"] is None)
        if row["result"] in (MET, NOT_MET):
            assert row["from"] in ("observed", "configuration"), row
        elif row["result"] == UNSEEN:
            assert "would show it: " in row["value"], row


def test_by_default_nothing_is_unmet(lab, router):
    lab.echo_once(lab.udp("L1", port=20001), lab.udp("W1"))
    before = ask(router, "mappings"), router.statistics().drop
    rows = rows_of(router)
    assert unmet(rows) == set(), [row for row in rows if row["result"] == NOT_MET]
    assert one(rows, "4787", "REQ-1")["value"] == "endpoint-independent"
    assert one(rows, "5382", "REQ-1")["value"] == "endpoint-independent"
    assert one(rows, "4787", "REQ-5")["value"] == "300 s, at least 120 s"
    assert one(rows, "4787", "REQ-6")["value"] == "300 s left after 10 s"
    assert one(rows, "5382", "REQ-5")["value"] == "7440 s, at least 7440 s"
    assert one(rows, "5508", "REQ-2")["value"] == "60 s, at least 60 s"
    for rfc, requirement in (("4787", "REQ-9a"), ("5382", "REQ-8a")):
        assert one(rows, rfc, requirement)["value"] == "with the outside source address and port"
    # a real flow has port 20001, so the next one is tried
    assert one(rows, "4787", "REQ-3")["value"].startswith("two hosts with port 20003 have 20003 and ")
    assert one(rows, "5382", "REQ-7")["value"].startswith("two hosts with port 20001 have 20001 and ")
    # with one address nobody can say whether addresses are paired
    for rfc, requirement in POOLING:
        assert one(rows, rfc, requirement)["result"] == UNSEEN, requirement
    assert one(rows, "6888", "REQ-1")["result"] == DEVIATION and one(rows, "6888", "REQ-9")["result"] == DEVIATION
    assert len([row for row in rows if row["result"] == MET and row["from"] == "observed"]) > 50
    after = ask(router, "mappings"), router.statistics().drop
    strip = [[{name: value for name, value in row.items() if name not in ("lifetime", "age", "idle")} for row in rows]
             for rows in (before[0], after[0])]
    assert strip[0] == strip[1] and before[1] == after[1]


def test_with_two_addresses_pooling_is_seen(lab, router):
    with wan_addresses(lab, ROUTER_WAN, ROUTER_WAN_SECOND):
        router.settle()
        rows = rows_of(router)
    for rfc, requirement in POOLING:
        assert one(rows, rfc, requirement)["result"] == MET, (rfc, requirement)
    assert one(rows, "4787", "REQ-3")["result"] == MET and unmet(rows) == set()


def test_without_a_wan_nothing_is_met(lab, router):
    lab.X.ip("link set to_r down")
    try:
        router.settle()
        rows = rows_of(router)
    finally:
        lab.X.ip("link set to_r up")
        lab.introduce_raw_peers()
        router.settle()
    assert {row["result"] for row in rows} == {DEVIATION, UNSEEN}
    assert one(rows, "4787", "REQ-1")["value"] == "the WAN is down; would show it: a WAN that is up"
    assert one(rows, "4787", "REQ-7")["result"] == DEVIATION


@pytest.mark.parametrize("behaviour", ["endpoint-independent", "address-dependent", "address-and-port-dependent"])
def test_it_follows_the_configuration(lab, router, behaviour):
    router.reload({"nat": {"mapping": behaviour, "filtering": behaviour, "hairpinning": "no"},
                   "timeouts": {"udp": "150", "hold_down": "60"}})
    rows = rows_of(router)
    expected = {("4787", "REQ-9"), ("4787", "REQ-9a"), ("5382", "REQ-8"), ("5382", "REQ-8a"), ("5508", "REQ-7"),
                ("5508", "REQ-7a"), ("7857", "12"), ("6888", "REQ-8"), ("6888", "REQ-1")}
    if behaviour != "endpoint-independent":
        expected |= {("4787", "REQ-1"), ("5382", "REQ-1")}
    if behaviour == "address-and-port-dependent":
        expected |= {("4787", "REQ-8"), ("5382", "REQ-3"), ("6888", "REQ-7")}
    for rfc in ("4787", "5382"):
        assert one(rows, rfc, "REQ-1")["value"] == behaviour
    assert one(rows, "6888", "REQ-7")["result"] == {
        "endpoint-independent": MET, "address-dependent": DEVIATION, "address-and-port-dependent": NOT_MET}[behaviour]
    assert one(rows, "4787", "REQ-5")["value"] == "150 s, at least 120 s"
    assert one(rows, "4787", "REQ-5c")["value"] == "300 s by default, 150 s here"
    assert unmet(rows) - expected <= {("5508", "REQ-1a")} and expected - unmet(rows) == set()


def test_without_icmp_errors(router):
    router.reload({"nat": {"icmp_rate": "0"}})
    assert unmet(rows_of(router)) == {("4787", "REQ-13"), ("5508", "REQ-8"), ("5508", "REQ-10a"), ("6888", "REQ-1")}


def test_what_is_not_read_is_no_alg(router):
    alg = [("4787", "REQ-1, 3, 11"), ("4787", "REQ-10"), ("5382", "REQ-6")]
    router.reload({})
    rows = rows_of(router)
    assert [one(rows, *name)["result"] for name in alg] == [DEVIATION] * 3
    router.reload({name: {"mode": "plain"} for name in ("pptp", "l2tp", "ipsec")})
    rows = rows_of(router)
    assert [(one(rows, *name)["result"], one(rows, *name)["from"]) for name in alg] == [(MET, "configuration")] * 3


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_the_direction_of_refresh(lab, router, answer):
    router.reload({"nat": {"refresh_inbound": answer}})
    row = one(rows_of(router), "7857", "7")
    assert row["result"] == MET and row["value"].startswith(f"refresh_inbound = {answer}, ")


def test_a_small_quota_is_not_taken_for_a_behaviour(lab, router):
    router.reload({})
    usual = results(rows_of(router))
    router.reload({"limits": {"host_flows": "1"}})
    rows = rows_of(router)
    changed = {key for key, result in results(rows).items() if result != usual[key]}
    assert changed and not unmet(rows)
    for row in rows:
        if (row["rfc"][4:], row["requirement"], row["behaviour"]) in changed and row["rfc"] != "RFC 6888":
            assert row["result"] == UNSEEN and "host_limit" in row["value"], row


def test_as_a_table(router):
    done = run_ctl(router, "selftest")
    assert done.returncode == 0 and done.stdout.startswith("RFC"), done
    with Control(router) as control:
        assert control.refused("selftest now")[0] == 1
