/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the text of a file to struct config, by inih.
 *
 * inih reads the whole file through feed(), and calls handle() for each key. It tells neither lines nor sections
 * without keys, only the first of its own errors, and what it does with long lines, indentation and comments was fixed
 * when the library was built. So feed() looks at each line before inih does, and leaves nothing in it that could be
 * taken in two ways:
 *   - a comment starts with ';' or '#' at the start of a line or behind white space;
 *   - an indented line without '=' goes on with the list above it, any other indentation means nothing;
 *   - what cannot be a line of an INI file is reported and becomes an empty line.
 */
#include "config/config_keys.h"

#include <ini.h>
#include <inttypes.h>
#include <string.h>

#include "base/suggest.h"
#include "config/config_guess.h"

enum {
	LINE_MAX_BYTES = 199,   /* what the smallest inih takes */
	SECTION_MAX_BYTES = 49, /* longer names it would cut */
	NO_SECTION = -1,
	UNKNOWN_SECTION = -2,
	FORWARD_SECTION = -3,
};

struct parser {
	struct config *config;
	struct findings *findings;
	const char *text;
	size_t size, position;
	uint32_t line;
	bool continued;                         /* the current line is indented and has no key */
	bool in_list;                           /* the last key may go on in an indented line */
	int section;                            /* index into config_sections, or one of the names above */
	struct config_forward *forward;         /* in FORWARD_SECTION; NULL if it could not be stored */
	uint32_t section_line[CONFIG_SECTIONS]; /* where sections were first seen; 0: not yet */
	uint32_t forward_key_line[FORWARD_KEYS];
};

/* --- lines --- */

/* The length of a line without its comment and the white space at its end. */
static size_t cut_comment(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		bool blank_before = !i || line[i - 1] == ' ' || line[i - 1] == '\t';

		if (blank_before && (line[i] == ';' || line[i] == '#'))
			length = i;
	}
	while (length && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	return length;
}

/* A line's own bytes are plain text; comments may hold anything but NUL. */
static bool check_bytes(struct parser *parser, const char *line, size_t length, size_t with_comment)
{
	for (size_t i = 0; i < with_comment; i++) {
		unsigned char c = (unsigned char)line[i];

		if (i < length ? (c < 0x20 && c != '\t') || c >= 0x7f : c == 0) {
			findings_error(parser->findings, parser->line, "byte 0x%02x in column %zu; %s", c, i + 1,
				       c ? "outside comments only plain ASCII text is allowed"
					 : "a text file has no NUL bytes");
			return false;
		}
	}
	return true;
}

static bool check_length(struct parser *parser, size_t length, size_t most)
{
	if (length <= most)
		return true;
	findings_error(parser->findings, parser->line,
		       "a line of %zu bytes; at most %zu are read (a list can go on in an indented line)", length,
		       most);
	return false;
}

/* The next line of the file, without its end; false at the end of the file. */
static bool next_line(struct parser *parser, const char **line, size_t *length)
{
	const char *start = parser->text + parser->position, *end;
	size_t left = parser->size - parser->position;

	if (!left)
		return false;
	parser->line++;
	end = memchr(start, '\n', left);
	*line = start;
	*length = end ? (size_t)(end - start) : left;
	parser->position += *length + (end ? 1 : 0);
	if (*length && start[*length - 1] == '\r')
		--*length;
	return true;
}

/* --- sections --- */

static void suggest_section(struct parser *parser, const char *name)
{
	const char *names[CONFIG_SECTIONS + 1], *suggestion;
	char hint[64];
	size_t count = 0;

	for (; count < CONFIG_SECTIONS; count++)
		names[count] = config_sections[count].name;
	names[count++] = "forward:NAME";
	suggestion = suggest_word(name, names, count);
	if (!suggestion && strchr(name, ':')) {
		char kind[SECTION_MAX_BYTES + 1];

		snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(name, ":"), name);
		if (suggest_distance(kind, "forward") <= 2)
			suggestion = "forward:NAME";
	} else if (!suggestion && suggest_distance(name, "forward") <= 2) {
		suggestion = "forward:NAME";
	}
	findings_error(parser->findings, parser->line, "unknown section [%s]%s", name,
		       findings_hint(hint, sizeof(hint), suggestion));
}

