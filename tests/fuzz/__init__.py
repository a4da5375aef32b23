"""Coverage-guided fuzzing of whatever reads files (docs/reliability.md has the commands)."""
