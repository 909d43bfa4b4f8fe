"""Vocabulary, on-disk formats, dataset readers, splits and metrics of maeum.

Imports no model. Everything that reads or writes a file format lives here.
"""
