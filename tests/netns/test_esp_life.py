# SPDX-License-Identifier: BSD-2-Clause
"""Native ESP (RFC 4303) as time goes by, without IKE: idle tunnels, many rekeys, equal SPIs."""
import pytest

from esp_peer import Field, carry, new_spi, server_first, start_at_once
from lab import ROUTER_WAN, ROUTER_WAN_SECOND, wait_for
from test_changes import wan_addresses

pytestmark = pytest.mark.culvert_only("the kernel's own NAT has one owner of ESP for each remote address")


@pytest.fixture
def field(lab):
    field = Field(lab)
    yield field
    field.close()


def test_an_idle_tunnel_lives_for_an_hour(lab, router, field, jump):
    pairs = [field.pair(client, "W1") for client in ("L1", "L2")]
    start_at_once(field, pairs)
    jump(3500)
    for pair in pairs:
        pair.server.answers, pair.client.answers = False, True
        pair.server.send()
    assert field.run(lambda: all(pair.server.received[-1] == pair.client.sent == 6 for pair in pairs)), pairs
    assert not field.strays()


def test_an_idle_tunnel_is_forgotten_after_an_hour(lab, router, field, jump):
    """What the server sends then is for nobody; the client may start anew."""
    pairs = [field.pair(client, "W1") for client in ("L1", "L2")]
    start_at_once(field, pairs)
    jump(3700)
    with router.dropping(wan={"no_owner": 2}):
        for pair in pairs:
            pair.server.send()
        field.rest(0.1)
    assert not field.strays()
    wait_for(lambda: router.statistics().flows == 0, "they are swept up, which is done four times a second")
    for pair in pairs:
        pair.forgive()
    start_at_once(field, pairs)


def test_a_client_without_an_answer_is_forgotten_after_half_a_minute(lab, router, field, jump):
    pair = field.pair("L1", "W1")
    pair.client.send()
    assert field.run(lambda: pair.whole() and pair.client.received)
    silent = field.pair("L2", "W2")
    silent.server.answers = False
    silent.client.send()
    assert field.run(lambda: silent.server.received == [1])
    jump(31)
    with router.dropping(wan={"no_owner": 1}):
        silent.server.send()
        field.rest(0.1)
    assert not silent.client.received
    pair.server.send()
    assert field.run(lambda: pair.client.received == [1, 2]), pair


@pytest.mark.parametrize("others", [0, 1])
def test_a_hundred_rekeys(lab, router, field, others):
    """A host has 64 tunnels to one server at most: a new one takes the place of one that nobody uses, and the first
    one, which is in use, stays."""
    pairs = [field.pair(client, "W1") for client in ("L1", "L2")[: others + 1]]
    start_at_once(field, pairs)
    before = router.statistics().flows
    for number in range(100):
        fresh = field.pair("L1", "W1")
        if number % 2 and not others:
            server_first(field, fresh)
        carry(field, [fresh, *pairs], 1)
    assert router.statistics().flows - before <= 63
    carry(field, [fresh, *pairs], 3)


def test_two_hosts_with_one_spi_and_two_outside_addresses(lab, router, field):
    """The newer one gets the other address for what it opens from now on, and all is well."""
    elsewhere = [field.pair(client, "W2") for client in ("L1", "L2")]
    start_at_once(field, elsewhere)  # so both hosts have the same outside address
    with wan_addresses(lab, ROUTER_WAN, ROUTER_WAN_SECOND):
        first = field.pair("L1", "W1")
        first.server.sent = first.client.sent = 100000
        first.forgive()
        carry(field, [first])
        second = field.pair("L2", "W1", (first.client.own_spi, new_spi()))
        second.client.send()
        assert field.run(lambda: len(field.strays()) == 1), "the answer to the second host is not with the first one"
        field.forget_strays()
        second.close()
        again = field.pair("L2", "W1", (first.client.own_spi, new_spi()), seen_from=ROUTER_WAN_SECOND)
        carry(field, [again, first, *elsewhere], 5)
