"""A laboratory for the part of the Go runtime that gets memory on platforms with a break."""
