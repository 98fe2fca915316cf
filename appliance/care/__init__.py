"""Clinical work, from voice to signed note.

Wiring (the daemon does it, once per node)::

    consults = Consults(store=database, blobs=BlobStore(paths.blobs), vault=vault, abilities=plugin_host, jobs=job_queue,
                        clock=clock, limits=config.dictation, spool=paths.run / "spool")   # registers its job kinds
    routes = appliance.api.care.routes(consults)
    await job_queue.start()
    await consults.start()      # every dictation under way gets its job back; the spool is swept

The way of a dictation: ``intake`` keeps chunks (blob first, then the row, then the acknowledgement) → ``dictations``
completes them → job ``care.transcribe`` (``transcription``: decode in a process of its own, segments as they become
final) → job ``care.draft`` (``drafting``: model under a schema, every sentence held to the ``guard``; without a model the
speech itself is the draft) → ``notes`` (edit, review, amend) → ``signatures`` → ``export``. ``record_forms`` and
``vitals`` write the FHIR side; ``progress`` tells listeners. ``audio`` decodes anything for anybody.

The recording is plaintext on disk only in ``spool`` (0700, files 0600) while it is decoded: containers such as MP4 need to
be read from both ends, so a pipe would not do. The file goes when decoding ends and is swept at start after a kill -9.
"""
