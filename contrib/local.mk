# SPDX-License-Identifier: BSD-2-Clause
# Things for other programs, installed as documentation.
nobase_dist_doc_DATA += contrib/culvertd.service contrib/prometheus/alerts.yml contrib/prometheus/alerts_test.yml \
	contrib/grafana/culvert.json
