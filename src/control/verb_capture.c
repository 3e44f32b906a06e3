/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A live look at packets: trace says what was made of each, capture gives their bytes as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config/text.h"
#include "control/capture.h"
#include "control/verb.h"

enum filter { BY_HOST, BY_REMOTE, BY_PROTOCOL, BY_PORT, BY_SERVICE, BY_DROPS, COUNT, RATE, SNAP, FILTERS };
enum { PACKETS_MAX = 1000000, PACKETS = 10000, RATE_MAX = 10000, RATE_USUAL = 1000, SNAP_MIN = 64, SNAP_USUAL = 256 };

struct look {
	struct capture *capture;
	uint32_t left; /* packets still to be shown */
	uint64_t last; /* the number of the one that was shown last */
	bool with_data;
	struct verb_value value[FILTERS];
};

static const char *const verdicts[] = {
	[VERDICT_FORWARDED] = "forwarded",
	[VERDICT_CONSUMED] = "consumed",
	[VERDICT_HELD] = "held",
	[VERDICT_DROPPED] = "dropped",
};

static const char *const events[] = {
	[CAPTURE_CAME] = "came",
	[CAPTURE_LEFT] = "left",
	[CAPTURE_DROPPED] = "dropped",
};

static void put_data(struct json *row, const struct capture_packet *packet)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * CAPTURE_SNAP_MAX + 1];

	for (size_t i = 0; i < packet->stored; i++) {
		text[2 * i] = digits[packet->data[i] >> 4];
		text[2 * i + 1] = digits[packet->data[i] & 15];
	}
	text[2 * (size_t)packet->stored] = '\0';
	json_text(row, "data", text);
}

/* What the packet was made of that came, so that one row tells all of it. */
static void put_translation(struct json *row, const struct capture_packet *packet)
{
	const struct capture_ends *after = &packet->after;
	bool is_there = packet->has_translation;

	json_text(row, "to-side", is_there ? side_name(packet->to) : NULL);
	json_endpoint(row, is_there, "after-src", after->source, after->source_port);
	json_endpoint(row, is_there, "after-dst", after->destination, after->destination_port);
	json_number_if(row, is_there, "after-identifier", after->identifier);
}

static void send_packet(struct verb *verb, const struct look *look, const struct capture_packet *packet)
{
	const struct capture_ends *ends = &packet->ends;
	struct json *row = verb_row(verb, "seen");
	char memory[8];

	json_number(row, "number", packet->number);
	json_number(row, "time", packet->time_us / 1000000);
	json_number(row, "microseconds", packet->time_us % 1000000);
	json_text(row, "side", side_name(packet->side));
	json_text(row, "event", events[packet->event]);
	json_text(row, "verdict", verdicts[packet->result.verdict]);
	json_text(row, "reason", packet->result.drop ? drop_name((enum drop)packet->result.drop) : NULL);
	json_number(row, "transport-protocol", ends->protocol);
	json_text(row, "protocol-name", verb_protocol_name(ends->protocol, memory));
	json_endpoint(row, true, "src", ends->source, ends->source_port);
	json_endpoint(row, true, "dst", ends->destination, ends->destination_port);
	json_number(row, "identifier", ends->identifier);
	json_number(row, "bytes", packet->length);
	json_text(row, "comment", packet->comment);
	json_text(row, "detail", packet->detail[0] ? packet->detail : NULL);
	put_translation(row, packet);
	if (look->with_data)
		put_data(row, packet);
	verb_send(verb);
}

static void send_lost(struct verb *verb, struct look *look)
{
	uint64_t lost = capture_take_lost(look->capture);
	struct json *row;

	if (lost == 0)
		return;
	row = verb_row(verb, "lost");
	json_number(row, "packets", lost);
	verb_send(verb);
}

/* For people a packet is one, whether it came or left; for a file each of the two is one. */
static bool is_another(const struct look *look, const struct capture_packet *packet)
{
	return look->with_data || packet->event == CAPTURE_CAME || packet->number != look->last;
}

static enum verb_step look_on(struct verb *verb, struct look *look)
{
	const struct capture_packet *packet;

	while (verb_has_room(verb)) {
		packet = look->left > 0 || !look->with_data ? capture_fetch(look->capture) : NULL;
		if (!packet || (look->left == 0 && is_another(look, packet))) {
			send_lost(verb, look);
			return look->left > 0 ? VERB_WAITS : VERB_OVER;
		}
		look->left -= is_another(look, packet);
		look->last = packet->number;
		send_packet(verb, look, packet);
	}
	return VERB_AGAIN;
}

static void look_wake(void *context)
{
	verb_wake(context);
}

static void look_over(struct verb *verb)
{
	struct look *look = verb_memory(verb, sizeof(*look));

	datapath_remove_tap(verb->router->datapath, capture_tap(look->capture));
	capture_free(look->capture);
	look->capture = NULL;
}

