# SPDX-License-Identifier: BSD-2-Clause
# The sample configuration, installed as documentation: culvertd runs without a file.
