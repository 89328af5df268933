"""The emulated Go runtime: no trio, no files, no printing, no clock of its own."""
