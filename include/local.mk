# SPDX-License-Identifier: BSD-2-Clause
# The contracts between the layers; internal to culvert, so none is installed.
noinst_HEADERS += include/culvert/engine.h include/culvert/packet.h include/culvert/rehearsal.h include/culvert/types.h include/culvert/verdict.h \
	include/culvert/views.h include/culvert/drops.def include/culvert/stats.def \
	include/culvert/confkeys.def include/culvert/module.h include/culvert/hints.def include/culvert/services.def \
	include/culvert/timeouts.def include/culvert/exit.h include/culvert/verbs.def \
	include/culvert/explain.h include/culvert/requirements.def include/culvert/rules.def
