/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of the live screen. It waits for keys, signals (which are read like keys, so that nothing is done inside a
 * handler) and the lines of culvertd; a daemon that hangs never holds up a key. Sequences are those of ECMA-48, and of
 * xterm for the second screen, which every terminal of today knows.
 */
#include "ctl/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/talk.h"
#include "ctl/top_view.h"
#include "io/clock.h"

enum { PERIOD_MS = 1000, PATIENCE_MS = 1000 * TALK_PATIENCE_S, KEYS_MAX = 64, MESSAGE_MAX = 256 };

struct top {
	const struct ctl_options *options;
	struct top_view view;
	struct top_frame frame[2]; /* shown, and the one that comes */
	struct top_frame *coming;
	enum top_sort asked_sort; /* of the one that comes */
	struct talk talk;
	struct row row;
	bool is_asking;
	uint64_t asked_ms, next_ms; /* when the last question was asked, and when the next one is due */
	FILE *errors;               /* writes to message */
	char message[MESSAGE_MAX];
	int signals; /* a signalfd */
	sigset_t mask;
	struct termios normal;
	bool on_screen;
	bool is_over;
	int code, signal; /* then: the exit code, or the signal to die of */
};

/* --- the terminal --- */

static void write_all(const char *bytes, size_t length)
{
	ssize_t written;

	while (length > 0) {
		written = write(STDOUT_FILENO, bytes, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* the terminal has gone, and SIGHUP says so */
		bytes += written;
		length -= (size_t)written;
	}
}

static void enter_screen(struct top *top)
{
	static const char sequence[] = "\033[?1049h\033[?25l\033[2J";
	struct termios raw = top->normal;

	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	write_all(sequence, sizeof(sequence) - 1);
	top->on_screen = true;
}

static void leave_screen(struct top *top)
{
	static const char sequence[] = "\033[0m\033[?25h\033[?1049l";

	if (!top->on_screen)
		return;
	write_all(sequence, sizeof(sequence) - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &top->normal);
	top->on_screen = false;
}

static void measure(struct top_view *view)
{
	struct winsize size;

	view->rows = 24;
	view->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
		view->rows = size.ws_row;
		view->columns = size.ws_col;
	}
}

static void draw(struct top *top)
{
	char *bytes = NULL;
	size_t length = 0;
	FILE *memory;

	if (!top->on_screen)
		return;
	memory = open_memstream(&bytes, &length);
	if (!memory)
		return; /* the next frame may fit again */
	top_view_draw(&top->view, memory);
	if (fclose(memory) == 0)
		write_all(bytes, length);
	free(bytes);
}

static void quit(struct top *top, int code)
{
	top->is_over = true;
	top->code = code;
}

/* --- culvertd --- */

/* Before the first frame an error is the end; later it is shown, and culvertd is asked again. */
static void fail(struct top *top, int code)
{
	const char *colon;
	char *end;

	fflush(top->errors);
	end = strchr(top->message, '\n');
	if (end)
		*end = '\0';
	talk_end(&top->talk);
	top->is_asking = false;
	if (!top->view.now->is_there) {
		quit(top, code);
		return;
	}
	/* Behind the name of the program and the path there is more room for what matters. */
	colon = strstr(top->message, ": ");
	colon = colon ? strstr(colon + 2, ": ") : NULL;
	top->view.message = colon ? colon + 2 : top->message;
	draw(top);
}

static void ask(struct top *top)
{
	char show[32], sort[32], limit[32];
	const char *words[] = {"top", show, sort, limit};
	uint32_t wanted = top->view.first + top_view_room(&top->view);
	int code;

	talk_end(&top->talk);
	rewind(top->errors);
	snprintf(show, sizeof(show), "show=%s", top->view.shows_hosts ? "hosts" : "tunnels");
	snprintf(sort, sizeof(sort), "sort=%s", top_sort_name(top->view.sort));
	snprintf(limit, sizeof(limit), "limit=%u", wanted < TOP_LINES_MAX ? wanted : TOP_LINES_MAX);
	top->asked_sort = top->view.sort;
	top->asked_ms = clock_now_ms();
	top->next_ms = top->asked_ms + PERIOD_MS;
	top_frame_start(top->coming);
	code = talk_start(&top->talk, top->options->socket, words, sizeof(words) / sizeof(words[0]), false,
			  top->errors);
	top->is_asking = code == EXIT_OK;
	if (code != EXIT_OK)
		fail(top, code);
}

