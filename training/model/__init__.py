"""The embedded model in PyTorch: its prompts, tokens and layers, and the stages that train it."""
