"""Speed of maeum, measured beside reference libraries in one run."""
