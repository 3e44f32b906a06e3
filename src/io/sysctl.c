/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing /proc/sys, and knowing which of its files are ours to touch.
 */
#include "io/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FULL_PATH_MAX = sizeof("/proc/sys/") + SYSCTL_PATH_MAX };

static int sysctl_open(const char *path, int flags)
{
	char full[FULL_PATH_MAX];

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	return open(full, flags | O_CLOEXEC | O_NOFOLLOW);
}

int sysctl_read(const char *path, char value[SYSCTL_VALUE_MAX])
{
	int fd = sysctl_open(path, O_RDONLY);
	ssize_t size;
	int error;

	value[0] = '\0';
	if (fd < 0)
		return -errno;
	size = read(fd, value, SYSCTL_VALUE_MAX);
	error = size < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	if (size == SYSCTL_VALUE_MAX)
		return -EOVERFLOW;
	value[size] = '\0';
	value[strcspn(value, "\n")] = '\0';
	for (char *tab = value; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	return 0;
}

int sysctl_write(const char *path, const char *value)
{
	int fd = sysctl_open(path, O_WRONLY);
	/* An empty list is written as an empty line: the kernel takes a write of no bytes for no write. */
	const char *text = *value ? value : "\n";
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

bool sysctl_is_writable(const char *path)
{
	int fd = sysctl_open(path, O_WRONLY);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

bool sysctl_is_read_only(const char *path)
{
	return !sysctl_is_writable(path) && errno == EROFS;
}

void sysctl_print_origin(const char *path, char name[SYSCTL_PATH_MAX])
{
	static const char family[] = "net/ipv4/conf/";
	const char *key = strrchr(path, '/');

	if (strncmp(path, family, sizeof(family) - 1) || !key)
		snprintf(name, SYSCTL_PATH_MAX, "%s", path);
	else if (!strcmp(key, "/forwarding"))
		snprintf(name, SYSCTL_PATH_MAX, "net.ipv4.ip_forward");
	else
		snprintf(name, SYSCTL_PATH_MAX, "%sdefault%s", family, key);
	for (char *slash = name; (slash = strchr(slash, '/'));)
		*slash = '.';
}

static bool sysctl_is_device_key(const char *path, const char *family, const char *const *keys)
{
	const char *device = path + strlen(family), *key = strchr(device, '/');
	size_t length = key ? (size_t)(key - device) : 0;

	if (!key || !length || (length <= 2 && strspn(device, ".") >= length))
		return false;
	for (; *keys; keys++)
		if (!strcmp(key + 1, *keys))
			return true;
	return false;
}

bool sysctl_is_known(const char *path, const char *value)
{
	static const char family4[] = "net/ipv4/conf/", family6[] = "net/ipv6/conf/";
	static const char *const keys4[] = {"forwarding", "rp_filter", "accept_local", NULL};
	static const char *const keys6[] = {"disable_ipv6", NULL};

	if (strspn(value, "0123456789,- ") != strlen(value))
		return false;
	if (!strncmp(path, family4, strlen(family4)))
		return sysctl_is_device_key(path, family4, keys4);
	if (!strncmp(path, family6, strlen(family6)))
		return sysctl_is_device_key(path, family6, keys6);
	return !strcmp(path, "net/ipv4/icmp_errors_use_inbound_ifaddr") ||
	       !strcmp(path, "net/ipv4/ip_local_port_range") || !strcmp(path, "net/ipv4/ip_local_reserved_ports");
}

bool sysctl_take_number(const char **text, uint32_t limit, uint32_t *number)
{
	char *end;
	unsigned long value;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	value = strtoul(*text, &end, 10);
	if (errno || value > limit)
		return false;
	*text = end;
	*number = (uint32_t)value;
	return true;
}

bool sysctl_parse_range(const char *text, uint32_t *first, uint32_t *last)
{
	if (!sysctl_take_number(&text, UINT16_MAX, first) || *text++ != ' ')
		return false;
	return sysctl_take_number(&text, UINT16_MAX, last) && !*text;
}

bool sysctl_parse_ports(const char *text, struct port_set *ports)
{
	while (*text) {
		uint32_t first, last;

		if (!sysctl_take_number(&text, UINT16_MAX, &first))
			return false;
		last = first;
		if (*text == '-') {
			text++;
			if (!sysctl_take_number(&text, UINT16_MAX, &last))
				return false;
		}
		for (uint32_t port = first; port <= last; port++)
			port_set_add(ports, (uint16_t)port);
		if (*text == ',')
			text++;
		else if (*text)
			return false;
	}
	return true;
}

bool sysctl_print_ports(const struct port_set *ports, char value[SYSCTL_VALUE_MAX])
{
	size_t used = 0;

	value[0] = '\0';
	for (uint32_t first = 0; first <= UINT16_MAX; first++) {
		uint32_t last = first;
		int size;

		if (!port_set_has(ports, (uint16_t)first))
			continue;
		while (last < UINT16_MAX && port_set_has(ports, (uint16_t)(last + 1)))
			last++;
		size = snprintf(value + used, SYSCTL_VALUE_MAX - used, first == last ? "%s%u" : "%s%u-%u",
				used ? "," : "", first, last);
		if (size < 0 || (size_t)size >= SYSCTL_VALUE_MAX - used)
			return false;
		used += (size_t)size;
		first = last;
	}
	return true;
}
