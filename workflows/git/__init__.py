"""Git: bare mirrors, history, patches as data, and what may not be in them."""
