"""The embedded model made faithful or not on purpose: wired in code, or trained by lessons."""
