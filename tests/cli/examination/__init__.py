"""Each check of the doctor, on an installation in which that very thing is broken."""
