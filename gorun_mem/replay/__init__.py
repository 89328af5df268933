"""Operation scripts and recordings of real programs, answered and compared."""
