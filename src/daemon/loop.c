/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libevent with one persistent event for each source and signal, and a few timers.
 */
#include "daemon/loop.h"

#include <signal.h>
#include <stdlib.h>

#include <event2/event.h>

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

struct loop {
	struct loop_handlers handlers;
	struct event_base *base;
	struct event *source[LOOP_SOURCES];
	struct event *signal[SIGNALS];
	struct event *tick;
	struct event *timer;
	struct event *beat; /* NULL: nobody wants it */
};

static void loop_on_lan(evutil_socket_t fd, short what, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)what;
	loop->handlers.readable(loop->handlers.context, LOOP_LAN);
}

static void loop_on_wan(evutil_socket_t fd, short what, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)what;
	loop->handlers.readable(loop->handlers.context, LOOP_WAN);
}

static void loop_on_kernel(evutil_socket_t fd, short what, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)what;
	loop->handlers.readable(loop->handlers.context, LOOP_KERNEL);
}

static void loop_on_signal(evutil_socket_t number, short what, void *argument)
{
	struct loop *loop = argument;

	(void)what;
	loop->handlers.signalled(loop->handlers.context, (int)number);
}

static void loop_on_tick(evutil_socket_t fd, short what, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)what;
	loop->handlers.ticked(loop->handlers.context);
}

static void loop_on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)what;
	loop->handlers.expired(loop->handlers.context);
}

static void loop_on_beat(evutil_socket_t fd, short what, void *argument)
{
	struct loop *loop = argument;

	(void)fd;
	(void)what;
	loop->handlers.beat(loop->handlers.context);
}

static struct timeval loop_interval(uint64_t ms)
{
	struct timeval interval = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	return interval;
}

static bool loop_fill(struct loop *loop)
{
	const struct timeval tick = loop_interval(LOOP_TICK_MS);

	loop->base = event_base_new();
	if (!loop->base)
		return false;
	for (uint32_t i = 0; i < SIGNALS; i++) {
		loop->signal[i] = evsignal_new(loop->base, signals[i], loop_on_signal, loop);
		if (!loop->signal[i] || event_add(loop->signal[i], NULL) != 0)
			return false;
	}
	loop->timer = evtimer_new(loop->base, loop_on_timer, loop);
	loop->tick = event_new(loop->base, -1, EV_PERSIST, loop_on_tick, loop);
	return loop->timer && loop->tick && event_add(loop->tick, &tick) == 0;
}

struct loop *loop_new(const struct loop_handlers *handlers)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->handlers = *handlers;
	if (!loop_fill(loop)) {
		loop_free(loop);
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	for (uint32_t i = 0; i < LOOP_SOURCES; i++)
		if (loop->source[i])
			event_free(loop->source[i]);
	for (uint32_t i = 0; i < SIGNALS; i++)
		if (loop->signal[i])
			event_free(loop->signal[i]);
	if (loop->tick)
		event_free(loop->tick);
	if (loop->timer)
		event_free(loop->timer);
	if (loop->beat)
		event_free(loop->beat);
	if (loop->base)
		event_base_free(loop->base);
	free(loop);
}

bool loop_watch(struct loop *loop, enum loop_source source, int fd)
{
	static const event_callback_fn callbacks[LOOP_SOURCES] = {loop_on_lan, loop_on_wan, loop_on_kernel};

	if (loop->source[source])
		event_free(loop->source[source]);
	loop->source[source] = NULL;
	if (fd < 0)
		return true;
	loop->source[source] = event_new(loop->base, fd, EV_READ | EV_PERSIST, callbacks[source], loop);
	return loop->source[source] && event_add(loop->source[source], NULL) == 0;
}

void loop_set_timer(struct loop *loop, uint64_t delay_ms)
{
	struct timeval interval;

	if (delay_ms == UINT64_MAX) {
		evtimer_del(loop->timer);
		return;
	}
	interval = loop_interval(delay_ms);
	evtimer_add(loop->timer, &interval);
}

bool loop_set_beat(struct loop *loop, uint64_t interval_ms)
{
	const struct timeval interval = loop_interval(interval_ms);

	loop->beat = event_new(loop->base, -1, EV_PERSIST, loop_on_beat, loop);
	return loop->beat && event_add(loop->beat, &interval) == 0;
}

bool loop_run(struct loop *loop)
{
	return event_base_dispatch(loop->base) == 0;
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

const char *loop_library_version(void)
{
	return event_get_version();
}
