/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The values of keys: each type from text, to text, and described for people.
 */
#include <culvert/module.h>

#include "base/address.h"
#include "config/config_keys.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "config/config_guess.h"
#include "config/text.h"
#include "wire/ip.h"

enum { LIST_COLUMN_MAX = 100 }; /* lists go on in another line beyond this column; the reader takes twice as much */

/* Words and what they stand for. */
struct word {
	const char *text;
	int value;
};

static const struct word booleans[] = {{"yes", true}, {"no", false}, {NULL, 0}};
static const struct word dependences[] = {
	{"endpoint-independent", ENDPOINT_INDEPENDENT},
	{"address-dependent", ADDRESS_DEPENDENT},
	{"address-and-port-dependent", ADDRESS_AND_PORT_DEPENDENT},
	{NULL, 0},
};
static const struct word modes[] = {{"pass", MODE_PASS}, {"plain", MODE_PLAIN}, {"block", MODE_BLOCK}, {NULL, 0}};
static const struct word part_modes[] = {{"inherit", PART_MODE_INHERIT},
					 {"pass", PART_MODE_PASS},
					 {"plain", PART_MODE_PLAIN},
					 {"block", PART_MODE_BLOCK},
					 {NULL, 0}};
static const struct word levels[] = {
	{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"notice", LOG_NOTICE},
	{"info", LOG_INFO}, {"debug", LOG_DEBUG},     {NULL, 0},
};
static const struct word targets[] = {{"auto", 0}, {"stderr", 0}, {"syslog", 0}, {NULL, 0}};
static const struct word services[] = {
#define SERVICE(name, section, label) {section, SERVICE_##name},
#include <culvert/services.def>
#undef SERVICE
	{NULL, 0},
};
static const struct word protocols[] = {
	{"tcp", PROTOCOL_TCP}, {"udp", PROTOCOL_UDP}, {"tcp+udp", 0}, {"icmp", PROTOCOL_ICMP},
	{"gre", PROTOCOL_GRE}, {"esp", PROTOCOL_ESP}, {NULL, 0}};

static const struct word *words_of(enum key_type type)
{
	switch (type) {
	case KEY_BOOLEAN:
		return booleans;
	case KEY_DEPENDENCE:
		return dependences;
	case KEY_MODE:
		return modes;
	case KEY_PART_MODE:
		return part_modes;
	case KEY_LOG_LEVEL:
		return levels;
	case KEY_LOG_TARGET:
		return targets;
	default:
		return NULL;
	}
}

static void words_describe(const struct word *words, char *out, size_t size)
{
	int used = 0;

	for (const struct word *word = words; word->text && (size_t)used < size; word++)
		used += snprintf(out + used, size - (size_t)used, "%s%s", word == words ? "" : " | ", word->text);
}

const char *findings_hint(char *out, size_t size, const char *suggestion)
{
	if (suggestion)
		snprintf(out, size, " (did you mean %s?)", suggestion);
	else
		out[0] = '\0';
	return out;
}

/* alternative: what may stand there beside the words, or "". */
static bool parse_word(const struct word *words, const char *text, const char *alternative, int *value,
		       char problem[PROBLEM_MAX])
{
	const char *texts[16];
	char list[128], hint[64];
	size_t count = 0;

	for (const struct word *word = words; word->text; word++) {
		if (!strcmp(word->text, text)) {
			*value = word->value;
			return true;
		}
		texts[count++] = word->text;
	}
	words_describe(words, list, sizeof(list));
	snprintf(problem, PROBLEM_MAX, "must be %s%s%s", list, alternative,
		 findings_hint(hint, sizeof(hint), guess_word(text, texts, count)));
	return false;
}

static bool parse_interface(const char *text, char name[IFNAMSIZ], char problem[PROBLEM_MAX])
{
	size_t length = strlen(text);

	if (length >= IFNAMSIZ) {
		snprintf(problem, PROBLEM_MAX, "has %zu bytes; the name of a network device has at most %d", length,
			 IFNAMSIZ - 1);
		return false;
	}
	if (!strcmp(text, "lo")) {
		snprintf(problem, PROBLEM_MAX, "is the loopback device, which leads to no other host");
		return false;
	}
	if (!strcmp(text, ".") || !strcmp(text, "..") || strcspn(text, "/:% \t\"'") != length) {
		snprintf(problem, PROBLEM_MAX,
			 "cannot be a network device; names have no spaces, quotes, '/', ':' or '%%'");
		return false;
	}
	memset(name, 0, IFNAMSIZ);
	memcpy(name, text, length);
	return true;
}

