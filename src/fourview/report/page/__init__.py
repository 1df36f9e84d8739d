"""Pages for people: HTML files that stand on their own and open from disk."""
