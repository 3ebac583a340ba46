"""The full record of one agent session: events in a chain, written before acting, and what is made from them."""
