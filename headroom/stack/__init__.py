"""The embedded stack: Airflow, MLflow and the local cloud as local processes, and the demo that runs the loop on them."""
