/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * completion bash|zsh: prints what makes that shell complete the words of culvertctl, from the lists of
 * include/culvert. The files in etc/completion are made by "make update-lists" and compared by man/check_lists.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/options.h"
#include "ctl/verbs.h"

static const char service_words[] = ""
#define SERVICE(name, section) section " "
#include <culvert/services.def>
#undef SERVICE
	;
static const char drop_words[] = ""
#define DROP(name, text, meaning, advice) text " "
#include <culvert/drops.def>
#undef DROP
	;

/* What KEY= and --KEY take, where that is a short list which the arguments of the verbs do not have. */
static const struct {
	const char *key, *values;
} values[] = {
	{"proto", "tcp udp icmp gre esp ah l2tp"},
	{"service", service_words},
	{"explain", drop_words},
	{"reason", drop_words},
	{"drops", "yes"},
	{"rehearse", "yes"},
	{"output", "table json lines tsv"},
	{"color", "always never auto"},
};

enum { VALUES = sizeof(values) / sizeof(values[0]), WORDS_MAX = 256 };

/* Keys and plain arguments whose values a running culvertd knows: what _culvertctl_live() is asked for. */
static const struct {
	const char *word, *list;
} live[] = {
	{"host", "hosts"},       {"remote", "remotes"},  {"HOST", "hosts"},
	{"ADDRESS", "hosts"},    {"ADDRESS", "remotes"}, {"TUNNEL", "tunnels"},
	{"MAPPING", "mappings"}, {"SOURCE", "hosts"},    {"DESTINATION", "remotes"},
};

enum { LIVE = sizeof(live) / sizeof(live[0]) };

static void print_verbs(void)
{
	for (size_t i = 0; i < verb_count; i++)
		printf("%s%s", i == 0 ? "" : " ", verb_texts[i].name);
}

/* What plain arguments stand for, where that is a list. */
static const struct {
	const char *placeholder, *words;
} placeholders[] = {
	{"SWITCH", "pptp l2tp ipsec ike natt esp ah"},
	{"MODE", "pass plain block on off"},
	{"PROTOCOL", "tcp udp icmp gre esp ah l2tp"},
	{"SERVICE", service_words},
	{"STATE", "requested negotiating connected blocked clearing ended"},
	{"REASON", drop_words},
};

/* A plain argument of a verb: one of several words between bars. */
struct plain {
	char text[64];
	bool is_optional;
};

/* The plain argument at this place, counted from 0; false if there is none. Keys are none. */
static bool find_plain(const struct verb_text *verb, uint32_t place, struct plain *plain)
{
	const char *at = verb->arguments;

	for (size_t length; *at; at += length) {
		at += strspn(at, " []");
		length = strcspn(at, " []");
		if (length == 0 || memchr(at, '=', length) || place-- > 0)
			continue;
		snprintf(plain->text, sizeof(plain->text), "%.*s", (int)length, at);
		plain->is_optional = at > verb->arguments && at[-1] == '[' && at[length] == ']';
		return true;
	}
	return false;
}

/* Words in small letters are themselves. Returns true if something was printed. */
static bool print_word(const char *word, const char *between)
{
	size_t length;

	for (size_t i = 0; i < sizeof(placeholders) / sizeof(placeholders[0]); i++) {
		if (strcmp(placeholders[i].placeholder, word) != 0)
			continue;
		length = strlen(placeholders[i].words);
		while (length > 0 && placeholders[i].words[length - 1] == ' ')
			length--;
		printf("%s%.*s", between, (int)length, placeholders[i].words);
		return true;
	}
	if (!strcmp(word, "VERB")) {
		fputs(between, stdout);
		print_verbs();
		return true;
	}
	if (word[0] >= 'a' && word[0] <= 'z')
		printf("%s%s", between, word);
	return word[0] >= 'a' && word[0] <= 'z';
}

/* What may stand there: KEY= words, unless something else must, and what the plain argument may be. */
static void print_words(const struct verb_text *verb, const struct plain *plain)
{
	char text[sizeof(plain->text)] = "", *rest = text, *word;
	const char *between = "";
	struct verb_key key;

	if (plain)
		snprintf(text, sizeof(text), "%s", plain->text);
	for (const char *at = NULL; (!plain || plain->is_optional) && verbs_next_key(verb, &at, &key); between = " ")
		printf("%s%s=", between, key.name);
	while (text[0] && (word = strsep(&rest, "|")))
		if (print_word(word, between))
			between = " ";
}

static bool takes_file(const struct verb_text *verb)
{
	struct plain plain;

	return find_plain(verb, 0, &plain) && !strcmp(plain.text, "FILE");
}

