/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drives src/io/kernel.h alone, with a TUN device but no engine, for test_kernel*.py. It reads commands from standard
 * input, one a line, and answers each with one line; what the kernel sends to the TUN is printed as "tun HEX". At the
 * end of input, or at SIGTERM, it undoes everything.
 *
 * With --fail N the Nth change fails: the linker puts the function here before change_apply(). In the same way it
 * counts how often netlink was waited for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/kernel.h"
#include "io/kernel_change.h"

int __real_change_apply(const struct change *change, struct netlink *netlink);
int __wrap_change_apply(const struct change *change, struct netlink *netlink);

struct nl_sock;
struct nl_cb;
int __real_nl_recvmsgs(struct nl_sock *sock, struct nl_cb *callbacks);
int __wrap_nl_recvmsgs(struct nl_sock *sock, struct nl_cb *callbacks);

static unsigned int waits;
static int fail_at; /* counts down to the change that fails; 0: none does */
static volatile sig_atomic_t stopped;

int __wrap_change_apply(const struct change *change, struct netlink *netlink)
{
	if (fail_at && !--fail_at)
		return -EIO;
	return __real_change_apply(change, netlink);
}

int __wrap_nl_recvmsgs(struct nl_sock *sock, struct nl_cb *callbacks)
{
	waits++;
	return __real_nl_recvmsgs(sock, callbacks);
}

static void probe_stop(int number)
{
	(void)number;
	stopped = 1;
}

static void __attribute__((format(printf, 3, 4))) probe_report(void *context, int level, const char *format, ...)
{
	va_list arguments;

	(void)context;
	va_start(arguments, format);
	fprintf(stderr, "<%d>", level);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

static int probe_open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		perror("tun");
	return fd;
}

static void probe_print_ports(const char *name, const struct port_set *ports)
{
	const char *comma = "";

	printf(", \"%s\": [", name);
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		if (!port_set_has(ports, (uint16_t)port))
			continue;
		printf("%s%u", comma, port);
		comma = ", ";
	}
	putchar(']');
}

static void probe_print_links(const struct kernel_links *links)
{
	printf("{\"generation\": %u, \"name\": \"%s\", \"ifindex\": %d, \"up\": %d, \"ethernet\": %d, \"mtu\": %u",
	       links->generation, links->wan.name, links->wan.ifindex, links->wan.up, links->wan.ethernet,
	       links->wan.mtu);
	printf(", \"lan_up\": %d, \"lan_mtu\": %u, \"lan_address\": %u, \"addresses\": [", links->lan.up,
	       links->lan.mtu, links->lan.address.v4);
	for (uint32_t i = 0; i < links->wan.address_count; i++)
		printf("%s%u", i ? ", " : "", links->wan.addresses[i].v4);
	printf("], \"prefixes\": [");
	for (uint32_t i = 0; i < links->lan.prefix_count; i++)
		printf("%s[%u, %u]", i ? ", " : "", links->lan.prefixes[i].address.v4, links->lan.prefixes[i].length);
	putchar(']');
	probe_print_ports("tcp", &links->host_tcp);
	probe_print_ports("udp", &links->host_udp);
	probe_print_ports("open_tcp", &links->open_tcp);
	probe_print_ports("open_udp", &links->open_udp);
	printf(", \"kept\": %u", links->kepts);
	puts("}");
}

