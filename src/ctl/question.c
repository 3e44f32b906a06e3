/* SPDX-License-Identifier: BSD-2-Clause */
/* mode WHAT HOW, with rehearse=yes before it is done. */
#include "ctl/question.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/human.h"
#include "ctl/options.h"
#include "ctl/verbs.h"

enum { SENTENCE = 256 };

/* What would end, as a sentence; empty if nothing would. */
static void rehearse(const struct ctl_options *options, struct talk *talk, struct row *row, char sentence[SENTENCE])
{
	const char *const words[] = {options->words[0], options->words[1], options->words[2], "rehearse=yes"};
	FILE *nowhere = fopen("/dev/null", "we");
	const char *line;

	sentence[0] = '\0';
	if (!nowhere)
		return;
	talk->fd = -1;
	if (talk_start(talk, options->socket, words, sizeof(words) / sizeof(words[0]), false, nowhere) == EXIT_OK)
		while (talk_next(talk, row, &line) == EXIT_OK && !row_find(row, "code"))
			if (!strcmp(row_text(row, "kind"), "mode-change") && row_number(row, "tunnels") > 0)
				snprintf(sentence, SENTENCE, "%s", row_text(row, "text"));
	talk_end(talk);
	fclose(nowhere);
}

bool question_allows(const struct ctl_options *options, struct talk *talk, struct row *row)
{
	char sentence[SENTENCE], answer[16] = "", *shown;

	if (options->yes || strcmp(options->verb->name, "mode") != 0 || options->count != 3 || !isatty(STDIN_FILENO) ||
	    !isatty(STDERR_FILENO))
		return true;
	rehearse(options, talk, row, sentence);
	if (!sentence[0])
		return true;
	shown = human_escape(sentence);
	fprintf(stderr, "culvertctl: %s; go on? [y/N] ", shown ? shown : "tunnels would end");
	free(shown);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	fputs("culvertctl: nothing has changed\n", stderr);
	return false;
}
