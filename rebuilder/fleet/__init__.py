"""Runs on other machines: from a definition here to a signed run of a runner there, and why it can be believed.

1. :class:`rebuilder.fleet.ordering.FleetRunner`, which the coordinator has in the place of a local runner, puts the
   definition, its inputs and its build environment into the S3 store, opens an order with a new nonce in the ledger,
   and gives the nonce and the digest of the definition to the broker (:mod:`rebuilder.fleet.broker`, Celery). From the
   broker it never reads anything but how many messages wait.
2. A runner (:mod:`rebuilder.fleet.runner_process`) takes the message. :class:`rebuilder.fleet.running.OrderedRun`
   fetches all by digest, runs it as on one machine, and puts the outputs, and an answer that its key signed, below
   names of its own in the S3 store.
3. The coordinator sees the answer there. :func:`rebuilder.fleet.answers.check` believes nothing of it: who signed it,
   for which order, of which definition, within which limits; the bytes are fetched and hashed. Then the ledger accepts
   it, once (:class:`rebuilder.store.ledger.runners.RunOrders`).
4. Some runs are made twice (:mod:`rebuilder.fleet.double_runs`): two runners that disagree are quarantined.

What is due and what is done is in the ledger alone: broker and S3 store may lose everything. The decision:
``docs/adr/0037-fleet.md``.
"""
