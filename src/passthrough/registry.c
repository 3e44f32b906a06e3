/* SPDX-License-Identifier: BSD-2-Clause */
/* The modules: a row each. */
#include <culvert/module.h>

#include "passthrough/ipsec.h"
#include "passthrough/l2tp.h"
#include "passthrough/pptp.h"

const struct module *module_of(enum service service)
{
	static const struct module *const modules[SERVICES] = {
		[SERVICE_PPTP] = &pptp_module,
		[SERVICE_L2TP] = &l2tp_module,
		[SERVICE_IPSEC] = &ipsec_module,
	};

	return service < SERVICES ? modules[service] : NULL;
}
