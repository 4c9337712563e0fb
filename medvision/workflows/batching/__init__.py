"""The cases of a batch, each analysed in a process that it alone can lose."""
