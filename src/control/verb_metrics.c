/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page of metrics, whether or not anybody may ask for it by HTTP. It is made as a whole, so that its numbers belong
 * together, by the function that makes it for HTTP, and sent sample by sample.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "control/reload.h"
#include "control/verb.h"
#include "datapath/datapath.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "observe/log.h"
#include "observe/metrics.h"

struct page {
	struct metrics_census census;
	char *text; /* NULL: tunnels are still being counted */
	char *next;
	const char *help, *type; /* in text, of the samples that follow */
};

static void let_go(struct verb *verb)
{
	struct page *page = verb_memory(verb, sizeof(*page));

	free(page->text);
	page->text = NULL;
}

char *verb_make_metrics(const struct router *router, const struct metrics_census *census, size_t *length)
{
	struct outside_view outside[ADDRESSES_MAX];
	uint32_t outsides = 0;

	while (engine_next_outside(router->engine, &outsides, &outside[outsides]))
		continue; /* the cursor counts them */
	struct metrics_view view = {
		.engine = engine_counters(router->engine),
		.datapath = datapath_counters(router->datapath),
		.links = kernel_links(router->kernel),
		.config = router->config,
		.census = census,
		.outside = outside,
		.outsides = outsides,
		.port_limit = {engine_port_limit(router->engine, IPPROTO_TCP),
			       engine_port_limit(router->engine, IPPROTO_UDP)},
		.log_lines_lost = log_lost(router->log),
		.is_on_trial = reload_is_on_trial(router->reload),
		.needs_restart = reload_needs_restart(router->reload),
	};

	metrics_measure_process(&view);
	return metrics_text(router->metrics, &view, length);
}

/* The line ends at its newline from now on. NULL behind the last one. */
static char *next_line(struct page *page)
{
	char *line = page->next, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	page->next = end + 1;
	return line;
}

/* "# HELP NAME TEXT" and "# TYPE NAME TEXT". */
static void take_comment(struct page *page, const char *line)
{
	const char *name = line + strlen("# HELP "), *space = strchr(name, ' ');

	if (!space)
		return;
	if (!strncmp(line, "# HELP ", strlen("# HELP ")))
		page->help = space + 1;
	else
		page->type = space + 1;
}

/* NAME VALUE or NAME{LABELS} VALUE; no label holds a blank or a brace. */
static void send_sample(struct verb *verb, const struct page *page, char *line)
{
	char *brace = strchr(line, '{'), *space = strrchr(line, ' ');
	struct json *row = verb_row(verb, "sample");

	*space = '\0';
	if (brace) {
		*brace = '\0';
		space[-1] = '\0';
	}
	json_text(row, "name", line);
	json_text(row, "labels", brace ? brace + 1 : NULL);
	json_decimal(row, "value", space + 1);
	json_text(row, "type", page->type);
	json_text(row, "help", page->help);
	verb_send(verb);
}

enum verb_step verb_metrics(struct verb *verb)
{
	struct page *page = verb_memory(verb, sizeof(*page));
	size_t length;
	char *line;

	if (verb->is_first && !verb_has_no_words(verb))
		return VERB_OVER;
	verb->over = let_go;
	if (!page->text) {
		if (!metrics_census_go_on(&page->census, verb->router->engine, clock_now_ms()))
			return VERB_AGAIN;
		page->text = page->next = verb_make_metrics(verb->router, &page->census, &length);
		if (!page->text)
			return verb_fail(verb, EXIT_NETWORK, "no memory for the page: %s", strerror(errno));
	}
	while (verb_has_room(verb)) {
		line = next_line(page);
		if (!line)
			return VERB_OVER;
		if (line[0] == '#')
			take_comment(page, line);
		else
			send_sample(verb, page, line);
	}
	return VERB_AGAIN;
}
