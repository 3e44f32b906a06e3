/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libevent's HTTP server knows neither how many connections it has nor how long one may take, and does not say when one
 * goes. So each connection gets a buffer of ours, of which we keep a reference: once nobody wants to hear of its events
 * the server has let go of it. A sweep looks for that; it also shuts down the sockets of those that take too long,
 * which the server sees as the peer's end. While all places are taken nothing is accepted.
 */
#include "observe/metrics_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include <culvert/exit.h>

#include "config/config.h"
#include "io/clock.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "observe/metrics_listen.h"

enum { SWEEP_MS = 50 };

/* One connection. */
struct peer {
	struct bufferevent *buffer;     /* NULL: a free place */
	struct evhttp_request *request; /* that waits for the text, or NULL */
	uint64_t since_ms;
};

struct metrics_http {
	struct metrics_source source;
	struct log *log;
	struct metrics_census census;
	struct metrics_listener socket;
	struct event_base *base;
	struct evconnlistener *listener; /* the server's */
	struct evhttp *server;
	struct event *turn, *sweep;
	uint64_t made_ms; /* when the text was made last */
	struct peer peer[METRICS_PEERS];
};

/* For on_accept_error(), which is handed what the server has given the listener. */
static struct metrics_http *the_one;

static bool somebody_waits(const struct metrics_http *http)
{
	for (unsigned int i = 0; i < METRICS_PEERS; i++)
		if (http->peer[i].request)
			return true;
	return false;
}

static void set_turn(struct metrics_http *http, uint64_t delay_ms)
{
	const struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
				      .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};

	evtimer_add(http->turn, &delay);
}

/* --- the answer --- */

static void answer(struct evhttp_request *request, const char *text, size_t length)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evhttp_request_get_output_buffer(request);

	evhttp_add_header(headers, "Connection", "close");
	if (!text || evbuffer_add(body, text, length) != 0) {
		evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	evhttp_add_header(headers, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static void on_turn(evutil_socket_t fd, short what, void *argument)
{
	struct metrics_http *http = argument;
	size_t length = 0;
	char *text;

	(void)fd;
	(void)what;
	if (!metrics_census_go_on(&http->census, http->source.engine, clock_now_ms())) {
		set_turn(http, 0);
		return;
	}
	text = http->source.text(http->source.context, &http->census, &length);
	http->made_ms = clock_now_ms();
	for (unsigned int i = 0; i < METRICS_PEERS; i++) {
		struct evhttp_request *request = http->peer[i].request;

		if (!request)
			continue;
		http->peer[i].request = NULL;
		answer(request, text, length);
	}
	free(text);
}

static struct peer *find_peer(struct metrics_http *http, struct evhttp_request *request)
{
	const struct bufferevent *buffer = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));

	for (unsigned int i = 0; i < METRICS_PEERS; i++)
		if (http->peer[i].buffer && http->peer[i].buffer == buffer)
			return &http->peer[i];
	return NULL;
}

/* The connection ends, and the request with it. */
static void on_close(struct evhttp_connection *connection, void *argument)
{
	struct peer *peer = argument;

	(void)connection;
	peer->request = NULL;
}

static void on_metrics(struct evhttp_request *request, void *argument)
{
	struct metrics_http *http = argument;
	struct peer *peer = find_peer(http, request);
	uint64_t now_ms = clock_now_ms(), next_ms = http->made_ms + METRICS_PAUSE_MS;

	if (!peer) {
		evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	if (!somebody_waits(http)) {
		memset(&http->census, 0, sizeof(http->census));
		set_turn(http, next_ms > now_ms ? next_ms - now_ms : 0);
	}
	peer->request = request;
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, peer);
}

static void on_anything_else(struct evhttp_request *request, void *argument)
{
	(void)argument;
	evhttp_send_error(request, HTTP_NOTFOUND, NULL);
}

/* --- connections --- */

