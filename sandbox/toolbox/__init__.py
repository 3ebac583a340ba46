"""The toolbox: the one long-lived process inside a container that runs commands, file tools and git.

It is mounted read-only into whatever image a job uses, so it has the standard library of Python 3.9 and nothing else.
"""
