"""What helps and what does not: rules learned, settings fitted, studies with intervals."""
