"""What a command or a piece of training costs in time, memory and disk; ``walk.py`` measures and prints it."""