static void probe_find_hop(struct kernel *kernel, const char *text)
{
	static const char *const names[] = {"known", "pending", "busy", "silent", "no-route"};
	struct in_addr address = {0};
	uint8_t mac[6] = {0};
	enum next_hop found;

	inet_pton(AF_INET, text, &address);
	found = kernel_next_hop(kernel, address_of(ntohl(address.s_addr)), mac);
	kernel_ask_next_hops(kernel);
	printf("%s %02x:%02x:%02x:%02x:%02x:%02x\n", names[found], mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void probe_inject(int tun, const char *hex)
{
	uint8_t packet[2048];
	size_t length = 0;
	char pair[3] = "";

	for (; length < sizeof(packet) && hex[0] && hex[1]; hex += 2) {
		memcpy(pair, hex, 2);
		packet[length++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	printf("%s\n", write(tun, packet, length) == (ssize_t)length ? "injected" : strerror(errno));
}

static void probe_obey(struct kernel *kernel, int tun, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (!strcmp(line, "links"))
		probe_print_links(kernel_links(kernel));
	else if (!strcmp(line, "waits"))
		printf("%u\n", waits);
	else if (!strcmp(line, "refresh"))
		kernel_refresh(kernel);
	else if (!strncmp(line, "hop ", 4))
		probe_find_hop(kernel, line + 4);
	else if (!strncmp(line, "inject ", 7))
		probe_inject(tun, line + 7);
	if (!strcmp(line, "refresh"))
		puts("refreshed");
	fflush(stdout);
}

static void probe_print_packet(int tun)
{
	uint8_t packet[65536];
	ssize_t length = read(tun, packet, sizeof(packet));

	if (length <= 0)
		return;
	printf("tun ");
	for (ssize_t i = 0; i < length; i++)
		printf("%02x", packet[i]);
	putchar('\n');
	fflush(stdout);
}

static void probe_serve(struct kernel *kernel, int tun)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = kernel_event_fd(kernel), .events = POLLIN},
			       {.fd = tun, .events = POLLIN}};
	char line[8192];

	setvbuf(stdin, NULL, _IONBF, 0);
	while (!stopped) {
		if (poll(fds, 3, 1000) <= 0)
			continue;
		if (fds[1].revents)
			kernel_read_events(kernel);
		if (fds[2].revents & POLLIN)
			probe_print_packet(tun);
		if (fds[0].revents && !fgets(line, sizeof(line), stdin))
			return;
		if (fds[0].revents)
			probe_obey(kernel, tun, line);
	}
}

static int probe_run(struct kernel *kernel, const char *name)
{
	int tun = probe_open_tun(name), code, undone;

	if (tun < 0)
		return 4;
	code = kernel_setup(kernel);
	if (!code) {
		puts("ready");
		fflush(stdout);
		probe_serve(kernel, tun);
		undone = kernel_undo(kernel);
		code = undone;
	}
	close(tun);
	return code;
}

static void probe_add_ports(struct port_set *set, char *list)
{
	for (char *word; (word = strsep(&list, ","));)
		port_set_add(set, (uint16_t)strtoul(word, NULL, 10));
}

static int probe_act(const struct kernel_request *request, const char *action)
{
	struct kernel *kernel;
	int code = 0;

	if (!strcmp(action, "cleanup"))
		return kernel_cleanup(request->state_dir, probe_report, NULL);
	kernel = kernel_open(request, probe_report, NULL, &code);
	if (!kernel)
		return code;
	if (!strcmp(action, "plan"))
		code = kernel_print_plan(kernel, stdout);
	else
		code = probe_run(kernel, request->tun);
	kernel_close(kernel);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"lan", required_argument, NULL, 'l'},
		{"wan", required_argument, NULL, 'w'},
		{"tun", required_argument, NULL, 't'},
		{"tcp", required_argument, NULL, 'T'},
		{"udp", required_argument, NULL, 'U'},
		{"fail", required_argument, NULL, 'f'},
		{"state-dir", required_argument, NULL, 's'},
		{"auto", no_argument, NULL, 'a'},
		{0},
	};
	struct kernel_request request = {.tun = "cv0", .state_dir = "."};
	struct sigaction action = {.sa_handler = probe_stop};
	int option;

	port_set_add(&request.ports.host_udp, 68 /* DHCP */);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			snprintf(request.lan, sizeof(request.lan), "%s", optarg);
			break;
		case 'w':
			snprintf(request.wan, sizeof(request.wan), "%s", optarg);
			break;
		case 't':
			snprintf(request.tun, sizeof(request.tun), "%s", optarg);
			break;
		case 'T':
			probe_add_ports(&request.ports.host_tcp, optarg);
			break;
		case 'U':
			probe_add_ports(&request.ports.host_udp, optarg);
			break;
		case 'a':
			request.ports.open_all = true;
			break;
		case 'f':
			fail_at = (int)strtol(optarg, NULL, 10);
			break;
		case 's':
			request.state_dir = optarg;
			break;
		default:
			return 1;
		}
	}
	sigaction(SIGTERM, &action, NULL);
	return probe_act(&request, optind < argc ? argv[optind] : "run");
}
