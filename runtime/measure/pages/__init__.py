"""Records as HTML pages, one file each that needs nothing else. Above all others in measure."""
