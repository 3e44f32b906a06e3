/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Living with the host kernel, through libnl only: the TUN's address and MTU, the LAN's policy table, the guard rules
 * that keep the kernel silent about translated traffic, sysctls, and following WAN and LAN as they change.
 *
 * Every change is written to a journal in the state directory before it is made, undone in reverse order by
 * kernel_undo(), adopted by the next kernel_setup() after a crash, and removed by kernel_cleanup().
 */
#ifndef CULVERT_IO_KERNEL_H
#define CULVERT_IO_KERNEL_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <culvert/types.h>

enum { KERNEL_ADDRESSES_MAX = 64 };

/* What the operator says of ports. */
struct kernel_ports_wanted {
	struct port_set host_tcp, host_udp;       /* the router's own that the WAN may reach */
	struct port_set forward_tcp, forward_udp; /* of forwards: not the router's, even if a socket of it is there */
	bool open_all;                            /* all that is the router's own may be reached */
};

/* What the operator asked for. wan may be empty: the device of the default route. */
struct kernel_request {
	char lan[IFNAMSIZ], wan[IFNAMSIZ], tun[IFNAMSIZ];
	struct kernel_ports_wanted ports;
	const char *state_dir; /* where the journal and the WAN lock live */
};

/* What is true of the links now; kept up to date by kernel_read_events(). */
struct kernel_links {
	struct {
		int ifindex;
		bool up;       /* administratively and carrier */
		bool ethernet; /* false: packets go out without a link header (tun, ppp, wireguard, ...) */
		bool arp;      /* it resolves its neighbours */
		uint8_t mac[6];
		uint32_t mtu;
		struct address addresses[KERNEL_ADDRESSES_MAX]; /* primary first */
		uint32_t address_count;
		char name[IFNAMSIZ];
	} wan;
	struct {
		int ifindex;
		bool up;
		uint32_t mtu;
		struct address address;                         /* first address of the LAN interface */
		struct address addresses[KERNEL_ADDRESSES_MAX]; /* all of them, as far as there is room */
		uint32_t address_count;
		struct prefix prefixes[PREFIXES_MAX];
		uint32_t prefix_count;
	} lan;
	struct address hop_address;         /* the TUN's own address (192.0.0.8, RFC 7600) */
	struct port_set host_tcp, host_udp; /* ports of the router itself: configured, ephemeral, and in use at start */
	struct port_set open_tcp, open_udp; /* those of them that the WAN may reach */
	struct host_connection kept[HOST_CONNECTIONS_MAX]; /* up at the start, at ports that are not open */
	uint32_t kepts;
	uint32_t own_first, own_last; /* ports that the router's own connections get; 0: not known */
	uint32_t generation;          /* grows with every change of anything above */
};

struct kernel;

/* Messages say which device, address or capability is missing. */
typedef void kernel_report(void *context, int syslog_level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Resolves names and reads links; changes nothing. NULL, after having reported why, with *exit_code 3 (permission) or 4
 * (network). */
struct kernel *kernel_open(const struct kernel_request *request, kernel_report *report, void *context, int *exit_code);
/* The addresses and prefixes of these devices now, for who runs no daemon; wan may be empty. False if the LAN has none.
 */
bool kernel_peek(const char *lan, const char *wan, struct kernel_links *links);
void kernel_close(struct kernel *kernel); /* frees, and lets go of the lock; changes nothing in the kernel */

/* Takes the lock: a second daemon in the same network namespace is refused and told who holds it. 0, or, after having
 * reported why, 3 or 4. */
int kernel_claim(struct kernel *kernel);
/*
 * Takes the lock if kernel_claim() has not, takes over what a crash left, and makes the changes. The TUN device exists
 * already (src/io/tun.c opened it) and is named by the request. Returns 0 or, after having reported why, 3, 4 or 5
 * (state directory); on failure all is undone, except what a journal that cannot be read may name.
 */
int kernel_setup(struct kernel *kernel);
/* Prints the commands kernel_setup() stands for, one a line. 0 or 5. */
int kernel_print_plan(struct kernel *kernel, FILE *out);
/* Takes everything back; the TUN should still be open. 0, 4 or 5: what could not be undone stays in the journal. */
int kernel_undo(struct kernel *kernel);
/* Removes what a crash left, from the journal, or, should that be lost, by the mark on our rules. 0, 3, 4 or 5. Says
 * what it did. */
int kernel_cleanup(const char *state_dir, kernel_report *report, void *context);

const struct kernel_links *kernel_links(const struct kernel *kernel);
/* An outside address is one of the WAN device; an inside one is in a network of the LAN. */
bool kernel_links_is_outside(const struct kernel_links *links, struct address address);
bool kernel_links_is_inside(const struct kernel_links *links, struct address address);

/* A descriptor that is readable when something changed, and the function to call then. Adapts rules to new addresses.
 */
int kernel_event_fd(const struct kernel *kernel);
void kernel_read_events(struct kernel *kernel);
/* The name of the device of the default route now, "" if there is none; valid until the next call. */
const char *kernel_default_wan(const struct kernel *kernel);
/* Other ports after a reload. Connections that are up go on. */
void kernel_set_ports(struct kernel *kernel, const struct kernel_ports_wanted *wanted);
/* The router's own ports if that were wanted: what kernel_links() would say then. Changes nothing. */
void kernel_rehearse_ports(struct kernel *kernel, const struct kernel_ports_wanted *wanted, struct port_set *host_tcp,
			   struct port_set *host_udp);
/* To be called every few seconds: looks at ports, which no notification tells of, at one of the settings that are ours,
 * and undoes what somebody has done to the others and was not undone at once. Every minute all is read again, by and
 * by. */
void kernel_refresh(struct kernel *kernel);

enum next_hop { NEXT_HOP_KNOWN, NEXT_HOP_PENDING, NEXT_HOP_BUSY, NEXT_HOP_SILENT, NEXT_HOP_NO_ROUTE };
/* The link address that packets to destination must carry on the WAN (by the kernel's routes of the WAN and its
 * neighbour table); zeros on links without one. PENDING: the kernel is resolving it; BUSY: so many others are being
 * resolved that this one is not; SILENT: nobody answers. Makes no system call: called for each packet. */
enum next_hop kernel_next_hop(struct kernel *kernel, struct address destination, uint8_t mac[6]);
/* To be called when the packets at hand are through: what kernel_next_hop() did not know is asked, without waiting. */
void kernel_ask_next_hops(struct kernel *kernel);
/* The same for questions about a packet that nobody has sent: nobody is asked for the link address. */
enum next_hop kernel_peek_next_hop(struct kernel *kernel, struct address destination);
/* What the WAN's best default route leads to, without asking anybody; *gateway is none if it has none. */
enum next_hop kernel_default_hop(struct kernel *kernel, struct address *gateway);

#endif
