"""Readers of the text formats that people and recorders write."""
