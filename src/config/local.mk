# SPDX-License-Identifier: BSD-2-Clause
# The configuration: the file, its keys, and the command line.
libculvert_daemon_a_SOURCES += src/config/config.c src/config/config.h src/config/config_change.c \
	src/config/config_check.c src/config/config_files.c src/config/config_guess.c src/config/config_guess.h \
	src/config/config_keys.c src/config/config_keys.h src/config/config_parse.c \
	src/config/config_print.c src/config/config_values.c src/config/forward_check.c src/config/forward_check.h \
	src/config/options.c src/config/options.h src/config/text.c src/config/text.h
