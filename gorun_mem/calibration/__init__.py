"""How far the simulation is from a real machine, and from what it was made."""
