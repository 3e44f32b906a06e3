/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of culvert have in common: sides, addresses and ports, and the lists *.def as enums. Addresses and
 * ports are in host byte order.
 */
#ifndef CULVERT_TYPES_H
#define CULVERT_TYPES_H

#include <stdbool.h>
#include <stdint.h>

enum side { SIDE_LAN = 0, SIDE_WAN, SIDES };

/* Why a packet was dropped; 0 is "it was not". The list is drops.def. */
enum drop {
	DROP_NONE = 0,
#define DROP(name, text, meaning, advice) DROP_##name,
#include <culvert/drops.def>
#undef DROP
	DROPS,
};

enum statistic {
#define STAT(name, text, meaning) STAT_##name,
#include <culvert/stats.def>
#undef STAT
	STATS,
};

enum timeout {
#define TIMEOUT(name, key, floor, initial, meaning) TIMEOUT_##name,
#include <culvert/timeouts.def>
#undef TIMEOUT
	TIMEOUTS,
};

enum service {
#define SERVICE(name, section, label) SERVICE_##name,
#include <culvert/services.def>
#undef SERVICE
	SERVICES,
	SERVICE_NONE = SERVICES,
};

/* The parts of services that have modes of their own. */
enum part {
#define PART(name, service, word, label) PART_##name,
#include <culvert/services.def>
#undef PART
	PARTS,
	PART_NONE = PARTS,
};

/* pass: with the protocol's module; plain: translated like any other traffic; block: refused with a reason. */
enum service_mode { MODE_PASS = 0, MODE_PLAIN, MODE_BLOCK };

/* RFC 4787 sections 4.1 and 5, RFC 5382 section 4; used for mapping and for filtering. */
enum dependence { ENDPOINT_INDEPENDENT = 0, ADDRESS_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT };

/* The address of a host: IPv4, in host byte order; 0 is no host's. The functions here, and those of wire/ip.h that read
 * and write it in packets, are where its inside counts. */
struct address {
	uint32_t v4;
};

static inline struct address address_of(uint32_t v4)
{
	return (struct address){v4};
}

static inline bool address_equal(struct address one, struct address other)
{
	return one.v4 == other.v4;
}

static inline bool address_is_set(struct address address)
{
	return address.v4 != 0;
}

/* What stands for an address in what is hashed, and for two of them. */
static inline uint32_t address_word(struct address address)
{
	return address.v4;
}

static inline uint64_t address_words(struct address one, struct address other)
{
	return (uint64_t)one.v4 << 32 | other.v4;
}

struct prefix {
	struct address address;
	uint8_t length; /* 0 to 32 */
};

static inline bool prefix_has(const struct prefix *prefix, struct address address)
{
	return prefix->length == 0 || ((prefix->address.v4 ^ address.v4) >> (32 - prefix->length)) == 0;
}

/* From any outside address, protocol and port to one inside host. Ports map one to one from port_first..port_last to
 * to_port upward. Protocols without ports have all three 0. */
struct forward {
	uint8_t protocol;
	uint16_t port_first, port_last;
	struct address to_address;
	uint16_t to_port;
};

enum { FORWARDS_MAX = 256, PREFIXES_MAX = 64, ADDRESSES_MAX = 64 }; /* the latter of outside addresses */

/* A set of ports, one bit each. */
struct port_set {
	uint64_t bits[65536 / 64];
};

static inline bool port_set_has(const struct port_set *set, uint16_t port)
{
	return (set->bits[port / 64] >> (port % 64)) & 1;
}

static inline void port_set_add(struct port_set *set, uint16_t port)
{
	set->bits[port / 64] |= UINT64_C(1) << (port % 64);
}

static inline void port_set_remove(struct port_set *set, uint16_t port)
{
	set->bits[port / 64] &= ~(UINT64_C(1) << (port % 64));
}

/* A connection of a socket of the router itself, at one of the outside addresses. */
struct host_connection {
	struct address local, remote;
	uint16_t local_port, remote_port;
	uint32_t protocol; /* TCP or UDP */
};

enum { HOST_CONNECTIONS_MAX = 128 };

/* Returns true for an address of a private network or of a provider's NAT (RFC 1918, RFC 6598). */
static inline bool address_is_private(struct address address)
{
	uint32_t v4 = address.v4;

	return v4 >> 24 == 10 || v4 >> 20 == 0xac1 || v4 >> 16 == 0xc0a8 || v4 >> 22 == 0x191;
}

/* "lan" or "wan". */
const char *side_name(enum side side);
const char *drop_name(enum drop reason);
const char *drop_meaning(enum drop reason);
const char *drop_advice(enum drop reason);
const char *stat_name(enum statistic stat);
const char *stat_meaning(enum statistic stat);

#endif
