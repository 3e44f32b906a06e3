/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading and reloading the configuration, and handing it to the engine.
 */
#include "config/config_keys.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <culvert/module.h>

#include "config/text.h"
#include "io/kernel.h"

enum { MS_PER_S = 1000 };

void config_default(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		config_key_reset(&config_keys[i], config);
}

/* --- findings --- */

static void findings_report(struct findings *findings, int level, uint32_t line, const char *message)
{
	const char *name = findings->name, *warning = level == LOG_WARNING ? "warning: " : "";
	char raw[1024], text[1024], path[PATH_MAX];

	if (line >= CONFIG_LINES)
		name = config_file_of(findings->config, findings->path, line, path);
	if (line % CONFIG_LINES)
		snprintf(raw, sizeof(raw), "%s:%" PRIu32 ": %s%s", name, line % CONFIG_LINES, warning, message);
	else
		snprintf(raw, sizeof(raw), "%s: %s%s", name, warning, message);
	text_escape(text, sizeof(text), raw);
	findings->report(findings->context, level, text);
}

static void __attribute__((format(printf, 4, 0)))
findings_add(struct findings *findings, int level, uint32_t line, const char *format, va_list arguments)
{
	char message[768];

	vsnprintf(message, sizeof(message), format, arguments);
	findings_report(findings, level, line, message);
}

void findings_error(struct findings *findings, uint32_t line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	findings_add(findings, LOG_ERR, line, format, arguments);
	va_end(arguments);
	findings->errors++;
}

void findings_command_error(struct findings *findings, const char *format, ...)
{
	const char *file = findings->name;
	va_list arguments;

	findings->name = COMMAND_LINE;
	va_start(arguments, format);
	findings_add(findings, LOG_ERR, 0, format, arguments);
	va_end(arguments);
	findings->name = file;
	findings->errors++;
	findings->command_errors++;
}

void findings_warn(struct findings *findings, uint32_t line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	findings_add(findings, LOG_WARNING, line, format, arguments);
	va_end(arguments);
	findings->warnings++;
}

const char *findings_line(const struct findings *findings, uint32_t from, uint32_t place, char *out, size_t size)
{
	char path[PATH_MAX];
	bool is_other = from / CONFIG_LINES != place / CONFIG_LINES;

	snprintf(out, size, "line %" PRIu32 "%s%s", place % CONFIG_LINES, is_other ? " of " : "",
		 !is_other              ? ""
		 : place < CONFIG_LINES ? findings->name
					: config_file_of(findings->config, findings->path, place, path));
	return out;
}

/* The last line: how many. True if there was no error. */
static bool findings_finish(struct findings *findings)
{
	char errors[32] = "", warnings[32] = "", message[80];

	if (findings->errors)
		snprintf(errors, sizeof(errors), "%" PRIu32 " error%s", findings->errors,
			 findings->errors == 1 ? "" : "s");
	if (findings->warnings)
		snprintf(warnings, sizeof(warnings), "%" PRIu32 " warning%s", findings->warnings,
			 findings->warnings == 1 ? "" : "s");
	snprintf(message, sizeof(message), "%s%s%s", errors, errors[0] && warnings[0] ? ", " : "", warnings);
	if (findings->errors && findings->errors == findings->command_errors)
		findings->name = COMMAND_LINE;
	if (message[0])
		findings_report(findings, findings->errors ? LOG_ERR : LOG_NOTICE, 0, message);
	return !findings->errors;
}

/* --- reading --- */

static void override(struct config *config, const char *section, const char *value, struct findings *findings)
{
	char problem[PROBLEM_MAX];

	if (!value)
		return;
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(key->section, section) || strcmp(key->name, "interface"))
			continue;
		if (!value[0] || !config_key_parse(key, config, value, problem)) {
			findings_command_error(findings, "--%s %s: %s", section, value,
					       value[0] ? problem : "is empty");
			findings->bad[i] = true;
		}
	}
}

bool config_load(struct config *config, const struct config_source *source, config_report *report, void *context)
{
	struct findings findings = {
		.name = COMMAND_LINE, .path = source->path, .config = config, .report = report, .context = context};

	if (source->instead && !source->instead->is_drop_in)
		findings.name = source->instead->name;
	else if (source->path)
		findings.name = source->path;
	config_default(config);
	config_read_files(config, source, &findings);
	if (findings.is_unread)
		return findings_finish(&findings);
	override(config, "lan", source->lan, &findings);
	override(config, "wan", source->wan, &findings);
	config_yield_defaults(config, &findings);
	if (!findings.is_cut)
		config_check(config, source, &findings);
	return findings_finish(&findings);
}

bool config_parse(struct config *config, const char *name, const char *text, size_t size,
		  const struct config_source *source, config_report *report, void *context)
{
	const struct config_text instead = {.name = name, .text = text, .size = size};
	struct config_source with = *source;

	with.instead = &instead;
	return config_load(config, &with, report, context);
}

struct changes {
	config_report *report;
	void *context;
	bool forwards_reported;
	uint32_t restarts;
};

