"""The sciences: each folder a task, its physics and its presets."""
