"""Calibration, combination, search and recommendation of emotion distributions."""
