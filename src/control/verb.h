/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What answers a verb on the control socket, and what it has to work with.
 *
 * To add a verb: a line in include/culvert/verbs.def, and its function, declared below by that line. The function is
 * called again and again, each time for a bounded piece of work, with packets in between:
 *
 *	enum verb_step verb_hosts(struct verb *verb)
 *	{
 *		uint32_t *cursor = verb_memory(verb, sizeof(*cursor));     // all 0 in the first call
 *
 *		while (verb_has_room(verb)) {
 *			if (!next_host(verb->router->engine, cursor, &host))
 *				return VERB_OVER;
 *			struct json *row = verb_row(verb, "host");
 *			json_address(row, "address", host.address);
 *			verb_send(verb);
 *		}
 *		return VERB_AGAIN;
 *	}
 *
 * The table may change between two calls, so what is kept is a cursor that survives that, never a pointer. What is
 * wrong with the request is said with verb_fail(), and nothing else is sent then if it is said in the first call.
 *
 * Rows are flat. Each has "kind" first; rows of one kind have the same members in the same order, null where there is
 * nothing to say. Names are those of RFC 8512 where it has one, in small letters and dashes; numbers are in base units:
 * bytes, packets, seconds. culvertctl shows rows that it has no table for (src/ctl/table_kinds.c) as they come.
 */
#ifndef CULVERT_CONTROL_VERB_H
#define CULVERT_CONTROL_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/engine.h>
#include <culvert/exit.h>
#include <culvert/views.h>

#include "control/json.h"
#include "control/lines.h"

enum verb_step {
	VERB_OVER,  /* the answer is complete, or verb_fail() has said why there is none */
	VERB_AGAIN, /* call again */
	VERB_WAITS, /* call again after verb_wake() */
};

/* Of the verbs of verbs.def. */
enum verb_flags {
	VERB_LISTS = 0,
	VERB_STREAMS = 1,
	VERB_CHANGES = 2,
};

enum {
	VERB_WORDS_MAX = 16,
	VERB_MEMORY = 2048,
	VERB_ROW_MAX = 8192,
	VERB_ROWS_A_TURN = 32,
	VERB_RECORDS_A_TURN = 1024, /* of the engine's tables that may be looked at in a turn */
};

struct config;
struct datapath;
struct drop_rates;
struct kernel;
struct log;
struct metrics;
struct metrics_census;
struct options;
struct reload;
struct state_file;

/* What verbs look at and act on. Everything lives as long as the control socket. */
struct router {
	struct log *log;
	const struct options *options;
	const struct config *config;
	struct engine *engine;
	struct kernel *kernel;
	struct datapath *datapath;
	struct reload *reload;
	const struct state_file *flows; /* the engine's arena */
	const struct drop_rates *drop_rates;
	struct metrics *metrics;
	uint64_t started_ms;
};

struct verb;

/* Told of each event, and of what the log says of the router. */
typedef void verb_teller(struct verb *verb, enum engine_event_kind kind, const struct tunnel_view *view);
typedef void verb_hearer(struct verb *verb, int level, const char *text);

/* Requests that are told what happens. They are told in the middle of another verb's turn, so their row is their own.
 */
struct verb_watchers {
	struct verb *verb[LINES_PEERS]; /* NULL: a free place */
	char row[VERB_ROW_MAX];
};

/* One request under way. Beside the members named first all belongs to control.c and answer.c. */
struct verb {
	const struct router *router;
	const char *const *words; /* behind the verb itself; printable ASCII without blanks */
	uint32_t count;
	bool is_first;                   /* this is the first call */
	void (*over)(struct verb *verb); /* to be set by verbs that must let go of something: called once at the end */

	const char *name; /* of the verb, and the version of its schema */
	unsigned int version;
	struct verb_watchers *watchers;
	verb_teller *tell;
	verb_hearer *hear;
	struct lines_peer *peer;
	struct json json;
	uint32_t rows;  /* that may still be sent in this turn */
	bool has_begun; /* the schema was sent */
	bool has_failed;
	int code;
	char error[512];
	_Alignas(max_align_t) unsigned char memory[VERB_MEMORY];
};

