"""What live runs measure, where Prometheus fetches it. For `cli`; nothing below imports it."""
