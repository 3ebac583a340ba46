"""A simulation of the part of GitHub that Forgehand talks to, on real git repositories, on loopback alone."""
