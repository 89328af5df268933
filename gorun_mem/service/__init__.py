"""A World as a service: every connection is an M, its calls contend on memlock with all others'."""
