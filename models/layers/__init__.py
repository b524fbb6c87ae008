"""What both networks are made of, over (batch, time, channel) with padding that changes nothing."""
