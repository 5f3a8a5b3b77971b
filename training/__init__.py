"""How the embedded model, its world and its organisms are made. Not part of the package."""
