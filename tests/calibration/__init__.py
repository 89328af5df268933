"""Tests of gorun_mem/calibration."""
