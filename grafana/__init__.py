"""What Prometheus and Grafana are given; the dashboards are made by `python -m grafana`."""
