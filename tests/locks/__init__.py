"""Locks of one's own, as files beside the tests."""