/* The live lists that may stand there. */
static void print_live(const struct plain *plain, const char *before, const char *between, const char *after)
{
	char text[sizeof(plain->text)], *rest = text, *word;
	bool is_first = true;

	snprintf(text, sizeof(text), "%s", plain->text);
	while ((word = strsep(&rest, "|"))) {
		for (size_t i = 0; i < LIVE; i++) {
			if (strcmp(live[i].word, word) != 0)
				continue;
			printf("%s%s", is_first ? before : between, live[i].list);
			is_first = false;
		}
	}
	if (!is_first)
		fputs(after, stdout);
}

/* Adds the words of one|two|three that are not there yet; each has a blank on both sides. */
static void add_words(char *words, size_t room, const char *list)
{
	for (size_t length; *list; list += length + (list[length] == '|')) {
		char word[sizeof(((struct verb_key *)NULL)->value) + 2];

		length = strcspn(list, "|");
		snprintf(word, sizeof(word), " %.*s ", (int)length, list);
		if (!strstr(words, word))
			snprintf(words + strlen(words), room - strlen(words), "%s", word + 1);
	}
}

/* The words that the arguments of verbs name for a key, all verbs together: blanks between them, and around; " " if
 * there are none. */
static void find_listed(const char *name, char words[WORDS_MAX])
{
	struct verb_key key;

	snprintf(words, WORDS_MAX, " ");
	for (size_t i = 0; i < verb_count; i++)
		for (const char *at = NULL; verbs_next_key(&verb_texts[i], &at, &key);)
			if (!strcmp(key.name, name) && strchr(key.value, '|'))
				add_words(words, WORDS_MAX, key.value);
}

static bool has_values(const char *key)
{
	char words[WORDS_MAX];

	find_listed(key, words);
	if (words[1])
		return true;
	for (size_t i = 0; i < LIVE; i++)
		if (!strcmp(live[i].word, key))
			return true;
	for (size_t i = 0; i < VALUES; i++)
		if (!strcmp(values[i].key, key))
			return true;
	return false;
}

/* The keys of all verbs, each once, or only those whose values are in no list. */
static void print_all_keys(const char *before, const char *between, bool only_free)
{
	struct verb_key key, earlier;
	const char *at, *other_at;
	bool is_first = true;

	for (size_t i = 0; i < verb_count; i++) {
		for (at = NULL; verbs_next_key(&verb_texts[i], &at, &key);) {
			bool seen = only_free && has_values(key.name);

			for (size_t j = 0; j < i && !seen; j++)
				for (other_at = NULL; !seen && verbs_next_key(&verb_texts[j], &other_at, &earlier);)
					seen = !strcmp(earlier.name, key.name);
			if (!seen)
				printf("%s%s%s", is_first ? "" : between, before, key.name);
			is_first = is_first && seen;
		}
	}
}

/* How a shell says what stands behind a verb: files, or words, and what culvertd knows. */
struct branches {
	const char *indent, *files, *before, *after;
	const char *live_before, *live_between, *live_after;
};

/* The branches of a "case" over verbs and places behind them; at the last place, and behind it, keys may stand. */
static void print_branches(const struct branches *how)
{
	struct plain plain;

	for (size_t i = 0; i < verb_count; i++) {
		const struct verb_text *verb = &verb_texts[i];

		if (!verb->arguments[0])
			continue;
		if (takes_file(verb)) {
			printf("%s%s:*) %s ;;\n", how->indent, verb->name, how->files);
			continue;
		}
		for (uint32_t place = 0; find_plain(verb, place, &plain); place++) {
			printf("%s%s:%u) %s", how->indent, verb->name, place, how->before);
			print_words(verb, &plain);
			fputs(how->after, stdout);
			print_live(&plain, how->live_before, how->live_between, how->live_after);
			fputs(" ;;\n", stdout);
		}
		printf("%s%s:*) %s", how->indent, verb->name, how->before);
		print_words(verb, NULL);
		printf("%s ;;\n", how->after);
	}
}

/* The same over keys with live lists. */
static void print_live_keys(const char *indent, const char *before, const char *after)
{
	for (size_t i = 0; i < LIVE; i++)
		if (live[i].word[0] >= 'a')
			printf("%s%s) %s%s%s ;;\n", indent, live[i].word, before, live[i].list, after);
}

/* In both shells the same. Names that hosts and peers have chosen are never asked for, and what culvertd answers is
 * taken only if no shell sees more in it than a word. */
