"""Starting from weights that were trained elsewhere: reading and matching them, and what of them is trained further."""
