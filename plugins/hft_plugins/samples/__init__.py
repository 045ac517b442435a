"""What the contract checks try the built-in components with: settings, rows and hand-made cases, one module per plugin or so.

Only `hft plugins check` and tests import them.
"""