static void print_live_function(void)
{
	fputs("# _culvertctl_live LIST PROGRAM SOCKET WORD: what a running culvertd knows, a word a line; nothing if none runs.\n# Numbers of mappings say nothing to people: only if a digit was typed.\n"
	      "_culvertctl_live()\n{\n"
	      "\tlocal program=$2 socket=${3:-" OPTIONS_SOCKET "}\n\n"
	      "\tcase $1 in\n"
	      "\thosts) set -- internal-src-address top show=hosts limit=100 ;;\n"
	      "\tremotes) set -- external-dst-address tunnels ;;\n"
	      "\ttunnels) set -- id tunnels ;;\n"
	      "\tmappings)\n\t\t[[ $4 == [0-9]* ]] || return 0\n\t\tset -- index mappings limit=100\n\t\t;;\n"
	      "\tesac\n"
	      "\t{\n"
	      "\t\ttimeout 1 \"$program\" --socket \"$socket\" -o tsv \"${@:2}\" </dev/null | awk -F '\\t' -v name=\"$1\" '\n"
	      "\t\t\t/^#/ {\n"
	      "\t\t\t\tcolumn = end = 0\n"
	      "\t\t\t\tfor (i = 1; i <= NF; i++) {\n"
	      "\t\t\t\t\tif ($i == name)\n\t\t\t\t\t\tcolumn = i\n"
	      "\t\t\t\t\tif ($i == \"end\")\n\t\t\t\t\t\tend = i\n"
	      "\t\t\t\t}\n"
	      "\t\t\t\tnext\n"
	      "\t\t\t}\n"
	      "\t\t\tcolumn && (!end || $end == \"\") && $column ~ /^[0-9a-z][0-9a-z.-]*$/ && !seen[$column]++ {\n"
	      "\t\t\t\tprint $column\n"
	      "\t\t\t}'\n"
	      "\t} 2>/dev/null\n"
	      "}\n\n",
	      stdout);
}

/* The same with options for keys. */
static void print_option_branches(const char *indent, const char *before, const char *after)
{
	struct verb_key key;

	for (size_t i = 0; i < verb_count; i++) {
		const char *at = NULL, *between = before;

		for (; verbs_next_key(&verb_texts[i], &at, &key); between = " ") {
			if (between == before)
				printf("%s%s) ", indent, verb_texts[i].name);
			printf("%s--%s", between, key.name);
		}
		if (at)
			printf("%s ;;\n", after);
	}
}

/* How a shell says what the values of a key are: words, and which of its variables is the verb. */
struct listing {
	const char *indent, *before, *after, *verb;
};

/* The words of a list one|two|three. */
static void print_list(const char *list)
{
	for (; *list; list++)
		putchar(*list == '|' ? ' ' : *list);
}

/* A branch for a key whose words depend on the verb, where $VERB says which: those of each, and all if it is none of
 * them, as where it is abbreviated. */
static void print_branch_of_verbs(const struct listing *how, const char *name, const char *words)
{
	struct verb_key key;

	printf("%s%s)\n%s\tcase $%s in\n", how->indent, name, how->indent, how->verb);
	for (size_t i = 0; i < verb_count; i++) {
		for (const char *at = NULL; verbs_next_key(&verb_texts[i], &at, &key);) {
			if (strcmp(key.name, name) != 0)
				continue;
			printf("%s\t%s) %s", how->indent, verb_texts[i].name, how->before);
			print_list(key.value);
			printf("%s ;;\n", how->after);
		}
	}
	printf("%s\t*) %s%.*s%s ;;\n%s\tesac\n%s\t;;\n", how->indent, how->before, (int)strlen(words) - 2, words + 1,
	       how->after, how->indent, how->indent);
}

/* All verbs that have the key name the same words for it. */
static bool is_same_for_all(const char *name, const char *value)
{
	struct verb_key key;

	for (size_t i = 0; i < verb_count; i++)
		for (const char *at = NULL; verbs_next_key(&verb_texts[i], &at, &key);)
			if (!strcmp(key.name, name) && strcmp(key.value, value) != 0)
				return false;
	return true;
}

static void print_listed_branches(const struct listing *how)
{
	char keys[WORDS_MAX] = " ", words[WORDS_MAX];
	struct verb_key key;

	for (size_t i = 0; i < verb_count; i++) {
		for (const char *at = NULL; verbs_next_key(&verb_texts[i], &at, &key);) {
			size_t known = strlen(keys);

			if (!strchr(key.value, '|'))
				continue;
			add_words(keys, sizeof(keys), key.name);
			if (strlen(keys) == known)
				continue;
			find_listed(key.name, words);
			if (is_same_for_all(key.name, key.value))
				printf("%s%s) %s%.*s%s ;;\n", how->indent, key.name, how->before,
				       (int)strlen(words) - 2, words + 1, how->after);
			else
				print_branch_of_verbs(how, key.name, words);
		}
	}
}