typedef enum verb_step verb_function(struct verb *verb);

#define VERB(NAME, name, version, arguments, flags, function, sentence) verb_function function;
#include <culvert/verbs.def>
#undef VERB

/* --- what verbs are offered --- */

/* Memory for what must be remembered between calls: at most VERB_MEMORY bytes, all 0 in the first call. */
void *verb_memory(struct verb *verb, size_t size);
/* False when it is the turn of others: return VERB_AGAIN. */
bool verb_has_room(const struct verb *verb);
/* Begins a row; its members follow by json_...(), then verb_send(). Only one row is made at a time. */
struct json *verb_row(struct verb *verb, const char *kind);
void verb_send(struct verb *verb);
/* Sends the schema before there is a row, so that whoever asked knows that it has begun. */
void verb_begin(struct verb *verb);
/* Sends the last line; for control.c. */
void verb_end(struct verb *verb);
/* Ends the answer with an exit code and a sentence. Returns VERB_OVER. */
enum verb_step verb_fail(struct verb *verb, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Has a verb that said VERB_WAITS called again. */
void verb_wake(struct verb *verb);
/* Asks for size bytes, at least 1, that follow the request: return VERB_WAITS then, and in the call after that
 * verb_take() has them. The caller sees to it that size has a limit. */
void verb_expect(struct verb *verb, size_t size);
bool verb_take(struct verb *verb, void *bytes, size_t size);
/* Verbs outside of a turn (events) write as well, but not more than this allows: false if the reader is too slow. */
bool verb_keeps_up(const struct verb *verb);

/* A filter: KEY=VALUE words, each at most once. */
enum verb_key_type { VERB_KEY_ADDRESS, VERB_KEY_PROTOCOL, VERB_KEY_PORT, VERB_KEY_SERVICE, VERB_KEY_WORD };
struct verb_key {
	const char *name;
	enum verb_key_type type;
};
struct verb_value {
	bool is_given;
	uint32_t number; /* protocol, port or enum service */
	struct address address;
	const char *text;
};
/* Reads all words as values of these keys. False after verb_fail(), which names what was expected: then return
 * VERB_OVER. */
bool verb_read_keys(struct verb *verb, const struct verb_key *keys, uint32_t count, struct verb_value *values);
/* The same, and one word without an equals sign, which may stand anywhere: *word is that, or NULL. */
bool verb_read_keys_and_word(struct verb *verb, const struct verb_key *keys, uint32_t count, struct verb_value *values,
			     const char **word);
/* The same for a verb without arguments. */
bool verb_has_no_words(struct verb *verb);

/* From now on the verb is told and hears, until it is over. */
void verb_start_watching(struct verb *verb, verb_teller *tell, verb_hearer *hear);

/* The page of metrics, to be freed by the caller, and its length. NULL if there is no memory. */
char *verb_make_metrics(const struct router *router, const struct metrics_census *census, size_t *length);

/* Rows that several verbs send. */
void verb_send_tunnel(struct verb *verb, const struct tunnel_view *view);
void verb_send_drop(struct verb *verb, enum drop reason);

/* "error", "warning" or "notice", of a level of syslog(3). */
const char *verb_severity(int level);
/* A protocol by its name or number, a service by its name; small letters or not. */
bool verb_read_protocol(const char *text, uint32_t *number);
bool verb_read_service(const char *text, uint32_t *number);
/* Digits and dots: it was meant to be an IPv4 address. */
bool verb_is_like_address(const char *text);
/* "tcp", "udp", ...; a number in memory for those without a name. */
const char *verb_protocol_name(unsigned int protocol, char memory[8]);
/* The protocol of a flow and its three endpoints, which some rows begin with. */
void verb_put_flow(struct json *row, const struct flow_view *view);

#endif
