# SPDX-License-Identifier: BSD-2-Clause
# The sample configuration, installed as documentation: culvertd runs without a file.
dist_doc_DATA += etc/culvert.ini