static void print_value_branches(const struct listing *how)
{
	for (size_t i = 0; i < VALUES; i++) {
		size_t length = strlen(values[i].values);

		while (length > 0 && values[i].values[length - 1] == ' ')
			length--;
		printf("%s%s) %s%.*s%s ;;\n", how->indent, values[i].key, how->before, (int)length, values[i].values,
		       how->after);
	}
	print_listed_branches(how);
}

/* What a word may be that is no value: an option, the verb, or what stands behind it. */
static void print_bash_words(void)
{
	static const struct branches branches = {"\t\t\t", "files=1", "words='", "'", " live='", " ", "'"};

	fputs("\t*)\n"
	      "\t\tif [[ $word == -* ]]; then\n"
	      "\t\t\twords='-j -J -o -w -q -y -V",
	      stdout);
	for (const char *const *name = options_names; *name; name++)
		printf(" %s", *name);
	fputs("'\n\t\t\tcase $verb in\n", stdout);
	print_option_branches("\t\t\t", "words+=' ", "'");
	fputs("\t\t\tesac\n\t\telif [[ ! $verb ]]; then\n\t\t\twords='", stdout);
	print_verbs();
	fputs("'\n\t\telse\n\t\t\tcase $verb:$place in\n", stdout);
	print_branches(&branches);
	fputs("\t\t\tesac\n\t\tfi\n\t\t;;\n", stdout);
}

static void print_bash(void)
{
	fputs("# SPDX-License-Identifier: BSD-2-Clause\n"
	      "# Completion of culvertctl in bash; made from the lists of culvert by make update-lists.\n",
	      stdout);
	print_live_function();
	fputs("_culvertctl()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} key= verb= words= i\n"
	      "\tlocal socket= live= files= option place=0\n\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\toption=${COMP_WORDS[i]}\n"
	      "\t\tcase $option in\n"
	      "\t\t-o | -w | --output | --color | --socket | --write | ",
	      stdout);
	print_all_keys("--", " | ", false);
	fputs(")\n"
	      "\t\t\t[[ ${COMP_WORDS[i + 1]} == \"=\" ]] && ((i++))\n"
	      "\t\t\t((i++))\n"
	      "\t\t\t[[ $option == --socket ]] && socket=${COMP_WORDS[i]}\n"
	      "\t\t\t;;\n"
	      "\t\t-* | show | list) ;;\n"
	      "\t\t*)\n"
	      "\t\t\t[[ $verb ]] && ((place++))\n"
	      "\t\t\t[[ $verb && ${COMP_WORDS[i + 1]} == \"=\" ]] && ((i += 2, place--))\n"
	      "\t\t\tverb=${verb:-$option}\n"
	      "\t\t\t;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tif [[ $word == \"=\" ]]; then\n"
	      "\t\tkey=$before word=\n"
	      "\telif [[ $before == \"=\" ]]; then\n"
	      "\t\tkey=${COMP_WORDS[COMP_CWORD - 2]}\n"
	      "\telif [[ $before == -* ]]; then\n"
	      "\t\tkey=${before/#-o/--output}\n"
	      "\tfi\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase ${key#--} in\n"
	      "\tsocket | -w | write) files=1 ;;\n",
	      stdout);
	print_value_branches(&(struct listing){"\t", "words='", "'", "verb"});
	print_live_keys("\t", "live=", "");
	fputs("\t", stdout);
	print_all_keys("", " | ", true);
	fputs(") ;;\n", stdout);
	print_bash_words();
	fputs("\tesac\n"
	      "\tif [[ $files ]]; then\n"
	      "\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tfor i in $live; do\n"
	      "\t\twords+=\" $(_culvertctl_live \"$i\" \"${1:-culvertctl}\" \"$socket\" \"$word\")\"\n"
	      "\tdone\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	      "\tif [[ ${COMPREPLY[0]} == *= ]]; then\n"
	      "\t\tcompopt -o nospace 2>/dev/null\n"
	      "\tfi\n"
	      "}\n"
	      "complete -F _culvertctl culvertctl\n",
	      stdout);
}

/* In single quotes of zsh, where _arguments and _describe see a colon as the end of a name. */
static void print_quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else
			printf(*text == ':' ? "\\%c" : "%c", *text);
	}
}

