"""What data frames of trials say: the best, what mattered, what stopping saved."""
