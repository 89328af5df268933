"""What can be said of a run from its event log: sums, percentiles, metrics; from events only."""
