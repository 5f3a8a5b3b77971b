"""How servers are asked: one file for each protocol, and who speaks it."""
