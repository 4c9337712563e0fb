"""What trainings share: their data, their time, their folder and what they leave; the verbs use it."""
