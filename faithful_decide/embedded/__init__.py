"""The model that comes with the package: its weights, and pictures of the world it knows."""
