"""What earlier sweeps knew: which configurations did best in them."""
