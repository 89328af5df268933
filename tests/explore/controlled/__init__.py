"""Tests of trio under the schedule."""
