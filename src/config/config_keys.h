/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table made of include/culvert/confkeys.def, and the types of values in it. Inside the configuration files only.
 */
#ifndef CULVERT_CONFIG_CONFIG_KEYS_H
#define CULVERT_CONFIG_CONFIG_KEYS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

enum key_type {
	KEY_INTERFACE,  /* name of a network device, or empty */
	KEY_PORTS,      /* list of ports into host_tcp and host_udp, and the word auto */
	KEY_BOOLEAN,    /* yes or no */
	KEY_DEPENDENCE, /* enum dependence */
	KEY_PREFIXES,   /* list of prefixes into bypass */
	KEY_NUMBER,     /* from low to high */
	KEY_SECONDS,    /* from low to high */
	KEY_MODE,       /* enum service_mode */
	KEY_PART_MODE,  /* enum part_mode */
	KEY_PATH,       /* absolute path */
	KEY_LISTEN,     /* unix:/PATH or a loopback address and port */
	KEY_LOG_TARGET, /* word or absolute path */
	KEY_LOG_LEVEL,  /* word; stored as a level of syslog(3) */
};

struct config_key {
	const char *section, *name;
	enum key_type type;
	size_t offset, size; /* of the member in struct config; lists have more than one */
	uint32_t low, high;
	const char *initial;
	bool restart; /* a reload does not change it */
	const char *why, *sentence;
};

struct config_section {
	const char *name, *sentence;
};

enum forward_key {
#define FORWARD_KEY(name, key, values, sentence) FORWARD_KEY_##name,
#include <culvert/confkeys.def>
	FORWARD_KEYS,
};

struct forward_key_text {
	const char *name, *values, *sentence;
};

enum {
	CONFIG_KEYS = 0
#define KEY(section, key, type, member, low, high, initial, when, why, sentence) +1
#include <culvert/confkeys.def>
};

enum {
	CONFIG_SECTIONS = 0
#define SECTION(name, sentence) +1
#include <culvert/confkeys.def>
};

extern const struct config_key config_keys[CONFIG_KEYS];
extern const struct config_section config_sections[CONFIG_SECTIONS];
extern const struct forward_key_text forward_keys[FORWARD_KEYS];

enum { PROBLEM_MAX = 256 };

/* True if values of this type are lists, which may go on in further lines. */
bool config_key_is_list(const struct config_key *key);
/* What may stand behind the "=", for people. */
void config_key_describe(const struct config_key *key, char *out, size_t size);
/* Sets the member to what text says; for a list, text is one element and is added. On failure nothing is changed and
 * problem says what is wrong, without naming the key and the text. */
bool config_key_parse(const struct config_key *key, struct config *config, const char *text, char problem[PROBLEM_MAX]);
/* A list without elements. */
void config_key_empty(const struct config_key *key, struct config *config);
/* The member back to its empty or default value; the default of a list is one element at most. */
void config_key_reset(const struct config_key *key, struct config *config);
/* The value as config_key_parse() takes it. Long lists go on in indented lines. */
void config_key_print(const struct config_key *key, const struct config *config, FILE *out);
bool config_key_is_empty(const struct config_key *key, const struct config *config);
bool config_key_equal(const struct config_key *key, const struct config *a, const struct config *b);

/* The values of [forward:NAME]. Same rules for problem. */
bool forward_key_parse(enum forward_key key, struct config_forward *forward, const char *text,
		       char problem[PROBLEM_MAX]);
void forward_key_print(enum forward_key key, const struct config_forward *forward, FILE *out);

/* Nobody reads more of them, and each costs time in which no packet is forwarded. */
enum { FINDINGS_ERRORS_MAX = 50 };

/* What findings about options of the command line begin with. */
#define COMMAND_LINE "culvertd"

/* One configuration being read: where findings go, and how many there were. */
struct findings {
	const char *name;            /* of the main file, or COMMAND_LINE */
	const char *path;            /* of the main file */
	const struct config *config; /* knows the other files */
	uint32_t place;              /* of the file that is read, see CONFIG_LINES */
	bool is_unread;              /* a file could not be read */
	bool is_absent;              /* there is no file, and there need not be one */
	config_report *report;
	void *context;
	uint32_t errors, warnings;
	uint32_t command_errors;        /* those of errors that no file is to blame for */
	bool is_cut;                    /* there were too many, and the rest was not read */
	uint32_t key_line[CONFIG_KEYS]; /* the places of keys, in the last file that has them; 0: in none */
	bool bad[CONFIG_KEYS];          /* keys with a value that was reported; what else is wrong with them is not */
};

/* line is a place; line 0 of a file: the message is about the file as a whole. */
void findings_error(struct findings *findings, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* About what the command line says. */
void findings_command_error(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));
void findings_warn(struct findings *findings, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "line 7", or "line 7 of FILE" if that is another file than that of from; in out, which it returns. */
const char *findings_line(const struct findings *findings, uint32_t from, uint32_t place, char *out, size_t size);
/* " (did you mean SUGGESTION?)" in out, or "" for NULL; returns out. */
const char *findings_hint(char *out, size_t size, const char *suggestion);

/* What a default holds and a forward asks for is the forward's; says so. To be called before config_check(). */
void config_yield_defaults(struct config *config, struct findings *findings);
/* Lines of config->forward sections are in there; everything that concerns more than one key is checked here. */
void config_check(const struct config *config, const struct config_source *source, struct findings *findings);

enum { FORWARD_EXPANDS_MAX = 8 };
/* The forwards of the engine that one section stands for. Returns how many. */
uint32_t config_forward_expand(const struct config_forward *forward, struct forward out[FORWARD_EXPANDS_MAX]);

/* Reads the main file, and then the drop-ins. */
void config_read_files(struct config *config, const struct config_source *source, struct findings *findings);
/* Reads the text of the file of findings->place into config, key by key, on top of what is there. */
void config_parse_text(struct config *config, const char *text, size_t size, struct findings *findings);

#endif
