"""Plain torch networks, one family per file; `exam` wires them to the four views."""