static void show_frame(struct top *top)
{
	struct top_view *view = &top->view;
	struct top_frame *shown = view->now;

	top->is_asking = false;
	talk_end(&top->talk);
	view->message = "";
	top_frame_end(top->coming, shown, top->asked_sort);
	view->now = top->coming;
	top->coming = shown;
	view->waits = false;
	if (view->first > 0 && view->first >= view->now->lines)
		view->first = view->now->lines > 0 ? view->now->lines - 1 : 0;
	if (!top->on_screen)
		enter_screen(top);
	draw(top);
}

static void take_lines(struct top *top)
{
	const struct row_member *last;
	const char *line;
	int code;

	do {
		code = talk_next(&top->talk, &top->row, &line);
		if (code != EXIT_OK) {
			fail(top, code);
			return;
		}
		last = row_find(&top->row, "code");
		if (!last) {
			top_frame_add(top->coming, &top->row);
		} else if (row_member_number(last) == EXIT_OK) {
			show_frame(top);
		} else {
			fprintf(top->errors, "culvertctl: %s", row_text(&top->row, "error"));
			fail(top, (int)row_member_number(last));
		}
	} while (!last && talk_has_line(&top->talk));
}

/* --- keys and signals --- */

/* Something else is to be shown: not before the next answer, which is asked for now. */
static void change(struct top *top, bool hosts, enum top_sort sort)
{
	if (hosts != top->view.shows_hosts) {
		top->view.now->lines = 0;
		top->view.waits = true;
	}
	top->view.shows_hosts = hosts;
	top->view.sort = sort;
	top->view.first = 0;
	top->view.shows_help = false;
	top->next_ms = 0;
	top->is_asking = false;
}

static void scroll(struct top *top, int32_t by)
{
	struct top_view *view = &top->view;
	uint32_t room = top_view_room(view);

	if (by < 0)
		view->first -= view->first < (uint32_t)-by ? view->first : (uint32_t)-by;
	else if (view->now->lines >= view->first + room && view->first + room + (uint32_t)by <= TOP_LINES_MAX)
		view->first += (uint32_t)by;
	top->next_ms = 0;
}

/* What stands behind ESC [ or ESC O. */
static void press_arrow(struct top *top, char letter)
{
	int32_t page = (int32_t)top_view_room(&top->view);

	if (letter == 'A')
		scroll(top, -1);
	else if (letter == 'B')
		scroll(top, 1);
	else if (letter == 'C' || letter == 'D')
		change(top, !top->view.shows_hosts, top->view.sort);
	else if (letter == '5')
		scroll(top, -page);
	else if (letter == '6')
		scroll(top, page);
	else if (letter == 'H' || letter == '1')
		scroll(top, -TOP_LINES_MAX);
}

static void press(struct top *top, char key)
{
	struct top_view *view = &top->view;

	if (key == 'q')
		quit(top, EXIT_OK);
	else if (key == '?')
		view->shows_help = !view->shows_help;
	else if (key == 'b')
		change(top, view->shows_hosts, TOP_BY_BYTES);
	else if (key == 'p')
		change(top, view->shows_hosts, TOP_BY_PACKETS);
	else if (key == 'a')
		change(top, view->shows_hosts, TOP_BY_AGE);
	else if (key == 'h')
		change(top, !view->shows_hosts, view->sort);
	else if (key == 'd')
		view->shows_drops = !view->shows_drops;
}

static void take_keys(struct top *top)
{
	char keys[KEYS_MAX];
	ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));

	if (count <= 0) {
		if (count == 0 || (errno != EINTR && errno != EAGAIN))
			quit(top, EXIT_OK); /* nobody is there any more */
		return;
	}
	for (ssize_t i = 0; i < count && !top->is_over; i++) {
		if (keys[i] != '\033') {
			press(top, keys[i]);
		} else if (i + 2 < count && (keys[i + 1] == '[' || keys[i + 1] == 'O')) {
			press_arrow(top, keys[i + 2]);
			i += 2 + (i + 3 < count && keys[i + 3] == '~');
		}
	}
	draw(top);
}

