"""What the values of a frame are: landmarks of body parts in a frame of reference, or numbers of any kind."""
