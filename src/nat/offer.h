/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the engine offers to modules, see <culvert/module.h>.
 */
#ifndef CULVERT_NAT_OFFER_H
#define CULVERT_NAT_OFFER_H

#include <culvert/module.h>

extern const struct engine_offer offer;

#endif