static bool parse_path(const char *text, char path[CONFIG_PATH_MAX], char problem[PROBLEM_MAX])
{
	size_t length = strlen(text);

	if (text[0] != '/') {
		snprintf(problem, PROBLEM_MAX, "must be an absolute path");
		return false;
	}
	if (length >= CONFIG_PATH_MAX) {
		snprintf(problem, PROBLEM_MAX, "has %zu bytes; a path here has at most %d", length,
			 CONFIG_PATH_MAX - 1);
		return false;
	}
	memset(path, 0, CONFIG_PATH_MAX);
	memcpy(path, text, length);
	return true;
}

/* Who may read it is decided by the machine, so nothing listens on the network. */
static bool parse_listen(const char *text, char listen[CONFIG_PATH_MAX], char problem[PROBLEM_MAX])
{
	struct address address = {0};
	uint16_t port = 0;
	size_t length = strlen(text);

	if (strncmp(text, "unix:/", 6) != 0 && !text_endpoint(text, &address, &port)) {
		snprintf(problem, PROBLEM_MAX, "must be unix:/PATH, or an address and a port like 127.0.0.1:9437");
		return false;
	}
	if (strncmp(text, "unix:", 5) != 0 && address.v4 >> 24 != 127) {
		snprintf(
			problem, PROBLEM_MAX,
			"is not a loopback address; write 127.0.0.1:PORT or unix:/PATH, and let another program protect the access from other machines");
		return false;
	}
	if (length >= CONFIG_PATH_MAX) {
		snprintf(problem, PROBLEM_MAX, "has %zu bytes; there may be %d", length, CONFIG_PATH_MAX - 1);
		return false;
	}
	memset(listen, 0, CONFIG_PATH_MAX);
	memcpy(listen, text, length);
	return true;
}

static bool parse_number(const struct config_key *key, const char *text, uint32_t *value, char problem[PROBLEM_MAX])
{
	bool is_time = key->type == KEY_SECONDS;
	uint32_t number;
	int length;

	if (text_number(text, key->high, &number) && number >= key->low) {
		*value = number;
		return true;
	}
	length = snprintf(problem, PROBLEM_MAX, "must be a number from %" PRIu32 " to %" PRIu32 "%s", key->low,
			  key->high, is_time ? ", in seconds" : "");
	if (is_time && guess_seconds(text, key->low, key->high, &number)) {
		snprintf(problem + length, PROBLEM_MAX - (size_t)length, " (did you mean %" PRIu32 "?)", number);
		return false;
	}
	if (key->why[0])
		snprintf(problem + length, PROBLEM_MAX - (size_t)length, "; %s asks for at least %" PRIu32, key->why,
			 key->low);
	return false;
}

/* PORT or FIRST-LAST, from 1 to 65535. On failure problem says what is wrong; expected is what may be written. */
static bool parse_port_range(const char *text, uint16_t *first, uint16_t *last, const char *expected,
			     char problem[PROBLEM_MAX])
{
	char low[8];
	size_t length = strcspn(text, "-");
	uint32_t a = 0, b;
	bool is_range = text[length] == '-', is_good = length < sizeof(low);

	snprintf(problem, PROBLEM_MAX, "must be %s", expected);
	snprintf(low, sizeof(low), "%.*s", (int)length, text);
	is_good = is_good && text_number(low, 65535, &a) && a != 0;
	b = a;
	if (!is_good || (is_range && (!text_number(text + length + 1, 65535, &b) || b == 0)))
		return false;
	if (b < a) {
		snprintf(problem, PROBLEM_MAX, "the range runs backwards (did you mean %" PRIu32 "-%" PRIu32 "?)", b,
			 a);
		return false;
	}
	*first = (uint16_t)a;
	*last = (uint16_t)b;
	return true;
}

