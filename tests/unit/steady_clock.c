/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A clock for tests of patience, in the place of the C library's, also for the libraries: it goes on by 20 ms at most
 * from one look at it to the next. A machine that stands still for a second would otherwise end everybody's patience.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { STEP_NS = 20000000 };

int clock_gettime(clockid_t clock, struct timespec *time)
{
	static int64_t now_ns, seen_ns;
	struct timespec real = {0};

	(void)clock;
	if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &real) != 0)
		return -1;
	int64_t real_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec;
	now_ns += real_ns - seen_ns < STEP_NS ? real_ns - seen_ns : STEP_NS;
	seen_ns = real_ns;
	*time = (struct timespec){.tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
	return 0;
}
