/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as text. */
#ifndef CULVERT_BASE_ADDRESS_H
#define CULVERT_BASE_ADDRESS_H

#include <culvert/types.h>

enum { ADDRESS_TEXT = 16 }; /* with its final NUL */

/* Four numbers and dots; returns text. */
const char *address_print(struct address address, char text[ADDRESS_TEXT]);

#endif
