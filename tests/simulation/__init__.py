"""A whole federation in one thread, on one seed: real shells, machines, rounds, journal and files.

What is make-believe is below them: the clock (clock.py), the broker and the links (broker.py), the moment at which a
process dies (processes.py) and the training (toy.py). The rest is the code that runs in hospitals.
"""