static bool parse_host_port(struct config *config, const char *text, char problem[PROBLEM_MAX])
{
	bool tcp = strncmp(text, "udp:", 4) != 0, udp = strncmp(text, "tcp:", 4) != 0;
	uint16_t first, last;

	if (!strcmp(text, "auto")) {
		config->host_auto = true;
		return true;
	}
	if (!parse_port_range(text + (tcp && udp ? 0 : 4), &first, &last,
			      "a port from 1 to 65535, or auto; write 22, 8000-8010, tcp:80 or udp:123", problem))
		return false;
	for (uint32_t port = first; port <= last; port++) {
		if (tcp)
			port_set_add(&config->host_tcp, (uint16_t)port);
		if (udp)
			port_set_add(&config->host_udp, (uint16_t)port);
	}
	return true;
}

static bool parse_prefix(struct config *config, const char *text, char problem[PROBLEM_MAX])
{
	char address[INET_ADDRSTRLEN + 1] = "";
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : strlen(text);
	struct prefix prefix = {.length = 32};
	uint32_t length = 32, mask;

	if (size < sizeof(address))
		memcpy(address, text, size);
	if (!text_address(address, &prefix.address)) {
		snprintf(problem, PROBLEM_MAX, "must be an IPv4 prefix; write 10.0.0.0/8");
		return false;
	}
	if (slash && !text_number(slash + 1, 32, &length)) {
		snprintf(problem, PROBLEM_MAX, "a prefix length is a number from 0 to 32");
		return false;
	}
	mask = length ? UINT32_MAX << (32 - length) : 0;
	if (prefix.address.v4 & ~mask) {
		snprintf(problem, PROBLEM_MAX, "has bits set behind its prefix (did you mean %s/%" PRIu32 "?)",
			 address_print(address_of(prefix.address.v4 & mask), address), length);
		return false;
	}
	if (config->bypasses == PREFIXES_MAX) {
		snprintf(problem, PROBLEM_MAX, "is one prefix too many; there may be %d", PREFIXES_MAX);
		return false;
	}
	prefix.length = (uint8_t)length;
	config->bypass[config->bypasses++] = prefix;
	return true;
}

bool config_key_parse(const struct config_key *key, struct config *config, const char *text, char problem[PROBLEM_MAX])
{
	void *member = (char *)config + key->offset;
	int value = 0;

	_Static_assert(sizeof(enum dependence) == sizeof(int) && sizeof(enum service_mode) == sizeof(int) &&
			       sizeof(enum part_mode) == sizeof(int),
		       "the values of words are stored as int");

	switch (key->type) {
	case KEY_INTERFACE:
		return parse_interface(text, member, problem);
	case KEY_PORTS:
		return parse_host_port(config, text, problem);
	case KEY_PREFIXES:
		return parse_prefix(config, text, problem);
	case KEY_NUMBER:
	case KEY_SECONDS:
		return parse_number(key, text, member, problem);
	case KEY_PATH:
		if (text[0] || key->initial[0])
			return parse_path(text, member, problem);
		memset(member, 0, CONFIG_PATH_MAX);
		return true;
	case KEY_LISTEN:
		if (text[0])
			return parse_listen(text, member, problem);
		memset(member, 0, CONFIG_PATH_MAX);
		return true;
	case KEY_LOG_TARGET:
		if (text[0] == '/')
			return parse_path(text, member, problem);
		if (!parse_word(targets, text, " | an absolute path", &value, problem))
			return false;
		memset(member, 0, CONFIG_PATH_MAX);
		memcpy(member, text, strlen(text));
		return true;
	case KEY_BOOLEAN:
	case KEY_DEPENDENCE:
	case KEY_MODE:
	case KEY_PART_MODE:
	case KEY_LOG_LEVEL:
		break;
	}
	if (!parse_word(words_of(key->type), text, "", &value, problem))
		return false;
	if (key->type == KEY_BOOLEAN)
		*(bool *)member = value;
	else
		*(int *)member = value; /* also an enum, whose values are those of an int */
	return true;
}