static void enter_forward(struct parser *parser, const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	struct config *config = parser->config;
	size_t length = strlen(name);

	parser->section = FORWARD_SECTION;
	parser->forward = NULL;
	memset(parser->forward_key_line, 0, sizeof(parser->forward_key_line));
	if (!length || length >= CONFIG_NAME_MAX || strspn(name, letters) != length) {
		findings_error(parser->findings, parser->line,
			       "[forward:%s]: a name has 1 to %d letters, digits, '-', '_' or '.'", name,
			       CONFIG_NAME_MAX - 1);
		return;
	}
	for (uint32_t i = 0; i < config->forwards; i++) {
		struct config_forward *forward = &config->forward[i];

		if (strcmp(forward->name, name) != 0)
			continue;
		if (forward->line / CONFIG_LINES == parser->line / CONFIG_LINES)
			findings_error(parser->findings, parser->line,
				       "section [forward:%s] occurs twice; the first is in line %" PRIu32, name,
				       forward->line % CONFIG_LINES);
		else
			parser->forward =
				forward; /* of another file, whose keys stay as far as there are no new ones */
		forward->line = parser->forward ? parser->line : forward->line;
		return;
	}
	if (config->forwards == FORWARDS_MAX) {
		findings_error(parser->findings, parser->line, "more than %d [forward:NAME] sections", FORWARDS_MAX);
		return;
	}
	parser->forward = &config->forward[config->forwards++];
	memset(parser->forward, 0, sizeof(*parser->forward));
	parser->forward->service = SERVICE_NONE;
	parser->forward->line = parser->line;
	memcpy(parser->forward->name, name, length);
}

static void enter_section(struct parser *parser, const char *name)
{
	parser->section = UNKNOWN_SECTION;
	if (!strncmp(name, "forward:", 8)) {
		enter_forward(parser, name + 8);
		return;
	}
	for (size_t i = 0; i < CONFIG_SECTIONS; i++) {
		if (strcmp(config_sections[i].name, name))
			continue;
		parser->section = (int)i;
		if (parser->section_line[i])
			findings_error(parser->findings, parser->line,
				       "section [%s] occurs twice; the first is in line %" PRIu32, name,
				       parser->section_line[i] % CONFIG_LINES);
		else
			parser->section_line[i] = parser->line;
		return;
	}
	suggest_section(parser, name);
}

/* line starts with '['. */
static void read_section(struct parser *parser, const char *line, size_t length)
{
	char name[SECTION_MAX_BYTES + 1];

	parser->section = UNKNOWN_SECTION;
	parser->in_list = false;
	if (memchr(line, ']', length) != line + length - 1) {
		findings_error(parser->findings, parser->line, "a section is written [NAME], on a line of its own");
	} else if (length - 2 > SECTION_MAX_BYTES) {
		findings_error(parser->findings, parser->line, "a section name of %zu bytes; at most %d are read",
			       length - 2, SECTION_MAX_BYTES);
	} else {
		snprintf(name, sizeof(name), "%.*s", (int)length - 2, line + 1);
		enter_section(parser, name);
	}
}

/* --- keys --- */

/* Of a key that is no key of its section. */
static void suggest_key(struct parser *parser, const char *name)
{
	const char *names[CONFIG_KEYS + (int)FORWARD_KEYS], *elsewhere = NULL, *sentence = NULL;
	bool is_forward = parser->section == FORWARD_SECTION;
	const char *section = is_forward ? "forward:" : config_sections[parser->section].name;
	char hint[160];
	size_t count = 0;

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		if (!strcmp(config_keys[i].section, section))
			names[count++] = config_keys[i].name;
		else if (!strcmp(config_keys[i].name, name))
			elsewhere = config_keys[i].section;
	}
	for (size_t i = 0; i < FORWARD_KEYS && is_forward; i++)
		names[count++] = forward_keys[i].name;
	findings_hint(hint, sizeof(hint), suggest_word(name, names, count));
	if (is_forward)
		sentence = guess_forward_key(name);
	if (sentence)
		snprintf(hint, sizeof(hint), ": %s", sentence);
	else if (!hint[0] && elsewhere)
		snprintf(hint, sizeof(hint), " (it belongs to section [%s])", elsewhere);
	findings_error(parser->findings, parser->line, "unknown key %s in section [%s%s]%s", name, section,
		       !is_forward       ? ""
		       : parser->forward ? parser->forward->name
					 : "NAME",
		       hint);
}

/* Notes that a key stands in this line. False, after having said so, if it stood in an earlier one. */
static bool note_line(struct parser *parser, uint32_t *first, const char *name)
{
	bool is_here = *first && *first / CONFIG_LINES == parser->line / CONFIG_LINES;

	if (is_here && !parser->continued) {
		findings_error(parser->findings, parser->line, "%s is set here again; the first is in line %" PRIu32,
			       name, *first % CONFIG_LINES);
		return false;
	}
	if (!is_here)
		*first = parser->line;
	return true;
}

static void set_forward_key(struct parser *parser, const char *name, const char *value)
{
	char problem[PROBLEM_MAX];

	for (unsigned int i = 0; i < FORWARD_KEYS; i++) {
		if (strcmp(forward_keys[i].name, name))
			continue;
		if (!note_line(parser, &parser->forward_key_line[i], name) || !parser->forward)
			return;
		if (forward_key_parse((enum forward_key)i, parser->forward, value, problem))
			return;
		parser->forward->bad = true;
		findings_error(parser->findings, parser->line, "%s = %s: %s", name, value, problem);
		return;
	}
	suggest_key(parser, name);
}

