# SPDX-License-Identifier: BSD-2-Clause
# Things for other programs, installed as documentation.
dist_doc_DATA += contrib/culvertd.service
nobase_dist_doc_DATA += contrib/prometheus/alerts.yml contrib/prometheus/alerts_test.yml contrib/grafana/culvert.json
