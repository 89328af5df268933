"""Files as they come: read within bounds, written whole or not at all, shown without surprises."""
