/* SPDX-License-Identifier: BSD-2-Clause */
/* PPTP through several outside addresses: whose a Call ID is (docs/nat-behaviour.md section 10). */
#include "pptp_rig.h"

/* The ID that a host had is its own through that outside address only: another host may have it through another one. */
static void an_id_comes_back_only_where_it_was(void **state)
{
	struct rig *rig = *state;

	rig_outside(rig, 2, O1, O2);
	struct line first = line_from(rig, W1, 6000);
	assert_int_equal(line_call(&first, 5, 100), 5);
	line_reset(&first, SIDE_WAN);
	/* SERVER has O1, so that L1 gets O2, and there the same ID towards the same remote. */
	struct line other = line_plan(rig, false, L1, 7000, W1);
	other.outside = O2;
	line_shake_hands(&other);
	assert_int_equal(line_call(&other, 5, 200), 5);
	struct line second = line_plan(rig, true, SERVER, 6001, W1);
	second.outside = O2;
	line_shake_hands(&second);
	uint16_t outside_id = line_call(&second, 5, 300);
	assert_int_not_equal(outside_id, 5);
	line_data_passes(&second, 5, outside_id, 300);
	line_data_passes(&other, 5, 5, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(an_id_comes_back_only_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
