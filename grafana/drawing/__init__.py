"""Drawings of the dashboards from their own queries, for machines without Grafana.

`scripts/dashboard-pictures` makes a run and draws them. A drawing has the dashboards' layout,
units, colours and thresholds, but it is not Grafana's own rendering.
"""
