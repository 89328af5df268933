"""What is said of a run: to people in a terminal, and as one JSON document."""