void config_key_describe(const struct config_key *key, char *out, size_t size)
{
	size_t used;

	switch (key->type) {
	case KEY_INTERFACE:
		snprintf(out, size, "a network device");
		return;
	case KEY_PORTS:
		snprintf(out, size, "a list of PORT, FIRST-LAST, tcp:PORT, udp:PORT, auto; or nothing");
		return;
	case KEY_PREFIXES:
		snprintf(out, size, "a list of IPv4 prefixes");
		return;
	case KEY_NUMBER:
	case KEY_SECONDS:
		snprintf(out, size, "%" PRIu32 " to %" PRIu32 "%s", key->low, key->high,
			 key->type == KEY_SECONDS ? " seconds" : "");
		return;
	case KEY_PATH:
		snprintf(out, size, "an absolute path");
		return;
	case KEY_LISTEN:
		snprintf(out, size, "unix:/PATH | 127.0.0.1:PORT");
		return;
	default:
		words_describe(words_of(key->type), out, size);
		used = strlen(out);
		if (key->type == KEY_LOG_TARGET)
			snprintf(out + used, size - used, " | an absolute path");
		return;
	}
}

/* One element of a list at column *column, in a new indented line if this one is full. */
static void print_element(FILE *out, const char *text, int *column)
{
	if (!*column)
		*column = fprintf(out, "%s", text);
	else if (*column + (int)strlen(text) + 2 > LIST_COLUMN_MAX)
		*column = fprintf(out, ",\n\t%s", text);
	else
		*column += fprintf(out, ", %s", text);
}

/* The ranges of ports that are in exactly the sets asked for. */
static void print_ports(FILE *out, const struct config *config, bool tcp, bool udp, int *column)
{
	const char *prefix = tcp && udp ? "" : tcp ? "tcp:" : "udp:";
	uint32_t first = 0;
	char text[32];

	for (uint32_t port = 1; port <= 65536; port++) {
		bool in = port < 65536 && port_set_has(&config->host_tcp, (uint16_t)port) == tcp &&
			  port_set_has(&config->host_udp, (uint16_t)port) == udp;

		if (in && !first) {
			first = port;
		} else if (!in && first) {
			if (port - 1 == first)
				snprintf(text, sizeof(text), "%s%" PRIu32, prefix, first);
			else
				snprintf(text, sizeof(text), "%s%" PRIu32 "-%" PRIu32, prefix, first, port - 1);
			print_element(out, text, column);
			first = 0;
		}
	}
}

static void print_prefixes(FILE *out, const struct config *config)
{
	int column = 0;

	for (uint32_t i = 0; i < config->bypasses; i++) {
		char text[ADDRESS_TEXT + 8];

		address_print(config->bypass[i].address, text);
		text_append(text, sizeof(text), "/%u", config->bypass[i].length);
		print_element(out, text, &column);
	}
}

static const char *word_of(const struct word *words, int value)
{
	while (words->text && words->value != value)
		words++;
	return words->text ? words->text : "";
}

bool config_key_is_empty(const struct config_key *key, const struct config *config)
{
	static const struct port_set none;

	switch (key->type) {
	case KEY_INTERFACE:
	case KEY_PATH:
	case KEY_LISTEN:
		return !*((const char *)config + key->offset);
	case KEY_PORTS:
		return !config->host_auto && !memcmp(&config->host_tcp, &none, sizeof(none)) &&
		       !memcmp(&config->host_udp, &none, sizeof(none));
	case KEY_PREFIXES:
		return !config->bypasses;
	default:
		return false;
	}
}

void config_key_print(const struct config_key *key, const struct config *config, FILE *out)
{
	const void *member = (const char *)config + key->offset;
	int column = 0;

	switch (key->type) {
	case KEY_INTERFACE:
	case KEY_PATH:
	case KEY_LISTEN:
	case KEY_LOG_TARGET:
		fputs(member, out);
		break;
	case KEY_PORTS:
		if (config->host_auto)
			print_element(out, "auto", &column);
		print_ports(out, config, true, true, &column);
		print_ports(out, config, true, false, &column);
		print_ports(out, config, false, true, &column);
		break;
	case KEY_PREFIXES:
		print_prefixes(out, config);
		break;
	case KEY_NUMBER:
	case KEY_SECONDS:
		fprintf(out, "%" PRIu32, *(const uint32_t *)member);
		break;
	case KEY_BOOLEAN:
		fputs(word_of(booleans, *(const bool *)member), out);
		break;
	case KEY_DEPENDENCE:
	case KEY_MODE:
	case KEY_PART_MODE:
	case KEY_LOG_LEVEL:
		fputs(word_of(words_of(key->type), *(const int *)member), out);
		break;
	}
}

