"""The report of a run: `folder` reads the record and writes the files, `render` fills them in."""