/* A number of the request, or the usual one. False after verb_fail(). */
static bool read_number(struct verb *verb, const struct verb_value *value, const char *name, uint32_t least,
			uint32_t most, uint32_t usual, uint32_t *number)
{
	*number = usual;
	if (!value->is_given || (text_number(value->text, most, number) && *number >= least))
		return true;
	verb_fail(verb, EXIT_USAGE, "%s= takes a number from %" PRIu32 " to %" PRIu32, name, least, most);
	return false;
}

static void read_filter(const struct verb_value *value, struct capture_filter *filter)
{
	*filter = (struct capture_filter){
		.has_host = value[BY_HOST].is_given,
		.host = value[BY_HOST].address,
		.has_remote = value[BY_REMOTE].is_given,
		.remote = value[BY_REMOTE].address,
		.has_protocol = value[BY_PROTOCOL].is_given,
		.protocol = (uint8_t)value[BY_PROTOCOL].number,
		.has_port = value[BY_PORT].is_given,
		.port = (uint16_t)value[BY_PORT].number,
		.service = value[BY_SERVICE].is_given ? (enum service)value[BY_SERVICE].number : SERVICE_NONE,
		.drops_only = value[BY_DROPS].is_given,
	};
}

/* Says what holds, so that whoever asked knows that every packet from now on is seen. */
static void send_start(struct verb *verb, const struct look *look, uint32_t rate, uint32_t snap)
{
	struct json *row = verb_row(verb, "looking");

	json_number(row, "packets", look->left);
	json_number(row, "packets-per-second", rate);
	if (look->with_data)
		json_number(row, "snap-bytes", snap);
	verb_send(verb);
}

static enum verb_step look_start(struct verb *verb, struct look *look, const char *word)
{
	struct capture_filter filter;
	uint32_t rate, snap;

	if (!read_number(verb, &look->value[COUNT], "count", 1, PACKETS_MAX, PACKETS, &look->left) ||
	    !read_number(verb, &look->value[RATE], "rate", 1, RATE_MAX, RATE_USUAL, &rate) ||
	    !read_number(verb, &look->value[SNAP], "snap", SNAP_MIN, CAPTURE_SNAP_MAX, SNAP_USUAL, &snap))
		return VERB_OVER;
	if (look->value[BY_DROPS].is_given && strcmp(look->value[BY_DROPS].text, "yes") != 0)
		return verb_fail(verb, EXIT_USAGE, "drops= takes only yes; omit it otherwise");
	read_filter(look->value, &filter);
	if (word && !selection_read(&filter.selection, verb, word, false))
		return VERB_OVER;
	look->capture =
		capture_new(&filter, look->with_data ? snap : SNAP_MIN, rate, verb->router->engine, look_wake, verb);
	if (!look->capture)
		return verb_fail(verb, EXIT_NETWORK, "out of memory: no capture: %s", strerror(errno));
	if (!datapath_add_tap(verb->router->datapath, capture_tap(look->capture))) {
		capture_free(look->capture);
		return verb_fail(verb, EXIT_NETWORK, "%d others already trace or capture; stop one of them",
				 DATAPATH_TAPS);
	}
	verb->over = look_over;
	send_start(verb, look, rate, snap);
	return look_on(verb, look);
}

static const struct verb_key keys[FILTERS] = {
	[BY_HOST] = {"host", VERB_KEY_ADDRESS},
	[BY_REMOTE] = {"remote", VERB_KEY_ADDRESS},
	[BY_PROTOCOL] = {"proto", VERB_KEY_PROTOCOL},
	[BY_PORT] = {"port", VERB_KEY_PORT},
	[BY_SERVICE] = {"service", VERB_KEY_SERVICE},
	[BY_DROPS] = {"drops", VERB_KEY_WORD},
	[COUNT] = {"count", VERB_KEY_WORD},
	[RATE] = {"rate", VERB_KEY_WORD},
	[SNAP] = {"snap", VERB_KEY_WORD},
};

enum verb_step verb_trace(struct verb *verb)
{
	struct look *look = verb_memory(verb, sizeof(*look));
	const char *word;

	if (!verb->is_first)
		return look_on(verb, look);
	return verb_read_keys_and_word(verb, keys, SNAP, look->value, &word) ? look_start(verb, look, word) : VERB_OVER;
}

enum verb_step verb_capture(struct verb *verb)
{
	struct look *look = verb_memory(verb, sizeof(*look));
	const char *word;

	if (!verb->is_first)
		return look_on(verb, look);
	look->with_data = true;
	return verb_read_keys_and_word(verb, keys, FILTERS, look->value, &word) ? look_start(verb, look, word)
										: VERB_OVER;
}
