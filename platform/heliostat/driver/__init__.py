"""One run to its goal.

``bringing`` finds or creates it and shows it as it was asked for; ``driver`` commits
what comes from its ``place``, until ``ending`` says the last words; ``spawning`` has
that done by a process of its own.
"""
