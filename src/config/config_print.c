/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration as text: what is in force, and the sample with everything that could be said.
 */
#include "config/config_keys.h"

#include <string.h>

#include "config/text.h"

static void print_forward(const struct config_forward *forward, FILE *out)
{
	bool service = forward->service != SERVICE_NONE;

	fprintf(out, "\n[forward:%s]\n", forward->name);
	for (unsigned int i = 0; i < FORWARD_KEYS; i++) {
		if (i == FORWARD_KEY_SERVICE && !service)
			continue;
		if ((i == FORWARD_KEY_PROTOCOL && service) || (i == FORWARD_KEY_PORT && !forward->port_first))
			continue;
		fprintf(out, "%s = ", forward_keys[i].name);
		forward_key_print((enum forward_key)i, forward, out);
		fputc('\n', out);
	}
}

void config_print(const struct config *config, FILE *out)
{
	const char *section = "";

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(section, key->section))
			fprintf(out, "%s[%s]\n", section[0] ? "\n" : "", key->section);
		section = key->section;
		fprintf(out, "%s =%s", key->name, config_key_is_empty(key, config) ? "" : " ");
		config_key_print(key, config, out);
		fputc('\n', out);
	}
	for (uint32_t i = 0; i < config->forwards; i++)
		print_forward(&config->forward[i], out);
}

static void print_key_default(const struct config_key *key, FILE *out)
{
	bool needed = !strcmp(key->section, "lan") && !strcmp(key->name, "interface");
	char values[160], sentence[256];

	config_key_describe(key, values, sizeof(values));
	text_sentence(sentence, sizeof(sentence), key->sentence);
	fprintf(out, "\n# %s\n# %s%s\n", sentence, values, key->restart ? "; a reload does not change it" : "");
	if (needed)
		fprintf(out, "%s = eth1\n", key->name);
	else
		fprintf(out, "#%s =%s%s\n", key->name, key->initial[0] ? " " : "", key->initial);
}

void config_print_defaults(FILE *out)
{
	size_t key = 0;

	fputs("# The configuration of culvertd: every key with its default. See culvert.ini(5).\n"
	      "# culvertd --check FILE says what is wrong with a file, all of it, and needs no rights.\n",
	      out);
	for (size_t i = 0; i < CONFIG_SECTIONS; i++) {
		fprintf(out, "\n# %s\n[%s]\n", config_sections[i].sentence, config_sections[i].name);
		for (; key < CONFIG_KEYS && !strcmp(config_keys[key].section, config_sections[i].name); key++)
			print_key_default(&config_keys[key], out);
	}
	fputs("\n# What is let in from outside: any number of sections, each with a NAME of its own.\n", out);
	for (size_t i = 0; i < FORWARD_KEYS; i++)
		fprintf(out, "# %s = %s\n#   %s\n", forward_keys[i].name, forward_keys[i].values,
			forward_keys[i].sentence);
	fputs("#[forward:web]\n#protocol = tcp\n#port = 8080\n#to = 192.168.77.11:80\n"
	      "#[forward:vpn]\n#service = ipsec\n#to = 192.168.77.12\n",
	      out);
}
