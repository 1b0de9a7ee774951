"""Sources, data contracts, ingestion, events and anomalies: what comes into the lake."""