static void report_change(void *context, const struct config_change *change)
{
	struct changes *changes = context;
	char text[400];

	if (!change->is_forward && change->needs_restart) {
		changes->restarts++;
		snprintf(text, sizeof(text), "reload: [%s] %s has changed in the file, but only a restart applies it",
			 change->section, change->key);
		changes->report(changes->context, LOG_WARNING, text);
	} else if (!change->is_forward) {
		snprintf(text, sizeof(text), "reload: [%s] %s has changed from %.100s to %.100s", change->section,
			 change->key, change->before[0] ? change->before : "nothing",
			 change->after[0] ? change->after : "nothing");
		changes->report(changes->context, LOG_NOTICE, text);
	} else if (!changes->forwards_reported) {
		changes->forwards_reported = true;
		changes->report(changes->context, LOG_NOTICE, "reload: the [forward:NAME] sections have changed");
	}
}

bool config_reload(struct config *config, const struct config_source *source, config_report *report, void *context,
		   uint32_t *restarts)
{
	struct config *fresh = malloc(sizeof(*fresh));
	struct changes changes = {.report = report, .context = context};

	if (!fresh) {
		report(context, LOG_ERR, "reload: out of memory; nothing has changed");
		return false;
	}
	if (!config_load(fresh, source, report, context)) {
		report(context, LOG_ERR, "reload: the configuration has errors; nothing has changed");
		free(fresh);
		return false;
	}
	if (config_compare(config, fresh, source->default_wan, report_change, &changes) == 0)
		report(context, LOG_NOTICE, "reload: nothing is different");
	config_keep_fixed(fresh, config);
	*config = *fresh;
	*restarts = changes.restarts;
	free(fresh);
	return true;
}

/* --- the parts of others --- */

enum service_mode config_mode_of(const struct config *config, enum part part)
{
	switch (config->part[part]) {
	case PART_MODE_PASS:
		return MODE_PASS;
	case PART_MODE_PLAIN:
		return MODE_PLAIN;
	case PART_MODE_BLOCK:
		return MODE_BLOCK;
	case PART_MODE_INHERIT:
		break;
	}
	return config->service[service_of_part(part)];
}

void config_to_engine(const struct config *config, struct engine_config *engine)
{
	struct forward expanded[FORWARD_EXPANDS_MAX];

	engine->mapping = config->mapping;
	engine->filtering = config->filtering;
	engine->hairpinning = config->hairpinning;
	engine->refresh_inbound = config->refresh_inbound;
	engine->clamp_mss = config->clamp_mss;
	for (int part = 0; part < PARTS; part++)
		engine->mode[part] = config_mode_of(config, (enum part)part);
	engine->esp_fanout = config->esp_fanout;
	for (size_t i = 0; i < TIMEOUTS; i++)
		engine->timeout[i] = config->timeout[i] * MS_PER_S;
	engine->host_flows = config->host_flows;
	engine->host_tcp = config->host_tcp;
	engine->host_udp = config->host_udp;
	port_set_add(&engine->host_udp, DHCP_CLIENT_PORT);
	engine->open_tcp = engine->host_tcp;
	engine->open_udp = engine->host_udp;
	engine->icmp_rate = config->icmp_rate;
	engine->forwards = 0;
	memset(engine->forward, 0, sizeof(engine->forward));
	for (uint32_t i = 0; i < config->forwards; i++) {
		uint32_t count = config_forward_expand(&config->forward[i], expanded);

		for (uint32_t j = 0; j < count && engine->forwards < FORWARDS_MAX; j++)
			engine->forward[engine->forwards++] = expanded[j];
	}
	memcpy(engine->bypass, config->bypass, sizeof(engine->bypass));
	engine->bypasses = config->bypasses;
}

void config_to_limits(const struct config *config, struct engine_limits *limits)
{
	limits->flows = config->flows;
	limits->hosts = config->hosts;
	limits->addresses = config->addresses;
	limits->fragments = config->fragments;
	limits->tunnels = config->tunnels;
}

void config_forwarded_ports(const struct config *config, struct port_set *tcp, struct port_set *udp)
{
	struct forward expanded[FORWARD_EXPANDS_MAX];

	memset(tcp, 0, sizeof(*tcp));
	memset(udp, 0, sizeof(*udp));
	for (uint32_t i = 0; i < config->forwards; i++) {
		uint32_t count = config_forward_expand(&config->forward[i], expanded);

		for (uint32_t j = 0; j < count; j++) {
			struct port_set *ports = expanded[j].protocol == IPPROTO_TCP ? tcp : udp;

			if (expanded[j].protocol != IPPROTO_TCP && expanded[j].protocol != IPPROTO_UDP)
				continue;
			for (uint32_t port = expanded[j].port_first; port <= expanded[j].port_last; port++)
				port_set_add(ports, (uint16_t)port);
		}
	}
}

void config_to_ports(const struct config *config, struct kernel_ports_wanted *wanted)
{
	memset(wanted, 0, sizeof(*wanted));
	wanted->host_tcp = config->host_tcp;
	wanted->host_udp = config->host_udp;
	port_set_add(&wanted->host_udp, DHCP_CLIENT_PORT);
	wanted->open_all = config->host_auto;
	config_forwarded_ports(config, &wanted->forward_tcp, &wanted->forward_udp);
}

void config_to_kernel(const struct config *config, const char *state_dir, struct kernel_request *request)
{
	memset(request, 0, sizeof(*request));
	memcpy(request->lan, config->lan_interface, sizeof(request->lan));
	memcpy(request->wan, config->wan_interface, sizeof(request->wan));
	memcpy(request->tun, config->tun, sizeof(request->tun));
	config_to_ports(config, &request->ports);
	request->state_dir = state_dir;
}
