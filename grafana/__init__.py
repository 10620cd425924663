"""Configuration of Prometheus and Grafana; `python -m grafana` writes the dashboards."""
