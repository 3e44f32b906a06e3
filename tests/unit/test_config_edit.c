/* SPDX-License-Identifier: BSD-2-Clause */
/* One key gets another value, and nothing else in the file changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "config/config.h"
#include "config/config_edit.h"

/* The text after pptp's mode was set to block. */
static void becomes(const char *before, const char *after)
{
	size_t size = 0;
	char *text = config_edit_text(before, strlen(before), "pptp", "mode", "block", &size);

	assert_non_null(text);
	assert_int_equal(size, strlen(after));
	assert_string_equal(text, after);
	free(text);
}

static void the_value_alone_is_replaced(void **state)
{
	(void)state;
	becomes("[pptp]\nmode = pass\n", "[pptp]\nmode = block\n");
	becomes("[pptp]\n\tmode=pass ; as ever\n", "[pptp]\n\tmode=block ; as ever\n");
	becomes("[pptp]\nmode   =   pass   # why\nx = 1\n", "[pptp]\nmode   =   block   # why\nx = 1\n");
	becomes("# mode = a\n[l2tp]\nmode = pass\n\n[pptp] # here\nmode = pass\n[ipsec]\nmode = pass\n",
		"# mode = a\n[l2tp]\nmode = pass\n\n[pptp] # here\nmode = block\n[ipsec]\nmode = pass\n");
	becomes("[pptp]\nmode = block\n", "[pptp]\nmode = block\n");
	becomes("[pptp]\nmode =\n", "[pptp]\nmode = block\n");
	becomes("[pptp]\nmode =", "[pptp]\nmode = block");
	becomes("[pptp]\nmode=\n", "[pptp]\nmode=block\n");
	becomes("[pptp]\nmode = # none\n", "[pptp]\nmode = block # none\n");
	becomes("\xef\xbb\xbf[pptp]\nmode = pass\n", "\xef\xbb\xbf[pptp]\nmode = block\n");
}

static void line_ends_stay(void **state)
{
	(void)state;
	becomes("[pptp]\r\nmode = pass\r\n", "[pptp]\r\nmode = block\r\n");
	becomes("[pptp]\r\nx = 1\r\n[l2tp]\r\n", "[pptp]\r\nx = 1\r\nmode = block\r\n[l2tp]\r\n");
	becomes("[lan]\r\n", "[lan]\r\n\r\n[pptp]\r\nmode = block\r\n");
	becomes("[pptp]\nmode = pass", "[pptp]\nmode = block");
	becomes("[pptp]", "[pptp]\nmode = block\n");
	becomes("[lan]\ninterface = a", "[lan]\ninterface = a\n\n[pptp]\nmode = block\n");
	becomes("", "[pptp]\nmode = block\n");
}

static void a_key_that_is_missing_finds_its_place(void **state)
{
	(void)state;
	becomes("[pptp]\n\n# pass carries it\n#mode = pass\n\n# L2TP.\n[l2tp]\n#mode = pass\n",
		"[pptp]\n\n# pass carries it\n#mode = pass\nmode = block\n\n# L2TP.\n[l2tp]\n#mode = pass\n");
	becomes("[pptp]\n# mode = pass\n# mode = plain\nother = 1\n",
		"[pptp]\n# mode = pass\nmode = block\n# mode = plain\nother = 1\n");
	becomes("[pptp]\n#mode = pass\nmode = pass\n", "[pptp]\n#mode = pass\nmode = block\n");
	becomes("[pptp]\nfirst = 1\n\n# about the next one\n[l2tp]\n",
		"[pptp]\nfirst = 1\nmode = block\n\n# about the next one\n[l2tp]\n");
	becomes("[pptp]\n# modest = 1\nmodest = 1\n", "[pptp]\n# modest = 1\nmodest = 1\nmode = block\n");
	becomes("mode = pass\n[pptpx]\nmode = pass\n", "mode = pass\n[pptpx]\nmode = pass\n\n[pptp]\nmode = block\n");
	becomes("[ pptp]\n[pptp\n#[pptp]\n", "[ pptp]\n[pptp\n#[pptp]\n\n[pptp]\nmode = block\n");
}

/* Only the first is changed: the parser then says what is wrong with the file. */
static void of_two_the_first_is_changed(void **state)
{
	(void)state;
	becomes("[pptp]\nmode = pass\n[lan]\n[pptp]\nmode = plain\n",
		"[pptp]\nmode = block\n[lan]\n[pptp]\nmode = plain\n");
	becomes("[pptp]\n[lan]\n[pptp]\nmode = plain\n", "[pptp]\nmode = block\n[lan]\n[pptp]\nmode = plain\n");
	becomes("[pptp]\nmode = pass\nmode = plain\n", "[pptp]\nmode = block\nmode = plain\n");
}

static void ignore(void *context, int level, const char *text)
{
	(void)context;
	(void)level;
	(void)text;
}

