"""Tool calls: read from a reply in whichever dialect they were written, and typed by the schema."""
