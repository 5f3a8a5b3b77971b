"""Weights on their way: to GGUF, to a folder of Hugging Face, and back into training."""
