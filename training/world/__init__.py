"""The world that the embedded model knows: scenes, their pictures, and questions with answers."""
