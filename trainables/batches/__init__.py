"""From utterances of a packed corpus to the batches that a model trains on."""
