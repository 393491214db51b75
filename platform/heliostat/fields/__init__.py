"""Values of the fields of tasks, before a task exists.

| module | subject |
|---|---|
| ``conversion`` | arguments as a person types them, in the declared types of fields |
| ``presets`` | named values of fields, in YAML files |
"""
