# SPDX-License-Identifier: BSD-2-Clause
"""What the router says of its own behaviour must follow its configuration, and change nothing."""
import pytest

from control import Control, ask, run_ctl

pytestmark = [pytest.mark.culvert_only("the kernel does not test itself")]


def behaviours(router):
    rows = ask(router, "selftest")
    assert all(row["kind"] == "behaviour" for row in rows)
    found = {(row["rfc"][4:], row["behaviour"]): (row["requirement"], row["result"], row["value"]) for row in rows}
    assert len(found) == len(rows)
    return found


def test_by_default_all_is_met(lab, router):
    lab.echo_once(lab.udp("L1", port=20001), lab.udp("W1"))
    before = ask(router, "mappings"), router.statistics().drop
    found = behaviours(router)
    assert {result for _, result, _ in found.values()} == {"met", "either is allowed"}, found
    assert found["4787", "mapping"] == ("REQ-1", "met", "endpoint-independent")
    assert found["5382", "mapping"] == ("REQ-1", "met", "endpoint-independent")
    assert found["4787", "mapping timer"] == ("REQ-5", "met", "300 s, at least 120 s")
    assert found["4787", "outbound refresh"] == ("REQ-6", "met", "300 s left after 20 s")
    assert found["5382", "established timer"] == ("REQ-5", "met", "7440 s, at least 7440 s")
    assert found["5508", "query timer"] == ("REQ-2", "met", "60 s, at least 60 s")
    for rfc in ("4787", "5382"):
        assert found[rfc, "hairpinning"][2] == "with the outside source address and port"
    # a real flow has port 20001, so the next one was tried
    assert found["4787", "port preservation"][2] == "port 20003 has outside port 20003"
    assert found["5382", "port preservation"][2] == "port 20001 has outside port 20001"
    after = ask(router, "mappings"), router.statistics().drop
    strip = [[{name: value for name, value in row.items() if name not in ("lifetime", "age", "idle")} for row in rows]
             for rows in (before[0], after[0])]
    assert strip[0] == strip[1] and before[1] == after[1]


@pytest.mark.parametrize("behaviour, filtering", [
    ("endpoint-independent", "endpoint-independent"),
    ("address-dependent", "address-dependent"),
    ("address-and-port-dependent", "address-and-port-dependent"),
])
def test_it_follows_the_configuration(lab, router, behaviour, filtering):
    router.reload({"nat": {"mapping": behaviour, "filtering": filtering, "hairpinning": "no"},
                   "timeouts": {"udp": "150"}})
    found = behaviours(router)
    for rfc in ("4787", "5382"):
        assert found[rfc, "mapping"] == ("REQ-1", "met" if behaviour.startswith("endpoint") else "not met", behaviour)
        assert found[rfc, "filtering"][1:] == ("not met" if "port" in filtering else "met", filtering)
        assert found[rfc, "hairpinning"][1:] == ("not met", "none")
    assert found["4787", "mapping timer"][2] == "150 s, at least 120 s"


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_the_direction_of_refresh(lab, router, answer):
    router.reload({"nat": {"refresh_inbound": answer}})
    assert behaviours(router)["4787", "inbound refresh"] == ("REQ-6a", "either is allowed", answer)


def test_a_small_quota_is_named(lab, router):
    """And not taken for a behaviour: with one flow more nothing is different from the usual."""
    router.reload({})
    usual = {name: found[:2] for name, found in behaviours(router).items()}
    router.reload({"limits": {"host_flows": "11"}})
    with Control(router) as control:
        code, error = control.refused("selftest")
    assert code == 4 and error.startswith("[limits] host_flows is 11: the hosts of this test need 12 flows")
    router.reload({"limits": {"host_flows": "12"}})
    assert {name: found[:2] for name, found in behaviours(router).items()} == usual


def test_as_a_table(router):
    done = run_ctl(router, "selftest")
    assert done.returncode == 0 and done.stdout.startswith("RFC"), done
    with Control(router) as control:
        assert control.refused("selftest now")[0] == 1
