"""Engine building: choosing a graph, running it, making it an engine. For restorer and above."""
