/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capabilities and users.
 *
 * Two capabilities stay for the life of the daemon: CAP_NET_ADMIN follows changes of addresses with rules and undoes
 * everything at the end, CAP_NET_RAW opens the packet socket again when the WAN device comes back.
 */
#include "daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_LIBCAP_NG
#include <cap-ng.h>
#endif

#include "config/options.h"
#include "observe/log.h"

static bool read_capabilities(struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	memset(data, 0, sizeof(*data) * _LINUX_CAPABILITY_U32S_3);
	return syscall(SYS_capget, &header, data) == 0;
}

static bool has_capability(unsigned int capability)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return read_capabilities(data) && (data[capability / 32].effective >> (capability % 32)) & 1;
}

/* False, after having said so, if the capability is missing. */
static bool need_capability(unsigned int capability, const char *name, const char *purpose, struct log *log)
{
	if (has_capability(capability))
		return true;
	log_write(log, LOG_ERR,
		  "CAP_%s is missing, %s: start culvertd as root, or in a container with --cap-add=%s (docker, podman)",
		  name, purpose, name);
	return false;
}

static bool need_tun(struct log *log)
{
	static const char path[] = "/dev/net/tun";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (errno == EACCES)
		log_write(
			log, LOG_ERR,
			"cannot open %s: its mode does not allow it to this user; start culvertd as root, or chmod 0666 %s",
			path, path);
	else
		log_write(
			log, LOG_ERR,
			"cannot open %s: %s; load the module tun, or start the container with --device=%s (docker, podman)",
			path, strerror(errno), path);
	return false;
}

int privileges_check(const char *user, struct log *log)
{
	bool good = need_capability(CAP_NET_ADMIN, "NET_ADMIN", "which makes the TUN device, routes and rules", log);

	good = need_capability(CAP_NET_RAW, "NET_RAW", "which opens the packet socket on the WAN", log) && good;
	good = need_tun(log) && good;
	if (user) {
#ifndef HAVE_LIBCAP_NG
		log_write(log, LOG_ERR, "--user: this culvertd was built without libcap-ng and cannot change its user");
		return EXIT_USAGE;
#endif
		if (!getpwnam(user)) {
			log_write(log, LOG_ERR, "--user: there is no user %s", user);
			return EXIT_USAGE;
		}
		good = need_capability(CAP_SETUID, "SETUID", "which --user needs", log) && good;
		good = need_capability(CAP_SETGID, "SETGID", "which --user needs", log) && good;
	}
	return good ? EXIT_OK : EXIT_PERMISSION;
}

/* Says why the directory is of no use. */
static int refuse_directory(const char *path, const char *why, struct log *log)
{
	log_write(log, LOG_ERR, "the state directory %s %s; see --state-dir", path, why);
	return EXIT_FILE;
}

/* Gives the directory to owner, if that is not NULL. Returns what is wrong with it, or NULL. */
static const char *take_directory(int fd, const struct passwd *owner)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return strerror(errno);
	if (status.st_mode & S_IWOTH)
		return "may be written by everybody";
	if (owner && status.st_uid == owner->pw_uid)
		return NULL;
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return "belongs to another user, perhaps of an earlier --user: name that one again, or remove it";
	if (owner && fchown(fd, owner->pw_uid, owner->pw_gid) < 0)
		return strerror(errno);
	return NULL;
}

int privileges_prepare_directory(const char *path, const char *user, struct log *log)
{
	const struct passwd *owner = user ? getpwnam(user) : NULL;
	const char *wrong;
	int fd;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return refuse_directory(path, strerror(errno), log);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return refuse_directory(path, errno == ENOTDIR ? "is not a directory" : strerror(errno), log);
	wrong = take_directory(fd, owner);
	close(fd);
	return wrong ? refuse_directory(path, wrong, log) : EXIT_OK;
}

#ifdef HAVE_LIBCAP_NG
/* Whoever started us gave us the two capabilities and no other, as the unit in contrib does: nothing is to be given up,
 * and capset(2) may be forbidden. */
static bool has_just_what_stays(void)
{
	const uint32_t stays = UINT32_C(1) << CAP_NET_ADMIN | UINT32_C(1) << CAP_NET_RAW;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return read_capabilities(data) && data[0].permitted == stays && data[0].effective == stays &&
	       data[1].permitted == 0;
}

/* Leaves the two capabilities, in the bounding set as well where we may change it. Returns what failed, or NULL. */
static const char *keep_capabilities(const struct passwd *owner, int log_file)
{
	bool bounding = has_capability(CAP_SETPCAP);

	/* The user must be able to open the log file again. */
	if (owner && log_file >= 0 && fchown(log_file, owner->pw_uid, owner->pw_gid) < 0)
		return "give the log file to the user";
	if (!owner && has_just_what_stays())
		return NULL;

	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_ADMIN, CAP_NET_RAW,
			  -1) < 0)
		return "choose capabilities";
	if (owner) {
		if (capng_change_id((int)owner->pw_uid, (int)owner->pw_gid,
				    (capng_flags_t)(CAPNG_DROP_SUPP_GRP | (bounding ? CAPNG_CLEAR_BOUNDING : 0))) < 0)
			return "change the user";
	} else if (capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0) {
		return "give up capabilities";
	}
	return NULL;
}
#endif

int privileges_drop(const char *user, struct log *log)
{
#ifdef HAVE_LIBCAP_NG
	const struct passwd *owner = user ? getpwnam(user) : NULL;
	const char *failed = user && !owner ? "find the user" : keep_capabilities(owner, log_fd(log));

	if (failed) {
		log_write(log, LOG_ERR, "cannot %s: %s", failed, errno ? strerror(errno) : "refused");
		return EXIT_PERMISSION;
	}
	if (!has_capability(CAP_NET_ADMIN) || !has_capability(CAP_NET_RAW) || has_capability(CAP_SYS_ADMIN)) {
		log_write(log, LOG_ERR, "the kernel did not set the capabilities as asked");
		return EXIT_PERMISSION;
	}
#else
	if (user) {
		log_write(log, LOG_ERR, "cannot change the user: built without libcap-ng");
		return EXIT_PERMISSION;
	}
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		log_write(log, LOG_ERR, "cannot give up new privileges: %s", strerror(errno));
		return EXIT_PERMISSION;
	}
	privileges_filter_calls(log);
	return EXIT_OK;
}
