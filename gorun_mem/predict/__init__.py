"""How many pages a recorded program would take under another Go release."""
