"""Read the folders of plain Ray Tune experiments as they are found: torn, of old versions, by other names."""
