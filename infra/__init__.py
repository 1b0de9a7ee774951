"""The planner, Google Cloud, the local cloud, the ledger and the reconciler."""
