"""A browser page that shows the stream, before and after, while it runs."""
