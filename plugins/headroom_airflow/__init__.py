"""What Airflow needs of Headroom: hooks, operators, retry rules and the assets the DAGs exchange."""