/* Ctrl-Z: the shell gets its terminal as it was. */
static void stop(struct top *top)
{
	leave_screen(top);
	raise(SIGSTOP);
	measure(&top->view);
	enter_screen(top);
	top->next_ms = 0;
}

static void take_signal(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		measure(&top->view);
		top->next_ms = 0;
		draw(top);
	} else if (info.ssi_signo == SIGTSTP) {
		stop(top);
	} else {
		top->is_over = true;
		top->signal = (int)info.ssi_signo;
	}
}

/* --- the loop --- */

static void wait_and_work(struct top *top)
{
	struct pollfd descriptors[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = top->signals, .events = POLLIN},
		{.fd = top->is_asking ? top->talk.fd : -1, .events = POLLIN},
	};
	uint64_t now = clock_now_ms(), due = top->is_asking ? top->asked_ms + PATIENCE_MS : top->next_ms;

	if (due <= now && top->is_asking) {
		fprintf(top->errors, "culvertctl: %s: culvertd does not answer", top->options->socket);
		fail(top, EXIT_TIMED_OUT);
		return;
	}
	if (due <= now) {
		ask(top);
		return;
	}
	if (poll(descriptors, sizeof(descriptors) / sizeof(descriptors[0]), (int)(due - now)) <= 0)
		return;
	if (descriptors[1].revents)
		take_signal(top);
	else if (descriptors[0].revents)
		take_keys(top);
	else if (descriptors[2].revents)
		take_lines(top);
}

static int refuse(const char *why)
{
	fprintf(stderr, "culvertctl: top: %s\n", why);
	return EXIT_USAGE;
}

static int read_words(struct top *top)
{
	for (size_t i = 1; i < top->options->count; i++) {
		const char *word = top->options->words[i];
		bool is_known = !strcmp(word, "show=tunnels") || !strcmp(word, "show=hosts");

		if (!strcmp(word, "show=hosts"))
			top->view.shows_hosts = true;
		for (int sort = 0; sort < TOP_SORTS && !strncmp(word, "sort=", 5); sort++) {
			if (strcmp(word + 5, top_sort_name((enum top_sort)sort)) != 0)
				continue;
			top->view.sort = (enum top_sort)sort;
			is_known = true;
		}
		if (!is_known)
			return refuse("the live screen takes show=tunnels or hosts, and sort=bytes, packets or age");
	}
	return EXIT_OK;
}

/* The signals that end, stop or resize it are read from a descriptor. */
static bool take_over_signals(struct top *top, sigset_t *normal)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

	sigemptyset(&top->mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&top->mask, numbers[i]);
	top->signals = signalfd(-1, &top->mask, SFD_CLOEXEC);
	return top->signals >= 0 && sigprocmask(SIG_BLOCK, &top->mask, normal) == 0;
}

static int run(struct top *top)
{
	sigset_t normal;

	if (tcgetattr(STDIN_FILENO, &top->normal) < 0 || !take_over_signals(top, &normal)) {
		fprintf(stderr, "culvertctl: the terminal: %s\n", strerror(errno));
		return EXIT_FILE;
	}
	measure(&top->view);
	while (!top->is_over)
		wait_and_work(top);
	leave_screen(top);
	talk_end(&top->talk);
	close(top->signals);
	sigprocmask(SIG_SETMASK, &normal, NULL);
	if (top->signal)
		raise(top->signal);
	if (top->code != EXIT_OK)
		fprintf(stderr, "%s\n", top->message);
	return top->code;
}

int top_run(const struct ctl_options *options)
{
	struct top *top;
	int code;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return refuse(
			"the live screen needs a terminal; --json, --lines or --output tsv print its numbers once");
	top = calloc(1, sizeof(*top));
	if (!top) {
		fputs("culvertctl: out of memory\n", stderr);
		return EXIT_NETWORK;
	}
	top->options = options;
	top->talk.fd = -1;
	top->view = (struct top_view){
		.in_colour = options->in_colour,
		.message = "",
		.now = &top->frame[0],
	};
	top->coming = &top->frame[1];
	top->errors = fmemopen(top->message, sizeof(top->message), "w");
	code = read_words(top);
	if (code == EXIT_OK && !top->errors)
		code = refuse(strerror(errno));
	if (code == EXIT_OK)
		code = run(top);
	if (top->errors)
		fclose(top->errors);
	free(top);
	return code;
}
