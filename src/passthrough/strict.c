/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers that insist on a source port. */
#include "passthrough/strict.h"

bool strict_knows(const struct strict_servers *strict, struct address address, uint64_t now_ms)
{
	for (unsigned i = 0; i < STRICT_SERVERS; i++)
		if (address_equal(strict->server[i].address, address) && strict->server[i].until_ms > now_ms)
			return true;
	return false;
}

void strict_learn(struct strict_servers *strict, struct address address, uint64_t now_ms)
{
	unsigned place = 0;

	for (unsigned i = 0; i < STRICT_SERVERS; i++) {
		if (address_equal(strict->server[i].address, address)) {
			place = i;
			break;
		}
		if (strict->server[i].until_ms < strict->server[place].until_ms)
			place = i;
	}
	strict->server[place].address = address;
	strict->server[place].until_ms = now_ms + STRICT_MS;
}

void strict_recover(struct strict_servers *strict, uint64_t now_ms)
{
	for (unsigned i = 0; i < STRICT_SERVERS; i++)
		if (strict->server[i].until_ms > now_ms + STRICT_MS)
			strict->server[i].until_ms = 0;
}
