/* SPDX-License-Identifier: BSD-2-Clause */
/* The VPN services and what each one claims, from services.def. Claims do not overlap, so their order never matters. */
#include <culvert/module.h>

const struct service_claim service_claims[SERVICE_CLAIMS] = {
#define CLAIM(part, protocol, port) {PART_##part, protocol, port},
#include <culvert/services.def>
#undef CLAIM
};

enum part part_claiming(uint8_t protocol, uint16_t port)
{
	for (unsigned i = 0; i < SERVICE_CLAIMS; i++)
		if (service_claims[i].protocol == protocol && service_claims[i].port == port)
			return service_claims[i].part;
	return PART_NONE;
}

enum service service_of_part(enum part part)
{
	static const enum service services[PARTS] = {
#define PART(name, service) [PART_##name] = SERVICE_##service,
#include <culvert/services.def>
#undef PART
	};

	return part < PARTS ? services[part] : SERVICE_NONE;
}

enum drop part_drop(enum part part)
{
	switch (service_of_part(part)) {
#define SERVICE(name, section) \
	case SERVICE_##name:   \
		return DROP_##name##_BLOCKED;
#include <culvert/services.def>
#undef SERVICE
	case SERVICE_NONE:
		break;
	}
	return DROP_NONE;
}

const char *service_name(enum service service)
{
	static const char *const names[] = {
#define SERVICE(name, section) [SERVICE_##name] = section,
#include <culvert/services.def>
#undef SERVICE
	};

	return service < SERVICES ? names[service] : "none";
}
