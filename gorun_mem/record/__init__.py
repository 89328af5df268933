"""Recording real Go wasm programs as they were built: rewrite, run, write down, check."""
