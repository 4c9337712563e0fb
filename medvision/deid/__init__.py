"""De-identification of DICOM after PS3.15, Annex E: what is removed, replaced, kept, and what risk remains."""
