/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A blocking socket with time limits: a list must go on coming, a stream may be silent for as long as it likes.
 */
#include "ctl/talk.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <culvert/exit.h>

enum { REQUEST_MAX = 1024 };

static int refuse(const struct talk *talk, int code, const char *what)
{
	fprintf(talk->errors, "culvertctl: %s: %s\n", talk->path, what);
	return code;
}

static int refuse_connection(const struct talk *talk, int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return refuse(talk, EXIT_NOT_RUNNING,
			      "culvertd is not running, or has its socket elsewhere; see --socket");
	case EACCES:
	case EPERM:
		return refuse(talk, EXIT_PERMISSION,
			      "this user may not ask; try as root, or as a member of the socket's group");
	case EAGAIN:
		return refuse(talk, EXIT_TIMED_OUT, "culvertd does not answer");
	default:
		return refuse(talk, EXIT_NOT_RUNNING, strerror(error));
	}
}

/* The request as a line; 0 if it is too long or a word cannot stand in it. */
static size_t build_request(char request[REQUEST_MAX], const char *const *words, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(words[i]);

		if (used + length + 1 > REQUEST_MAX || length == 0)
			return 0;
		for (size_t j = 0; j < length; j++)
			if (words[i][j] < 0x21 || words[i][j] > 0x7e)
				return 0;
		memcpy(request + used, words[i], length);
		used += length;
		request[used++] = i + 1 < count ? ' ' : '\n';
	}
	return used;
}

static int refuse_words(FILE *errors)
{
	fputs("culvertctl: an argument is empty, too long, or has a blank or a character that is not printable ASCII\n",
	      errors);
	return EXIT_USAGE;
}

int talk_start(struct talk *talk, const char *path, const char *const *words, size_t count, bool is_stream,
	       FILE *errors)
{
	const struct timeval patience = {.tv_sec = TALK_PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char request[REQUEST_MAX];
	size_t length = build_request(request, words, count);

	*talk = (struct talk){.fd = -1, .path = path, .errors = errors};
	if (length == 0)
		return refuse_words(errors);
	if (strlen(path) >= sizeof(address.sun_path))
		return refuse(talk, EXIT_USAGE, "the path of a socket is shorter than that");
	memcpy(address.sun_path, path, strlen(path));
	talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (talk->fd < 0)
		return refuse(talk, EXIT_NETWORK, strerror(errno));
	if (setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    (!is_stream && setsockopt(talk->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0))
		return refuse(talk, EXIT_NETWORK, strerror(errno));
	while (connect(talk->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return refuse_connection(talk, errno);
	/* Who sends us away does not read the request, but has said why: that is read next. */
	if (send(talk->fd, request, length, MSG_NOSIGNAL) != (ssize_t)length && errno != EPIPE && errno != ECONNRESET)
		return refuse_connection(talk, errno);
	return EXIT_OK;
}

void talk_send(const struct talk *talk, const char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t sent = send(talk->fd, bytes + done, size - done, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return;
		done += sent > 0 ? (size_t)sent : 0;
	}
}

static volatile sig_atomic_t stopped;
static int stopping_fd = -1;

/* Whoever waits for the answer, or is about to, sees it end; what is in the queue can still be read. */
static void on_signal(int number)
{
	int error = errno;

	(void)number;
	stopped = 1;
	shutdown(stopping_fd, SHUT_RDWR);
	errno = error;
}

void talk_stop_at_signals(const struct talk *talk)
{
	const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)}, before;
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	stopping_fd = talk->fd;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* More bytes into the buffer. */
static int fill(struct talk *talk)
{
	ssize_t got;

	memmove(talk->buffer, talk->buffer + talk->taken, talk->used - talk->taken);
	talk->used -= talk->taken;
	talk->taken = 0;
	if (talk->used == sizeof(talk->buffer))
		return refuse(talk, EXIT_NETWORK, "cannot understand the answer: a line is too long");
	/* Time limits on a socket make Linux interrupt what waits when the process was stopped and goes on. */
	do {
		got = recv(talk->fd, talk->buffer + talk->used, sizeof(talk->buffer) - talk->used, 0);
	} while (got < 0 && errno == EINTR && !stopped);
	if (got > 0) {
		talk->used += (size_t)got;
		return EXIT_OK;
	}
	if (stopped)
		return TALK_STOPPED;
	if (got < 0 && errno == EAGAIN)
		return refuse(talk, EXIT_TIMED_OUT, "culvertd does not answer");
	return refuse(talk, EXIT_NOT_RUNNING, "culvertd ended before its answer was complete");
}

/* The last line has the exit code of culvertctl, and why if that is not 0. */
static bool has_good_code(const struct row *row)
{
	const struct row_member *code = row_find(row, "code");

	if (!code)
		return true;
	if (code->type != ROW_NUMBER || code->text[0] < '0' || code->text[0] > '0' + EXIT_TIMED_OUT || code->text[1])
		return false;
	return code->text[0] == '0' || row_text(row, "error")[0];
}

int talk_next(struct talk *talk, struct row *row, const char **line)
{
	char *start, *end, why[128];
	const char *wrong;
	int code;

	for (;;) {
		start = talk->buffer + talk->taken;
		end = memchr(start, '\n', talk->used - talk->taken);
		if (end)
			break;
		code = fill(talk);
		if (code != EXIT_OK)
			return code;
	}
	*end = '\0';
	talk->taken += (size_t)(end - start) + 1;
	*line = start;
	wrong = row_read(row, start, (size_t)(end - start));
	if (!wrong && !has_good_code(row))
		wrong = "it ends with what is no exit code, or without a reason";
	if (!wrong)
		return EXIT_OK;
	snprintf(why, sizeof(why), "cannot understand a line of the answer: %s", wrong);
	return refuse(talk, EXIT_NETWORK, why);
}

bool talk_has_line(const struct talk *talk)
{
	return memchr(talk->buffer + talk->taken, '\n', talk->used - talk->taken) != NULL;
}

void talk_end(struct talk *talk)
{
	if (talk->fd >= 0)
		close(talk->fd);
	talk->fd = -1;
}
