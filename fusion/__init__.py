"""Calibration, combination, search, recommendation and evaluation of emotion distributions."""
