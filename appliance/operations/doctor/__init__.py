"""``prontuario doctor``: what is wrong with this node, why, and the next step. It changes nothing.

It works beside a running node and on one that does not start; each check stands alone, and one that breaks or hangs says so.
``checks.CHECKS`` lists them, ``run.run_checks`` runs them, ``docs/doctor.md`` is written from them.
"""
