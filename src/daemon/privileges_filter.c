/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system calls that a running culvertd makes; all others fail with EPERM, which their caller then reports like any
 * other error. What is left can move packets, talk netlink, and write in the state directory, /proc/sys and the log; it
 * cannot start a program, enter another namespace, mount, trace or load anything.
 */
#include "daemon/privileges.h"

#include <errno.h>
#include <string.h>
#ifdef HAVE_LIBSECCOMP
#include <seccomp.h>
#endif

#include "observe/log.h"

/* The leak checker of the address sanitizer starts a thread that traces this one, so such a build has no filter. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif

#if defined(HAVE_LIBSECCOMP) && !defined(WITH_SANITIZER)

static const char *const allowed[] = {
	/* packets and netlink; the packet socket and the connection to syslog are opened again when they must */
	"recvmsg",
	"recvmmsg",
	"recvfrom",
	"sendmsg",
	"sendmmsg",
	"sendto",
	"read",
	"readv",
	"write",
	"writev",
	"ioctl",
	"socket",
	"bind",
	"connect",
	"listen",
	"accept4",
	"shutdown",
	"setsockopt",
	"getsockopt",
	"getsockname",
	/* waiting, time and signals */
	"epoll_wait",
	"epoll_pwait",
	"epoll_ctl",
	"poll",
	"ppoll",
	"clock_gettime",
	"gettimeofday",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"restart_syscall",
	"futex",
	/* files: configuration, journal, flows, settings below /proc/sys, log, pid file */
	"open",
	"openat",
	"close",
	"fstat",
	"stat",
	"lstat",
	"newfstatat",
	"statx",
	"lseek",
	"pread64",
	"pwrite64",
	"fcntl",
	"flock",
	"ftruncate",
	"fsync",
	"fchmod",
	"fchown",
	"rename",
	"renameat",
	"renameat2",
	"unlink",
	"unlinkat",
	"getdents64",
	"mkdir",
	"mkdirat",
	"dup2",
	"dup3",
	/* memory and the process itself */
	"brk",
	"mmap",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"getrandom",
	"getpid",
	"gettid",
	"getuid",
	"geteuid",
	"capget",
	"tgkill",
	"exit",
	"exit_group",
};

void privileges_filter_calls(struct log *log)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !error; i++) {
		int call = seccomp_syscall_resolve_name(allowed[i]);

		/* A machine that does not have a call, like open() on arm64, needs no rule for it. */
		if (call >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
	if (!error)
		error = seccomp_load(filter);
	if (error)
		log_write(log, LOG_WARNING, "system calls are not filtered: %s", strerror(-error));
	seccomp_release(filter);
}

bool privileges_have_filter(void)
{
	return true;
}

#else

bool privileges_have_filter(void)
{
	return false;
}

void privileges_filter_calls(struct log *log)
{
	(void)log;
}

#endif
