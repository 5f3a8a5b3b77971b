"""What a picture is: read, decoded, loaded as a viewer shows it, prepared for one backend."""
