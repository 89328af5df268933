"""Many runs: settings compared over seeds, grids over processes, and their figures."""
