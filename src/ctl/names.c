/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a word may be a name: behind host= and remote=, as an end of a packet, and alone if it has a dot. */
#include "ctl/names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <culvert/exit.h>

#include "ctl/human.h"
#include "ctl/options.h"
#include "ctl/verbs.h"

enum { NAME_MAX_LENGTH = 253, EXPLAIN_ENDS = 3 /* "explain", the direction and the protocol stand before them */ };

/* Letters and what may stand between them; what has digits and dots only is an address, if it is anything. */
static bool is_name(const char *text, size_t length)
{
	bool has_letter = false;

	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (!isalnum(byte) && !(i > 0 && strchr("-._", byte)))
			return false;
		has_letter = has_letter || isalpha(byte);
	}
	return has_letter && length <= NAME_MAX_LENGTH;
}

static void say_choice(const char *name, const struct addrinfo *found, const char *chosen, FILE *errors)
{
	char address[INET_ADDRSTRLEN];

	fprintf(errors, "culvertctl: %s has several addresses:", name);
	for (; found; found = found->ai_next)
		fprintf(errors, " %s",
			inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr,
				  address, sizeof(address)));
	fprintf(errors, "; using %s\n", chosen);
}

static bool find_address(const char *name, char address[INET_ADDRSTRLEN], FILE *errors)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int failed = getaddrinfo(name, NULL, &hints, &found);

	if (failed) {
		fprintf(errors, "culvertctl: %s has no IPv4 address: %s\n", name, gai_strerror(failed));
		return false;
	}
	inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr, address,
		  INET_ADDRSTRLEN);
	if (found->ai_next)
		say_choice(name, found, address, errors);
	freeaddrinfo(found);
	return true;
}

/* The part of a word between before and after becomes an address, if it is a name. */
static int resolve_part(struct ctl_options *options, size_t index, size_t before, size_t length, FILE *errors)
{
	const char *word = options->words[index];
	char name[NAME_MAX_LENGTH + 1], address[INET_ADDRSTRLEN];

	if (!is_name(word + before, length))
		return EXIT_OK;
	snprintf(name, sizeof(name), "%.*s", (int)length, word + before);
	if (!find_address(name, address, errors))
		return EXIT_NOT_FOUND;
	return options_replace_word(options, index, before, length, address, errors);
}

int names_resolve(struct ctl_options *options, FILE *errors)
{
	const char *verb = options->verb->name;
	bool is_explain = !strcmp(verb, "explain");
	bool takes_names = !strcmp(verb, "mappings") || !strcmp(verb, "tunnels") || !strcmp(verb, "trace") ||
			   !strcmp(verb, "capture") || !strcmp(verb, "forget");
	int code = EXIT_OK;

	for (size_t i = 1; i < options->count && code == EXIT_OK && (takes_names || is_explain); i++) {
		const char *word = options->words[i];

		if (!strncmp(word, "host=", 5) || !strncmp(word, "remote=", 7))
			code = resolve_part(options, i, strcspn(word, "=") + 1, strlen(strchr(word, '=') + 1), errors);
		else if (is_explain && (i == EXPLAIN_ENDS || i == EXPLAIN_ENDS + 1) && !strchr(word, '='))
			code = resolve_part(options, i, 0, strcspn(word, ":"), errors);
		else if (takes_names && strchr(word, '.'))
			code = resolve_part(options, i, 0, strlen(word), errors);
	}
	return code;
}
