"""A wasm binary as bytes: sections, names, and what a Go linker put into its data. No I/O."""
