"""What a policy would have cost and missed on recorded demand, beside what people use today."""
