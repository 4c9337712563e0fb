"""The command line of medvision: parse, one call of the library, print."""
