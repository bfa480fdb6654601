"""The live path: one file a stage, in the order the data flows. Never imports `train`, nor torch."""
