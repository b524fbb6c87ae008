"""What earlier sweeps knew: which configurations did well, and how curves like this one went on."""
