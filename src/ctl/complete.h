/* SPDX-License-Identifier: BSD-2-Clause */
/* culvertctl --complete WORD...: what the last word may become, for the scripts in etc/completion. */
#ifndef CULVERT_CTL_COMPLETE_H
#define CULVERT_CTL_COMPLETE_H

/* Prints words, a line each, with a tab and what it does behind a word of which that is known. Says no errors and ends
 * within a second. words are those behind the program's name, the last one as far as it is typed. An exit code;
 * EXIT_FILE: the name of a file may stand there. */
int complete_words(int count, char **words);

#endif