/* True once the server has let go of it. */
static bool is_over(struct bufferevent *buffer)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(buffer, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void set_sweep(struct metrics_http *http)
{
	static const struct timeval delay = {.tv_usec = SWEEP_MS * 1000L};

	if (!evtimer_pending(http->sweep, NULL))
		evtimer_add(http->sweep, &delay);
}

static void on_sweep(evutil_socket_t fd, short what, void *argument)
{
	struct metrics_http *http = argument;
	uint64_t now_ms = clock_now_ms();
	unsigned int peers = 0;

	(void)fd;
	(void)what;
	for (unsigned int i = 0; i < METRICS_PEERS; i++) {
		struct peer *peer = &http->peer[i];

		if (!peer->buffer)
			continue;
		if (is_over(peer->buffer)) {
			bufferevent_decref(peer->buffer);
			*peer = (struct peer){.buffer = NULL};
			continue;
		}
		peers++;
		if (now_ms - peer->since_ms >= METRICS_PEER_S * UINT64_C(1000))
			shutdown(bufferevent_getfd(peer->buffer), SHUT_RDWR);
	}
	if (peers)
		set_sweep(http);
	if (peers < METRICS_PEERS)
		evconnlistener_enable(http->listener);
}

/* Called for each connection that was accepted, before anything else. */
static struct bufferevent *make_buffer(struct event_base *base, void *argument)
{
	struct metrics_http *http = argument;
	struct bufferevent *buffer;
	struct peer *place = NULL;
	unsigned int places = 0;

	for (unsigned int i = 0; i < METRICS_PEERS; i++) {
		if (!http->peer[i].buffer) {
			place = &http->peer[i];
			places++;
		}
	}
	if (places <= 1)
		evconnlistener_disable(http->listener);
	buffer = place ? bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!buffer)
		return NULL; /* the server makes one of its own, and the request is refused */
	/* Nobody needs more, and nobody takes anything out of it once the server has let go. */
	bufferevent_setwatermark(buffer, EV_READ, 0, (size_t)2 * METRICS_HEADERS_MAX);
	bufferevent_incref(buffer);
	*place = (struct peer){.buffer = buffer, .since_ms = clock_now_ms()};
	set_sweep(http);
	return buffer;
}

/* Who cannot be let in stays in the kernel's queue, and the listener would be ready all the time: it has a pause. */
static void on_accept_error(struct evconnlistener *listener, void *argument)
{
	struct metrics_http *http = the_one;

	(void)argument;
	log_write(http->log, LOG_WARNING, "cannot accept a connection for metrics: %s", strerror(errno));
	evconnlistener_disable(listener);
	set_sweep(http);
}

/* --- life --- */

static bool start_server(struct metrics_http *http)
{
	http->turn = evtimer_new(http->base, on_turn, http);
	http->sweep = evtimer_new(http->base, on_sweep, http);
	http->server = evhttp_new(http->base);
	if (!http->turn || !http->sweep || !http->server)
		return false;
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET);
	evhttp_set_max_headers_size(http->server, METRICS_HEADERS_MAX);
	evhttp_set_max_body_size(http->server, 0);
	evhttp_set_timeout(http->server, METRICS_PEER_S);
	evhttp_set_bevcb(http->server, make_buffer, http);
	evhttp_set_gencb(http->server, on_anything_else, http);
	if (evhttp_set_cb(http->server, "/metrics", on_metrics, http) != 0)
		return false;
	http->listener = evconnlistener_new(http->base, NULL, NULL, 0, 0, http->socket.file.fd);
	if (!http->listener)
		return false;
	the_one = http;
	evconnlistener_set_error_cb(http->listener, on_accept_error);
	if (evhttp_bind_listener(http->server, http->listener))
		return true;
	evconnlistener_free(http->listener);
	return false;
}

struct metrics_http *metrics_http_open(struct event_base *base, const struct metrics_source *source,
				       const struct config *config, const char *user, struct log *log, int *exit_code)
{
	struct metrics_http *http;

	*exit_code = EXIT_OK;
	if (!config->metrics_listen[0])
		return NULL;
	http = calloc(1, sizeof(*http));
	if (http) {
		http->source = *source;
		http->log = log;
		http->base = base;
		*exit_code = metrics_listen_open(&http->socket, config->metrics_listen, user, log);
		if (*exit_code == EXIT_OK && start_server(http))
			return http;
	}
	if (*exit_code == EXIT_OK) {
		log_write(log, LOG_ERR, "out of memory: no metrics");
		*exit_code = EXIT_NETWORK;
	}
	metrics_http_close(http);
	return NULL;
}

void metrics_http_close(struct metrics_http *http)
{
	if (!http)
		return;
	if (http->server)
		evhttp_free(http->server);
	for (unsigned int i = 0; i < METRICS_PEERS; i++)
		if (http->peer[i].buffer)
			bufferevent_decref(http->peer[i].buffer);
	if (http->turn)
		event_free(http->turn);
	if (http->sweep)
		event_free(http->sweep);
	metrics_listen_close(&http->socket);
	free(http);
}
