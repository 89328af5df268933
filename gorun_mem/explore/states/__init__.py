"""Every reachable state of a lock: `verify`."""
