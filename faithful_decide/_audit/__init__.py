"""The audit: whether the reasoning of a decision carried its verdict.

That a model writes its reasons first makes it possible that they matter; it does not show that
they did. An audit intervenes. It forces each verdict and compares the explanations, reads the
picture without the question, asks the opposite, takes the picture away, turns round what the
decision relied on, and counts what moved. A model that obeys will always explain what it is told to
explain, so that alone is no evidence; every check is compared with a control, and a flag needs more
than obedience.

`case` knows what is asked, `gather` asks it, `evidence` is what came back, `compare`, `trials`
and `checks` count, `stats` says how sure one can be, `flags` what that amounts to, and `dataset`
pools many samples. Nothing here calls a model: plans yield requests, and
`faithful_decide._api.audit` has them run.
"""
