"""The engine that decides which M goes next."""