/* One value, or one element of a list. */
static void set_value(struct parser *parser, size_t index, const char *value)
{
	const struct config_key *key = &config_keys[index];
	char problem[PROBLEM_MAX];

	if (config_key_parse(key, parser->config, value, problem))
		return;
	parser->findings->bad[index] = true;
	findings_error(parser->findings, parser->line, "%s = %s: %s", key->name, value, problem);
}

/* Elements stand between commas or white space. */
static void set_list(struct parser *parser, size_t index, const char *value)
{
	static const char between[] = ", \t";
	char element[LINE_MAX_BYTES + 1];

	for (value += strspn(value, between); *value; value += strspn(value, between)) {
		size_t length = strcspn(value, between);

		snprintf(element, sizeof(element), "%.*s", (int)length, value);
		set_value(parser, index, element);
		value += length;
	}
}

static void set_key(struct parser *parser, const char *name, const char *value)
{
	const char *section = config_sections[parser->section].name;

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(key->section, section) || strcmp(key->name, name))
			continue;
		if (!note_line(parser, &parser->findings->key_line[i], name))
			return;
		if (config_key_is_list(key)) {
			if (!parser->continued)
				config_key_empty(key, parser->config);
			parser->in_list = true;
			set_list(parser, i, value);
		} else {
			set_value(parser, i, value);
		}
		return;
	}
	suggest_key(parser, name);
}

/* inih's handler: one key and value, or one more piece of a value. */
static int handle(void *context, const char *section, const char *name, const char *value)
{
	struct parser *parser = context;

	(void)section; /* parser->section is the same, and knows more */
	if (!parser->continued)
		parser->in_list = false;
	if (!name[0])
		findings_error(parser->findings, parser->line, "there is no key in front of '='");
	else if (parser->section == NO_SECTION)
		findings_error(parser->findings, parser->line, "%s comes before the first [SECTION]", name);
	else if (parser->section == FORWARD_SECTION)
		set_forward_key(parser, name, value);
	else if (parser->section >= 0)
		set_key(parser, name, value);
	return 1;
}

/* Gives up on a file that is something else altogether. */
static bool has_enough(struct parser *parser)
{
	struct findings *findings = parser->findings;

	if (findings->errors < FINDINGS_ERRORS_MAX || parser->position == parser->size)
		return false;
	findings->is_cut = true;
	findings_warn(findings, parser->line + 1, "the rest is not read, after so many errors");
	return true;
}

/* inih's reader: the next line, or what is left of it, in room bytes with the final NUL. */
static char *feed(char *out, int room, void *context)
{
	struct parser *parser = context;
	const char *line;
	size_t length, with_comment, indent = 0, most = LINE_MAX_BYTES < room ? LINE_MAX_BYTES : (size_t)room - 1;

	if (has_enough(parser) || !next_line(parser, &line, &with_comment))
		return NULL;
	out[0] = '\0';
	length = cut_comment(line, with_comment);
	while (indent < length && (line[indent] == ' ' || line[indent] == '\t'))
		indent++;
	if (!check_bytes(parser, line, length, with_comment) || !check_length(parser, length, most)) {
		/* It may have been a section: what follows must not be taken for keys of the one above. */
		if (indent < length && line[indent] == '[')
			parser->section = UNKNOWN_SECTION;
	} else if (indent < length && line[indent] == '[') {
		read_section(parser, line + indent, length - indent);
	} else if (indent < length) {
		parser->continued = !memchr(line, '=', length);
		if (!parser->continued || (indent > 0 && parser->in_list))
			snprintf(out, (size_t)room, "%s%.*s", parser->continued ? "\t" : "", (int)(length - indent),
				 line + indent);
		else
			findings_error(parser->findings, parser->line, "there is no '=' in '%.*s'; %s",
				       (int)(length - indent), line + indent,
				       indent > 0 ? "there is no list above that it could continue"
						  : "write KEY = VALUE");
	}
	return out;
}

void config_parse_text(struct config *config, const char *text, size_t size, struct findings *findings)
{
	struct parser parser = {
		.config = config,
		.findings = findings,
		.text = text,
		.size = size,
		.section = NO_SECTION,
		.line = findings->place,
	};

	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		parser.position = 3;
	/* Its result is the line of the first error it saw, and all that it could see has been reported by feed(). */
	if (ini_parse_stream(feed, &parser, handle, &parser) != 0 && !findings->errors)
		findings_error(findings, parser.line, "the file cannot be parsed");
}
