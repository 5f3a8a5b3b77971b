"""Many images: where they come from, a journal of what was paid for, the runner, what comes out.

The journal (`journal`) stands between the pipeline and a backend and keeps every reply by what was
asked. So everything else may be killed and started again: it asks the same, and what was replied
before is found and not paid for twice. The runner (`runner`) therefore has no state of its own.
"""
