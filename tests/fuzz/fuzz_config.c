/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration reader on any bytes. What it accepts it must print as a file that it reads as the same
 * configuration, and hand to the engine without going beyond a table.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "config/config_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is said is one line of plain text, whatever stands in the file. */
static void look_at_finding(void *context, int level, const char *text)
{
	uint32_t *errors = context;

	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			abort();
	}
	*errors += level == LOG_ERR;
}

static void check_printed(const struct config *config)
{
	const struct config_source source = {.path = "printed"};
	static struct config again;
	char *text = NULL;
	size_t size = 0;
	uint32_t errors = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	config_print(config, out);
	fclose(out);
	if (!config_parse(&again, "printed", text, size, &source, look_at_finding, &errors) || errors)
		abort();
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		if (!config_key_equal(&config_keys[i], config, &again))
			abort();
	}
	if (again.forwards != config->forwards)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_source source = {.path = "f", .lan = size && data[0] == '!' ? "lan0" : NULL};
	static struct engine_config engine;
	static struct config config;
	uint32_t errors = 0;

	if (config_parse(&config, "f", (const char *)data, size, &source, look_at_finding, &errors) != !errors)
		abort();
	if (errors)
		return 0;
	config_to_engine(&config, &engine);
	if (engine.forwards > FORWARDS_MAX || engine.bypasses > PREFIXES_MAX)
		abort();
	check_printed(&config);
	return 0;
}
