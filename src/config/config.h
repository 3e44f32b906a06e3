/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: what the INI file and the command line together say, as plain data.
 *
 * Every key exists once, in include/culvert/confkeys.def. From that list come the parser here, --print-config,
 * --print-defaults, the sample file and the manual.
 */
#ifndef CULVERT_CONFIG_CONFIG_H
#define CULVERT_CONFIG_CONFIG_H

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <culvert/engine.h>

/* The mode of one part of a service: its own, or that of the service. */
enum part_mode {
	PART_MODE_INHERIT = 0,
	PART_MODE_PASS,
	PART_MODE_PLAIN,
	PART_MODE_BLOCK,
};

enum {
	CONFIG_PATH_MAX = 108,     /* sun_path of a Unix socket, with its final NUL */
	CONFIG_NAME_MAX = 32,      /* NAME of [forward:NAME], with its final NUL */
	CONFIG_FILE_MAX = 1 << 20, /* bytes of a configuration file */
	CONFIG_DROP_INS = 32,
	CONFIG_LINES =
		1 << 24, /* a place is a number of a drop-in, from 1, 0 for the main file, times this; and a line */
	DHCP_CLIENT_PORT = 68, /* always the router's own */
};

#define CONFIG_FILE_DEFAULT "/etc/culvert/culvert.ini"
/* The drop-in that culvertctl mode writes. */
#define CONFIG_MODE_FILE "90-mode.ini"

/* One [forward:NAME] section. Ports and to_port are 0 for protocols without ports and for services. */
struct config_forward {
	char name[CONFIG_NAME_MAX];
	uint32_t line;        /* the place of the section, see CONFIG_LINES */
	bool bad;             /* a value of it was reported */
	enum service service; /* SERVICE_NONE: protocol and port say what is forwarded */
	uint8_t protocols[2]; /* IP protocols; the second is 0 except for "tcp+udp" */
	uint16_t port_first, port_last;
	struct address to_address;
	uint16_t to_port;
};

/* The members stand in the order of the file. Interface names are "" where the file leaves them open. */
struct config {
	char lan_interface[IFNAMSIZ];
	char tun[IFNAMSIZ];
	char wan_interface[IFNAMSIZ]; /* "": the device of the default route */
	struct port_set host_tcp, host_udp;
	bool host_auto; /* what has a socket at the start is open to the WAN, too */
	bool offload;   /* false: neither the TUN nor the packet socket asks for segmentation offload */
	enum dependence mapping, filtering;
	bool hairpinning;
	struct prefix bypass[PREFIXES_MAX];
	uint32_t bypasses;
	bool clamp_mss;
	bool refresh_inbound;
	uint32_t icmp_rate;
	uint32_t timeout[TIMEOUTS]; /* seconds */
	uint32_t flows, host_flows, hosts, fragments, addresses, tunnels;
	enum service_mode service[SERVICES];
	enum part_mode part[PARTS];
	bool esp_fanout;
	struct config_forward forward[FORWARDS_MAX];
	uint32_t forwards;
	char control_socket[CONFIG_PATH_MAX];
	char metrics_listen[CONFIG_PATH_MAX]; /* "": nowhere; "unix:/PATH", or an address and a port of the loopback */
	char log_target[CONFIG_PATH_MAX];     /* "auto", "stderr", "syslog" or the absolute path of a file */
	int log_level;                        /* of syslog(3) */
	char drop_in[CONFIG_DROP_INS][64];    /* names of the files that were read after the main one */
};

/* A text in the place of a file. */
struct config_text {
	const char *name; /* of the main file, for findings, or of a drop-in */
	bool is_drop_in;
	const char *text;
	size_t size;
};

/* Where a configuration comes from. */
struct config_source {
	const char *path;      /* NULL: only defaults and the two members below */
	bool optional;         /* a file that does not exist counts as an empty one */
	const char *lan, *wan; /* from the command line, NULL if not given; they win over the file */
	/* for a reload: the device of the default route now, which an empty [wan] interface stands for; NULL: unknown
	 */
	const char *default_wan;
	const struct config_text *instead; /* for a rehearsal; NULL: all files as they are */
};

/* Receives one finding, without a newline: "FILE:LINE: message". level is LOG_ERR, LOG_WARNING or LOG_NOTICE of
 * syslog(3). */
typedef void config_report(void *context, int level, const char *text);

void config_default(struct config *config);

/*
 * Reads the file, its drop-ins and the command line into config, which is filled completely. Reports every problem, not
 * just the first one, and last how many there were. True if there was no error; warnings do not count.
 */
bool config_load(struct config *config, const struct config_source *source, config_report *report, void *context);

/* The same with size bytes of text, called name, in the place of the main file. */
bool config_parse(struct config *config, const char *name, const char *text, size_t size,
		  const struct config_source *source, config_report *report, void *context);

/* The file in which a place is, where file is the main one; path may be the result. */
const char *config_file_of(const struct config *config, const char *file, uint32_t place, char path[PATH_MAX]);

/* The path of CONFIG_MODE_FILE beside the main file. */
void config_mode_path(const char *file, char path[PATH_MAX]);
/* Its text, with this key as well, for the caller to free. NULL, after having reported why, or if memory ran out. */
struct config_key;
char *config_mode_text(const struct config_source *source, const struct config_key *key, const char *value,
		       size_t *size, config_report *report, void *context);
/* Puts that text there: whoever looks, even after a crash, sees the old text or the new one. False, with nothing
 * changed, and errno says why. */
bool config_mode_write(const char *file, const char *text, size_t size);

/* A key, or a whole [forward:NAME] section, that two configurations have differently. The texts are valid during the
 * call only. */
struct config_change {
	bool is_forward;
	const char *section; /* of a forward: its NAME */
	const char *key;     /* NULL for a forward */
	bool needs_restart;
	const char *before, *after; /* NULL: there is no such forward */
};
typedef void config_tell_change(void *context, const struct config_change *change);

/* Tells every difference; returns how many there are. That an empty [wan] interface is the one that the file names
 * (default_wan, see struct config_source) is none. */
uint32_t config_compare(const struct config *before, const struct config *after, const char *default_wan,
			config_tell_change *tell, void *context);
/* What a reload cannot change becomes what it is in the running configuration. */
void config_keep_fixed(struct config *config, const struct config *running);

/*
 * For a reload: reads everything again. If that gives no error, *config becomes what was read, except where a change
 * needs a restart: those members keep their values, with a warning for each, and *restarts is how many they are. Every
 * change is reported. Otherwise *config stays as it is.
 */
bool config_reload(struct config *config, const struct config_source *source, config_report *report, void *context,
		   uint32_t *restarts);

/* The configuration as an INI file that config_load() reads back to the same thing. */
void config_print(const struct config *config, FILE *out);
/* The sample file: every key with its sentence, range and default. */
void config_print_defaults(FILE *out);

/* The engine's part. The links' facts (inside, hop_address, MTUs) keep the values they have in *engine. */
void config_to_engine(const struct config *config, struct engine_config *engine);
/* The mode that holds for a part: its own, or else that of its service. */
enum service_mode config_mode_of(const struct config *config, enum part part);
void config_to_limits(const struct config *config, struct engine_limits *limits);
/* The TCP and UDP ports that forwards own. */
void config_forwarded_ports(const struct config *config, struct port_set *tcp, struct port_set *udp);
/* The kernel's part; state_dir is kept by the caller. */
struct kernel_request;
struct kernel_ports_wanted;
void config_to_ports(const struct config *config, struct kernel_ports_wanted *wanted);
void config_to_kernel(const struct config *config, const char *state_dir, struct kernel_request *request);

#endif
