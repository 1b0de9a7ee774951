"""Self-tuning: a contextual bandit chooses forecasting parameters per segment, and learns from realised pinball loss."""
