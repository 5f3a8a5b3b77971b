"""What a model is asked to write, and the proof that it did: nouns, contract, prompts."""
