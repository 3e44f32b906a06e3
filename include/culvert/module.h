/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine asks the pass-through modules: which VPN service claims a packet. */
#ifndef CULVERT_MODULE_H
#define CULVERT_MODULE_H

#include <culvert/engine.h>

/* The service that claims a protocol and port (port 0: only protocols without ports), or SERVICE_NONE. */
enum service service_claiming(uint8_t protocol, uint16_t port);
/* The reason counted for what a service in mode block refuses. */
enum drop service_drop(enum service service);
const char *service_name(enum service service);

#endif
