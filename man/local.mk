# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/culvertd.8 man/culvertctl.8 man/culvert.ini.5 man/culvert-nat.7
