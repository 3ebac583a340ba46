"""Text in and out: made safe to read, made safe to post; changelogs, sections, diffs cut to size."""
