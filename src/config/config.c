/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading and reloading the configuration, and handing it to the engine.
 */
#include "config/config_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <culvert/module.h>

#include "config/text.h"
#include "io/kernel.h"

enum { DHCP_CLIENT_PORT = 68, MS_PER_S = 1000 };

void config_default(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		config_key_reset(&config_keys[i], config);
}

/* --- findings --- */

static void findings_report(struct findings *findings, int level, uint32_t line, const char *message)
{
	char raw[1024], text[1024];

	if (line)
		snprintf(raw, sizeof(raw), "%s:%" PRIu32 ": %s%s", findings->name, line,
			 level == LOG_WARNING ? "warning: " : "", message);
	else
		snprintf(raw, sizeof(raw), "%s: %s%s", findings->name, level == LOG_WARNING ? "warning: " : "",
			 message);
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

static bool parse(struct config *config, const char *text, size_t size, const struct config_source *source,
		  struct findings *findings)
{
	config_default(config);
	config_parse_text(config, text, size, findings);
	override(config, "lan", source->lan, findings);
	override(config, "wan", source->wan, findings);
	config_yield_defaults(config, findings);
	if (!findings->is_cut)
		config_check(config, source, findings);
	return findings_finish(findings);
}

bool config_parse(struct config *config, const char *name, const char *text, size_t size,
		  const struct config_source *source, config_report *report, void *context)
{
	struct findings findings = {.name = name, .report = report, .context = context};

	return parse(config, text, size, source, &findings);
}

/* Reads what fd holds into *text, for the caller to free. At most CONFIG_FILE_MAX bytes. */
static bool read_all(int fd, char **text, size_t *size, struct findings *findings)
{
	ssize_t got = 1;

	*size = 0;
	*text = malloc(CONFIG_FILE_MAX + 1);
	if (!*text) {
		findings_error(findings, 0, "out of memory");
		return false;
	}
	while (got > 0 && *size <= CONFIG_FILE_MAX) {
		do {
			got = read(fd, *text + *size, CONFIG_FILE_MAX + 1 - *size);
		} while (got < 0 && errno == EINTR);
		if (got > 0)
			*size += (size_t)got;
	}
	if (got < 0)
		findings_error(findings, 0, "cannot be read: %s", strerror(errno));
	else if (*size > CONFIG_FILE_MAX)
		findings_error(findings, 0, "is larger than %d bytes", CONFIG_FILE_MAX);
	else
		return true;
	free(*text);
	*text = NULL;
	return false;
}

/* An absent file that may be absent gives no text and no error. O_NONBLOCK: a FIFO must not make us wait. */
static bool read_file(const struct config_source *source, char **text, size_t *size, struct findings *findings)
{
	struct stat status;
	bool read = false;
	int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	findings->is_absent = fd < 0 && errno == ENOENT && source->optional;
	if (findings->is_absent)
		return true;
	if (fd < 0) {
		findings_error(findings, 0, "cannot be opened: %s", strerror(errno));
		return false;
	}
	if (fstat(fd, &status) < 0)
		findings_error(findings, 0, "cannot be examined: %s", strerror(errno));
	else if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode))
		findings_error(findings, 0, "is not a file");
	else
		read = read_all(fd, text, size, findings);
	if (read && S_ISREG(status.st_mode) && status.st_mode & S_IWOTH)
		findings_warn(findings, 0, "everybody may write to it; use chmod o-w");
	close(fd);
	return read;
}

bool config_load(struct config *config, const struct config_source *source, config_report *report, void *context)
{
	struct findings findings = {
		.name = source->path ? source->path : COMMAND_LINE, .report = report, .context = context};
	char *text = NULL;
	size_t size = 0;
	bool good;

	config_default(config);
	if (source->path && !read_file(source, &text, &size, &findings))
		return findings_finish(&findings);
	good = parse(config, text ? text : "", size, source, &findings);
	free(text);
	return good;
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
