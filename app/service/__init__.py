"""The service: one core for the page and the HTTP interface."""
