"""A real llama.cpp server; its model is a script, in which every token names the next."""