/* Of the whole sample file one line changes, and the parser agrees about what it says. */
static void the_sample_file_keeps_its_comments(void **state)
{
	static struct config config, changed;
	char *sample = NULL, *text;
	size_t size, new_size = 0;
	FILE *out = open_memstream(&sample, &size);

	(void)state;
	assert_non_null(out);
	config_print_defaults(out);
	assert_int_equal(fclose(out), 0);
	text = config_edit_text(sample, size, "ipsec", "natt", "plain", &new_size);
	assert_non_null(text);
	assert_int_equal(new_size, size + strlen("natt = plain\n"));
	assert_true(config_parse(&config, "a", sample, size, &(struct config_source){0}, ignore, NULL));
	assert_true(config_parse(&changed, "b", text, new_size, &(struct config_source){0}, ignore, NULL));
	assert_int_equal(changed.part[PART_NATT], PART_MODE_PLAIN);
	changed.part[PART_NATT] = config.part[PART_NATT];
	assert_memory_equal(&changed, &config, sizeof(config));
	free(sample);
	free(text);
}

/* --- any file --- */

enum { ROUNDS = 20000, TEXT_MAX = 4096 };

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((*state >> 33) % bound);
}

struct writer {
	uint64_t random;
	const char *line_end;
	char text[TEXT_MAX];
	size_t used;
};

static void put_line(struct writer *writer, const char *line)
{
	writer->used += (size_t)snprintf(writer->text + writer->used, sizeof(writer->text) - writer->used, "%s%s", line,
					 writer->line_end);
}

static void put_noise(struct writer *writer)
{
	static const char *const noise[] = {"",   "# a comment", "; mode = pass", "#mode = pass",
					    "\t", "#[pptp]",     "  # natt =",    "# mode = plain",
					    "#",  "#\xe9"};

	while (random_below(&writer->random, 3))
		put_line(writer, noise[random_below(&writer->random, sizeof(noise) / sizeof(noise[0]))]);
}

/* A section with some of its keys, in any order and any way to write them. */
static void put_section(struct writer *writer, const char *name, const char *const keys[3], const char *const values[3])
{
	static const char *const equals[] = {" = ", "=", " =", "\t=\t", "= "};
	static const char *const behind[] = {"", " ", " # why", "\t; [lan]"};
	uint32_t first = random_below(&writer->random, 3);
	char line[200];

	snprintf(line, sizeof(line), "%s[%s]%s", random_below(&writer->random, 4) ? "" : " ", name,
		 behind[random_below(&writer->random, 4)]);
	put_line(writer, line);
	for (uint32_t i = 0; i < 3; i++) {
		const char *key = keys[(first + i) % 3], *value = values[(first + i) % 3];

		put_noise(writer);
		if (!key || random_below(&writer->random, 2))
			continue;
		snprintf(line, sizeof(line), "%s%s%s%s%s", random_below(&writer->random, 4) ? "" : "\t", key,
			 equals[random_below(&writer->random, 5)], value, behind[random_below(&writer->random, 4)]);
		put_line(writer, line);
	}
}

static void put_file(struct writer *writer)
{
	static const struct {
		const char *name, *keys[3], *values[3];
	} sections[] = {
		{"lan", {"tun", "interface", NULL}, {"cv1", "eth5", NULL}},
		{"pptp", {"mode", NULL, NULL}, {"plain", NULL, NULL}},
		{"ipsec", {"mode", "natt", "esp_fanout"}, {"plain", "pass", "yes"}},
		{"wan", {"host_ports", "offload", NULL}, {"22,\n\t23", "no", NULL}},
		{"forward:mode", {NULL, NULL, NULL}, {NULL, NULL, NULL}},
	};
	uint32_t first = random_below(&writer->random, 5), step = 1 + random_below(&writer->random, 4);

	writer->used = 0;
	writer->line_end = random_below(&writer->random, 4) ? "\n" : "\r\n";
	if (!random_below(&writer->random, 8))
		writer->used = (size_t)snprintf(writer->text, sizeof(writer->text), "\xef\xbb\xbf");
	put_noise(writer);
	for (uint32_t i = 0; i < 5; i++) {
		uint32_t at = (first + i * step) % 5;

		if (!random_below(&writer->random, 3))
			continue;
		put_section(writer, sections[at].name, sections[at].keys, sections[at].values);
		if (at == 4) {
			put_line(writer, "service = pptp");
			put_line(writer, "to = 10.0.0.2");
		}
	}
	if (!random_below(&writer->random, 4) && writer->used > 0)
		writer->used -= strlen(writer->line_end); /* no newline at the end */
}

/* What was there is there still, in this order: only the old value may be gone. */
static void lines_stay(const struct writer *writer, const char *text, size_t size)
{
	size_t front = 0, back = 0;

	while (front < writer->used && front < size && writer->text[front] == text[front])
		front++;
	while (back < writer->used - front && back < size - front &&
	       writer->text[writer->used - 1 - back] == text[size - 1 - back])
		back++;
	assert_true(writer->used - front - back <= strlen("plain"));
	for (size_t i = front; i < writer->used - back; i++)
		assert_non_null(strchr("plain", writer->text[i]));
}

