"""Files of the user: run, and asked for what they define."""
