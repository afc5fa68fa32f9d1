"""Server-rendered pages for people at a browser."""