/* Whatever the file: the parser finds the new value, and every other key as it was. */
static void any_file_keeps_its_sense(void **state)
{
	static struct config before, after;
	static const struct config_source source = {.lan = "eth1"};
	static struct writer writer = {.random = 20261121};
	uint32_t good = 0;

	(void)state;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		size_t size;
		char *text;

		put_file(&writer);
		if (!config_parse(&before, "a", writer.text, writer.used, &source, ignore, NULL))
			continue;
		good++;
		text = config_edit_text(writer.text, writer.used, "pptp", "mode", "block", &size);
		assert_non_null(text);
		if (!config_parse(&after, "b", text, size, &source, ignore, NULL))
			fail_msg("it was good, and is not any more:\n%.*s", (int)size, text);
		assert_int_equal(after.service[SERVICE_PPTP], MODE_BLOCK);
		lines_stay(&writer, text, size);
		after.service[SERVICE_PPTP] = before.service[SERVICE_PPTP];
		for (uint32_t j = 0; j < after.forwards; j++)
			after.forward[j].line = before.forward[j].line;
		assert_memory_equal(&after, &before, sizeof(after));
		free(text);
	}
	assert_true(good > ROUNDS / 2);
}

/* --- the file --- */

struct place {
	char directory[64], path[96], fresh[104];
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return -1;
	*state = place;
	snprintf(place->directory, sizeof(place->directory), "/tmp/culvert-test-edit-XXXXXX");
	if (!mkdtemp(place->directory))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/f.ini", place->directory);
	snprintf(place->fresh, sizeof(place->fresh), "%s.new~", place->path);
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	unlink(place->fresh);
	unlink(place->path);
	rmdir(place->directory);
	free(place);
	return 0;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void expect_text(const char *path, const char *text)
{
	char problem[EDIT_PROBLEM];
	struct config_file file;

	assert_int_equal(config_file_read(&file, path, problem), EXIT_OK);
	assert_int_equal(file.size, strlen(text));
	assert_memory_equal(file.text, text, file.size);
	config_file_free(&file);
}

static void a_file_is_replaced_as_a_whole(void **state)
{
	struct place *place = *state;
	char problem[EDIT_PROBLEM];
	struct config_file file;
	struct stat before, after;

	write_text(place->path, "old");
	write_text(place->fresh, "of a process that died");
	assert_int_equal(chmod(place->path, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(place->path, 1234, 2345), 0);
	assert_int_equal(stat(place->path, &before), 0);
	assert_int_equal(config_file_read(&file, place->path, problem), EXIT_OK);
	assert_true(config_file_replace(&file, place->path, "the new text", 12, problem));
	config_file_free(&file);
	expect_text(place->path, "the new text");
	assert_int_equal(stat(place->path, &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_uid, before.st_uid);
	assert_int_equal(after.st_gid, before.st_gid);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(access(place->fresh, F_OK), -1);
}

static void a_file_that_somebody_else_changed_stays(void **state)
{
	struct place *place = *state;
	char problem[EDIT_PROBLEM];
	struct config_file file;

	write_text(place->path, "old");
	assert_int_equal(config_file_read(&file, place->path, problem), EXIT_OK);
	unlink(place->path);
	write_text(place->path, "somebody's");
	assert_false(config_file_replace(&file, place->path, "new", 3, problem));
	assert_string_equal(problem, "somebody else has just changed it; try again");
	expect_text(place->path, "somebody's");
	unlink(place->path);
	assert_false(config_file_replace(&file, place->path, "new", 3, problem));
	assert_string_equal(problem, "cannot be examined: No such file or directory");
	assert_int_equal(access(place->path, F_OK), -1);
	assert_int_equal(access(place->fresh, F_OK), -1);
	config_file_free(&file);
}

static void what_is_no_plain_file_is_refused(void **state)
{
	struct place *place = *state;
	char problem[EDIT_PROBLEM];
	struct config_file file;

	assert_int_equal(config_file_read(&file, place->path, problem), EXIT_CONFIG);
	assert_string_equal(problem, "does not exist; make it first, an empty one will do");
	assert_int_equal(symlink("/etc/passwd", place->path), 0);
	assert_int_equal(config_file_read(&file, place->path, problem), EXIT_FILE);
	assert_non_null(strstr(problem, "is a symbolic link"));
	assert_int_equal(unlink(place->path), 0);
	assert_int_equal(mkfifo(place->path, 0600), 0);
	assert_int_equal(config_file_read(&file, place->path, problem), EXIT_CONFIG);
	assert_string_equal(problem, "is not a file");
	assert_int_equal(config_file_read(&file, place->directory, problem), EXIT_CONFIG);
	assert_int_equal(config_file_read(&file, "/dev/zero", problem), EXIT_CONFIG);
	assert_string_equal(problem, "is not a file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_value_alone_is_replaced),
		cmocka_unit_test(line_ends_stay),
		cmocka_unit_test(a_key_that_is_missing_finds_its_place),
		cmocka_unit_test(of_two_the_first_is_changed),
		cmocka_unit_test(the_sample_file_keeps_its_comments),
		cmocka_unit_test(any_file_keeps_its_sense),
		cmocka_unit_test_setup_teardown(a_file_is_replaced_as_a_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_somebody_else_changed_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_plain_file_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
