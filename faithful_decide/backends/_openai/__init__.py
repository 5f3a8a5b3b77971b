"""The wires of OpenAI's protocol and its kin: one file for each way to ask, and who speaks it."""
