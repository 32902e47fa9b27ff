"""One file per library that can run a graph; nothing else imports those libraries."""
