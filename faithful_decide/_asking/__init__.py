"""How a decision is asked for: plans, who runs them, and what is made of the replies."""
