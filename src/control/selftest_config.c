/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that need no packet: what the configuration sets, and what the rows before have come to. */
#include <culvert/module.h>

#include "config/config.h"
#include "control/selftest.h"
#include "control/verb.h"
#include "io/kernel.h"

enum { REST = 120 };

static const char *mode_name(const struct bench *bench, enum part part)
{
	return service_mode_name(config_mode_of(bench->router->config, part));
}

static bool is_read(const struct bench *bench, enum part part)
{
	return config_mode_of(bench->router->config, part) == MODE_PASS;
}

void selftest_sharing_passes(struct bench *bench, struct finding *finding)
{
	selftest_deviates_if(bench, finding, is_read(bench, PART_IKE) || is_read(bench, PART_L2TP),
			     "neither IKE nor L2TP is in mode pass");
}

void selftest_udp_algs_passes(struct bench *bench, struct finding *finding)
{
	selftest_deviates_if(bench, finding,
			     is_read(bench, PART_IKE) || is_read(bench, PART_NATT) || is_read(bench, PART_L2TP),
			     "neither IPsec nor L2TP is in mode pass");
}

void selftest_tcp_algs_passes(struct bench *bench, struct finding *finding)
{
	selftest_deviates_if(bench, finding, is_read(bench, PART_PPTP), "PPTP is not in mode pass");
}

void selftest_pptp_errors_passes(struct bench *bench, struct finding *finding)
{
	selftest_deviates_if(bench, finding, is_read(bench, PART_PPTP), "PPTP is not in mode pass");
}

void selftest_switches(struct bench *bench, struct finding *finding)
{
	selftest_configured(finding, true, "pptp %s, l2tp %s, ike %s, natt %s, esp %s", mode_name(bench, PART_PPTP),
			    mode_name(bench, PART_L2TP), mode_name(bench, PART_IKE), mode_name(bench, PART_NATT),
			    mode_name(bench, PART_ESP));
}

void selftest_addresses(struct bench *bench, struct finding *finding)
{
	uint32_t count = kernel_links(bench->router->kernel)->wan.address_count;

	if (selftest_has_addresses(bench, finding))
		selftest_configured(finding, true, "%u addresses; [limits] addresses = %u", count,
				    bench->router->config->addresses);
}

void selftest_host_limit(struct bench *bench, struct finding *finding)
{
	const struct config *config = bench->router->config;

	selftest_configured(finding, config->host_flows < config->flows, "[limits] host_flows = %u of %u flows",
			    config->host_flows, config->flows);
}

void selftest_bypass(struct bench *bench, struct finding *finding)
{
	selftest_configured(finding, true, "[nat] bypass names %u destination%s", bench->router->config->bypasses,
			    bench->router->config->bypasses == 1 ? "" : "s");
}

void selftest_hold_down(struct bench *bench, struct finding *finding)
{
	uint32_t seconds = bench->router->config->timeout[TIMEOUT_HOLD_DOWN];

	selftest_configured(finding, seconds >= REST, "[timeouts] hold_down = %u, at least %u", seconds, REST);
}

void selftest_management(struct bench *bench, struct finding *finding)
{
	bool has_metrics = bench->router->config->metrics_listen[0] != '\0';

	selftest_configured(finding, true, "the control socket%s", has_metrics ? " and /metrics" : "");
}

/* Of all MUST and SHOULD of UDP, TCP and ICMP: the worst. */
void selftest_all_before(struct bench *bench, struct finding *finding)
{
	const uint32_t *sum = bench->sum;

	selftest_observed(finding, sum[SELFTEST_NOT_MET] == 0,
			  "%u met, %u not met, %u deviations, %u not visible from here", sum[SELFTEST_MET],
			  sum[SELFTEST_NOT_MET], sum[SELFTEST_DEVIATES], sum[SELFTEST_UNSEEN]);
	if (finding->result == SELFTEST_MET && sum[SELFTEST_DEVIATES] > 0)
		finding->result = SELFTEST_DEVIATES;
}
