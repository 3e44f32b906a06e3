/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel settings below /proc/sys. Paths are relative to it: "net/ipv4/conf/eth0/forwarding".
 */
#ifndef CULVERT_IO_SYSCTL_H
#define CULVERT_IO_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/types.h>

enum { SYSCTL_PATH_MAX = 96, SYSCTL_VALUE_MAX = 256 };

/* One line, tabs as single spaces. 0 or a negative errno; -EOVERFLOW if it does not fit. */
int sysctl_read(const char *path, char value[SYSCTL_VALUE_MAX]);
int sysctl_write(const char *path, const char *value);
/* Whether a write can work at all: false in containers whose /proc/sys is read-only. */
bool sysctl_is_writable(const char *path);
/* Whether that is because /proc/sys is mounted so. */
bool sysctl_is_read_only(const char *path);
/* The setting, as sysctl(8) writes it, from which the settings of devices come that are made later: that of
 * net/ipv4/conf/cv0/rp_filter is net.ipv4.conf.default.rp_filter. */
void sysctl_print_origin(const char *path, char name[SYSCTL_PATH_MAX]);

/* Whether path is one that culvert sets and value looks like one of its values: what a journal may ask to be written.
 */
bool sysctl_is_known(const char *path, const char *value);

/* Reads a decimal number of at most limit, and moves *text behind it. */
bool sysctl_take_number(const char **text, uint32_t limit, uint32_t *number);
/* "32768 60999": the two ends of a range of ports. */
bool sysctl_parse_range(const char *text, uint32_t *first, uint32_t *last);
/* "1024-2000,3000" to a set of ports and back; false if text is no such list, or the list does not fit. */
bool sysctl_parse_ports(const char *text, struct port_set *ports);
bool sysctl_print_ports(const struct port_set *ports, char value[SYSCTL_VALUE_MAX]);

#endif