/* As _arguments wants to have options that take a value. */
static void print_zsh_options(const struct verb_text *verb)
{
	const char *at = NULL;
	struct verb_key key;

	printf("\t\t%s)\n\t\t\tkeys=(", verb->name);
	for (uint32_t i = 0; verbs_next_key(verb, &at, &key); i++)
		printf("%s'--%s=:%s:_culvertctl_value %s %s'", i == 0 ? "" : " ", key.name, key.value, key.name,
		       verb->name);
	fputs(")\n\t\t\tbreak\n\t\t\t;;\n", stdout);
}

static void print_zsh_arguments(void)
{
	static const struct branches branches = {
		"\t",
		"_files",
		"compadd -S '' -- ",
		"",
		"; compadd -- $(_culvertctl_live ",
		" $program \"$socket\" \"$PREFIX\") $(_culvertctl_live ",
		" $program \"$socket\" \"$PREFIX\")",
	};

	fputs("_culvertctl_value()\n{\n\tcase $1 in\n", stdout);
	print_value_branches(&(struct listing){"\t", "compadd -- ", "", "2"});
	print_live_keys("\t", "compadd -- $(_culvertctl_live ", " $program \"$socket\" \"$PREFIX\")");
	fputs("\tesac\n}\n\n"
	      "_culvertctl_argument()\n{\n"
	      "\tlocal key=${PREFIX%%=*} word place=0\n\n"
	      "\tif [[ $PREFIX == *=* ]]; then\n"
	      "\t\tcompset -P '*='\n"
	      "\t\t_culvertctl_value $key $1\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tfor word in ${words[2,CURRENT-1]}; do\n"
	      "\t\t[[ $word == *=* ]] || ((place++))\n"
	      "\tdone\n"
	      "\tcase $1:$place in\n",
	      stdout);
	print_branches(&branches);
	fputs("\tesac\n}\n\n", stdout);
}

static void print_zsh(void)
{
	fputs("#compdef culvertctl\n"
	      "# SPDX-License-Identifier: BSD-2-Clause\n"
	      "# Completion of culvertctl in zsh; made from the lists of culvert by make update-lists.\n",
	      stdout);
	print_live_function();
	print_zsh_arguments();
	fputs("_culvertctl()\n{\n"
	      "\tlocal context state line word program=$words[1] socket\n"
	      "\tlocal -a verbs keys\n\n"
	      "\tsocket=${words[(r)--socket=*]#--socket=}\n"
	      "\t[[ $words[(r)--socket] ]] && socket=$words[${words[(i)--socket]}+1]\n"
	      "\tverbs=(\n",
	      stdout);
	for (size_t i = 0; i < verb_count; i++) {
		printf("\t\t'%s:", verb_texts[i].name);
		print_quoted(verb_texts[i].sentence);
		fputs("'\n", stdout);
	}
	fputs("\t)\n"
	      "\tfor word in $words[2,-1]; do\n"
	      "\t\tcase $word in\n",
	      stdout);
	for (size_t i = 0; i < verb_count; i++)
		print_zsh_options(&verb_texts[i]);
	fputs("\t\tesac\n"
	      "\tdone\n"
	      "\t_arguments -C \\\n"
	      "\t\t'(-j --json)'{-j,--json}'[one JSON document]' \\\n"
	      "\t\t'(-J --lines)'{-J,--lines}'[JSON, an object a line]' \\\n"
	      "\t\t'(-o --output)'{-o,--output}'[the form of the answer]:form:_culvertctl_value output' \\\n"
	      "\t\t'--color[when to use colours]:when:_culvertctl_value color' \\\n"
	      "\t\t'--socket[the control socket]:path:_files' \\\n"
	      "\t\t'--watch[again every second]' \\\n"
	      "\t\t'(-w --write)'{-w,--write}'[a pcapng file of a capture]:path:_files' \\\n"
	      "\t\t'(-q --quiet)'{-q,--quiet}'[nothing but the exit code of status]' \\\n"
	      "\t\t'(-y --yes)'{-y,--yes}'[no question before tunnels end]' \\\n"
	      "\t\t'(-V --version)'{-V,--version}'[print the version]' \\\n"
	      "\t\t'(-h --help)'{-h,--help}'[print help]' \\\n"
	      "\t\t$keys '1:verb:->verb' '*::argument:->argument'\n"
	      "\tcase $state in\n"
	      "\tverb) _describe verb verbs ;;\n"
	      "\targument) _culvertctl_argument $line[1] ;;\n"
	      "\tesac\n"
	      "}\n\n"
	      "_culvertctl \"$@\"\n",
	      stdout);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "bash")) {
		print_bash();
	} else if (argc == 2 && !strcmp(argv[1], "zsh")) {
		print_zsh();
	} else {
		fputs("usage: completion bash|zsh\n", stderr);
		return EXIT_FAILURE;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
