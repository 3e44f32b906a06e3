/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for people, with hostile bytes made visible, and what people write.
 */
#ifndef CULVERT_CONFIG_TEXT_H
#define CULVERT_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/types.h>

/* Copies text with every byte that is not printable ASCII as \xNN, and cuts it with "..." where it does not fit; size
 * is at least 8. */
void text_escape(char *out, size_t size, const char *text);

/* Adds to a text of size bytes in all, and cuts what does not fit. */
void text_append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A phrase of one of the lists as a sentence: with a capital letter in front and a full stop behind. */
void text_sentence(char *out, size_t size, const char *phrase);

/* A decimal number of digits only, at most high. */
bool text_number(const char *text, uint32_t high, uint32_t *value);

/* Four numbers and dots; no other notation. */
bool text_address(const char *text, struct address *address);

/* ADDRESS:PORT, the port from 1 to 65535. */
bool text_endpoint(const char *text, struct address *address, uint16_t *port);

#endif
