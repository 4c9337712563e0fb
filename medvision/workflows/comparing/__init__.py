"""Several trainings on the same cases, and by how much they differ."""
