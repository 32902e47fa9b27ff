"""Whether what an engine gives can be believed. For obtain and the restorer."""
