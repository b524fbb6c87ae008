"""All that glosstune knows of Ray beyond what Ray calls public."""
