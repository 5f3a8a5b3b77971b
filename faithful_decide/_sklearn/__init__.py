"""What the classifier is made of: inputs, classes, and sessions with a model."""
