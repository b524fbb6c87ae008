"""Files of weights: read without running them, matched with a model by name and shape, and reported on."""
