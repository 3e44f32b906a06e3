# SPDX-License-Identifier: BSD-2-Clause
# A short run in every make check, from a fixed seed; more with: tests/property/property_test --packets 1000000 --seed N
check_PROGRAMS += tests/property/property_test
tests_property_property_test_SOURCES = tests/property/property_test.c tests/property/world.c tests/property/world.h \
	tests/property/grammar.c tests/property/grammar_config.c tests/property/model.c tests/property/model.h \
	tests/property/model_change.c tests/property/model_check.c tests/property/model_expect.c \
	tests/property/model_fragment.c tests/property/model_icmp.c tests/property/model_leave.c \
	tests/property/model_ports.c tests/property/model_tables.c \
	tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h
tests_property_property_test_LDADD = $(CORE_LIBS)
TESTS += tests/property/property_test

# The same for PPTP: tests/property/pptp_property --packets 1000000 --seed N
check_PROGRAMS += tests/property/pptp_property
tests_property_pptp_property_SOURCES = tests/property/pptp_property.c tests/property/pptp_model.c \
	tests/property/pptp_world.h tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h tests/unit/pptp_messages.h
tests_property_pptp_property_LDADD = $(CORE_LIBS)
TESTS += tests/property/pptp_property

# Clients and a server of IPsec: tests/property/esp_pairing --worlds 10000 --seed N
check_PROGRAMS += tests/property/esp_pairing
tests_property_esp_pairing_SOURCES = tests/property/esp_pairing.c tests/property/esp_ends.c tests/property/esp_ends.h \
	tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h
tests_property_esp_pairing_LDADD = $(CORE_LIBS)
TESTS += tests/property/esp_pairing

# ESP against a model: tests/property/esp_property --packets 1000000 --seed N
check_PROGRAMS += tests/property/esp_property
tests_property_esp_property_SOURCES = tests/property/esp_property.c tests/property/esp_world.h \
	tests/property/esp_compare.c tests/property/esp_traffic.c tests/property/esp_model.c \
	tests/property/esp_model_esp.c tests/property/esp_model_ike.c tests/property/esp_model.h \
	tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h
tests_property_esp_property_LDADD = $(CORE_LIBS)
TESTS += tests/property/esp_property

.PHONY: check-property
check-property: tests/property/property_test
	tests/property/property_test --packets 1000000
