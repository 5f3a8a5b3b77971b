"""The front doors: every public function that asks a model, and what they share."""
