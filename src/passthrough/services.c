/* SPDX-License-Identifier: BSD-2-Clause */
/* The VPN services and what each one claims, from services.def. Claims do not overlap, so their order never matters. */
#include <culvert/module.h>

#include "wire/ip.h"

const struct service_claim service_claims[SERVICE_CLAIMS] = {
#define CLAIM(part, protocol, port, how) {PART_##part, protocol, port, CLAIM_##how},
#include <culvert/services.def>
#undef CLAIM
};

static const struct service_claim *claim_of(uint8_t protocol, uint16_t port)
{
	for (unsigned i = 0; i < SERVICE_CLAIMS; i++)
		if (service_claims[i].protocol == protocol && service_claims[i].port == port)
			return &service_claims[i];
	return NULL;
}

enum part part_claiming(uint8_t protocol, uint16_t port)
{
	const struct service_claim *claim = claim_of(protocol, port);

	return claim ? claim->part : PART_NONE;
}

enum part part_sharing(uint8_t protocol, uint16_t port)
{
	const struct service_claim *claim = claim_of(protocol, port);

	return claim && claim->how == CLAIM_SHARED ? claim->part : PART_NONE;
}

/* The last one of its ports is that which both ends move to. */
enum part part_elsewhere(enum service service)
{
	enum part part = PART_NONE;

	for (unsigned i = 0; i < SERVICE_CLAIMS; i++)
		if (service_claims[i].protocol == PROTOCOL_UDP && service_of_part(service_claims[i].part) == service)
			part = service_claims[i].part;
	return part;
}

uint16_t service_shared_port(enum service service)
{
	for (unsigned i = 0; i < SERVICE_CLAIMS; i++)
		if (service_claims[i].how == CLAIM_SHARED && service_of_part(service_claims[i].part) == service)
			return service_claims[i].port;
	return 0;
}

enum service service_of_part(enum part part)
{
	static const enum service services[PARTS] = {
#define PART(name, service, word, label) [PART_##name] = SERVICE_##service,
#include <culvert/services.def>
#undef PART
	};

	return part < PARTS ? services[part] : SERVICE_NONE;
}

enum drop part_drop(enum part part)
{
	switch (service_of_part(part)) {
#define SERVICE(name, section, label) \
	case SERVICE_##name:          \
		return DROP_##name##_BLOCKED;
#include <culvert/services.def>
#undef SERVICE
	case SERVICE_NONE:
		break;
	}
	return DROP_NONE;
}

static const struct {
	const char *name, *label;
} service_words[SERVICES + 1] =
	{
#define SERVICE(name, section, label) [SERVICE_##name] = {section, label},
#include <culvert/services.def>
#undef SERVICE
		[SERVICE_NONE] = {"none", "none"},
},
			   part_words[PARTS + 1] = {
#define PART(name, service, word, label) [PART_##name] = {word, label},
#include <culvert/services.def>
#undef PART
				   [PART_NONE] = {"none", "none"},
};

const char *service_name(enum service service)
{
	return service_words[service < SERVICES ? service : SERVICE_NONE].name;
}

const char *service_label(enum service service)
{
	return service_words[service < SERVICES ? service : SERVICE_NONE].label;
}

const char *part_name(enum part part)
{
	return part_words[part < PARTS ? part : PART_NONE].name;
}

const char *part_label(enum part part)
{
	return part_words[part < PARTS ? part : PART_NONE].label;
}

/* Where a service has one part only, its mode is that of the service. */
bool part_has_key(enum part part)
{
	unsigned count = 0;

	for (int other = 0; other < PARTS; other++)
		count += service_of_part((enum part)other) == service_of_part(part);
	return part < PARTS && count > 1;
}

const char *part_key(enum part part)
{
	return part_has_key(part) ? part_name(part) : "mode";
}

const char *service_mode_name(enum service_mode mode)
{
	static const char *const names[] = {[MODE_PASS] = "pass", [MODE_PLAIN] = "plain", [MODE_BLOCK] = "block"};

	return names[mode];
}