/* ADDRESS or ADDRESS:PORT of a host that packets can be sent to. */
static bool parse_target(struct config_forward *forward, const char *text, char problem[PROBLEM_MAX])
{
	char address[INET_ADDRSTRLEN + 1] = "";
	const char *colon = strchr(text, ':');
	size_t size = colon ? (size_t)(colon - text) : strlen(text);
	struct address host;
	uint32_t port = 0;

	if (size < sizeof(address))
		memcpy(address, text, size);
	if (!text_address(address, &host)) {
		snprintf(problem, PROBLEM_MAX,
			 "must be the IPv4 address of an inside host, with :PORT if the port differs");
		return false;
	}
	if (!(host.v4 >> 24) || host.v4 >> 24 == 127 || host.v4 >> 24 >= 224) {
		snprintf(problem, PROBLEM_MAX, "is not the address of a host");
		return false;
	}
	if (colon && (!text_number(colon + 1, 65535, &port) || !port)) {
		snprintf(problem, PROBLEM_MAX, "has a bad port; ports are numbers from 1 to 65535");
		return false;
	}
	forward->to_address = host;
	forward->to_port = (uint16_t)port;
	return true;
}

static bool parse_protocol(struct config_forward *forward, const char *text, char problem[PROBLEM_MAX])
{
	uint32_t number;
	int value = 0;

	if (!strcasecmp(text, "all") || !strcasecmp(text, "any") || !strcmp(text, "*")) {
		snprintf(
			problem, PROBLEM_MAX,
			"a section forwards one protocol, or TCP and UDP; write protocol = tcp+udp and the ports, and a section for each other protocol");
		return false;
	}
	if (text[0] >= '0' && text[0] <= '9' && text_number(text, 255, &number) && number) {
		value = (int)number;
	} else if (!parse_word(protocols, text, " | a number from 1 to 255", &value, problem)) {
		return false;
	}
	if (value == 51) {
		snprintf(problem, PROBLEM_MAX, "AH signs the addresses, so no NAT can carry it; use ESP");
		return false;
	}
	forward->protocols[0] = (uint8_t)(value ? value : 6);
	forward->protocols[1] = value ? 0 : 17;
	return true;
}

bool forward_key_parse(enum forward_key key, struct config_forward *forward, const char *text,
		       char problem[PROBLEM_MAX])
{
	int value = 0;

	switch (key) {
	case FORWARD_KEY_SERVICE:
		if (!parse_word(services, text, "", &value, problem))
			return false;
		forward->service = (enum service)value;
		return true;
	case FORWARD_KEY_PROTOCOL:
		return parse_protocol(forward, text, problem);
	case FORWARD_KEY_PORT:
		return parse_port_range(text, &forward->port_first, &forward->port_last,
					strpbrk(text, ", ")
						? "one port or FIRST-LAST; write a section for each other port"
						: "a port or FIRST-LAST, from 1 to 65535",
					problem);
	case FORWARD_KEY_TO:
		return parse_target(forward, text, problem);
	case FORWARD_KEYS:
		break;
	}
	return false;
}

void forward_key_print(enum forward_key key, const struct config_forward *forward, FILE *out)
{
	char address[ADDRESS_TEXT];

	switch (key) {
	case FORWARD_KEY_SERVICE:
		fputs(forward->service != SERVICE_NONE ? service_name(forward->service) : "", out);
		break;
	case FORWARD_KEY_PROTOCOL:
		if (forward->protocols[1])
			fputs("tcp+udp", out);
		else if (*word_of(protocols, forward->protocols[0]))
			fputs(word_of(protocols, forward->protocols[0]), out);
		else
			fprintf(out, "%u", forward->protocols[0]);
		break;
	case FORWARD_KEY_PORT:
		fprintf(out, "%u", forward->port_first);
		if (forward->port_last != forward->port_first)
			fprintf(out, "-%u", forward->port_last);
		break;
	case FORWARD_KEY_TO:
		fputs(address_print(forward->to_address, address), out);
		if (forward->to_port)
			fprintf(out, ":%u", forward->to_port);
		break;
	case FORWARD_KEYS:
		break;
	}
}
