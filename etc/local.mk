# SPDX-License-Identifier: BSD-2-Clause
# Sample configurations, installed as documentation: culvertd runs without a file.
dist_doc_DATA += etc/culvert.ini etc/culvert-strict.ini
